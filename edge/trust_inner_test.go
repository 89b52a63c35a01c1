package edge

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/maru-msa/maru/message"
)

// FuzzTrace: whatever comes in, every exchange has a trace, and what goes out is
// a traceparent that we would continue ourselves.
func FuzzTrace(f *testing.F) {
	const id, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	for _, seed := range [][3]string{
		{"00-" + id + "-" + span + "-01", "", ""},
		{"cc-" + id + "-" + span + "-01-x", "", ""},
		{"ff-" + id + "-" + span + "-01", "", ""},
		{"", id + "-" + span + "-1-" + span, ""},
		{"", span + "-" + span, ""},
		{"", "0", ""},
		{"", "", id},
		{"", "", span},
		{"00-" + strings.ToUpper(id) + "-" + span + "-01", "d", "d"},
		{strings.Repeat("-", 55), strings.Repeat("-", 33), "x"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, parent, b3, id string) {
		r := message.NewRequest()
		defer r.Release()
		for name, v := range map[message.ID]string{message.Traceparent: parent, message.B3: b3, message.XB3TraceID: id} {
			if v == "" {
				continue
			}
			if !message.ValidValue(v) {
				t.Skip("never gets past the parser")
			}
			r.Header.AppendID(name, v)
		}
		if id != "" {
			r.Header.AppendID(message.XB3SpanID, "00f067aa0ba902b7")
		}
		startTrace(r)
		x := r.X.Trace
		if x.ID == [16]byte{} || x.Span == [8]byte{} || x.Span == x.Parent || x.Flags > 1 {
			t.Fatalf("trace %+v", x)
		}
		writeTrace(r)
		var again message.Trace
		if !parseTraceparent(r.Header.Value(message.Traceparent), &again) || again.ID != x.ID || again.Parent != x.Span || again.Flags != x.Flags {
			t.Fatalf("wrote %q for %+v", r.Header.Value(message.Traceparent), x)
		}
	})
}

// FuzzForwardedFor compares the walk with the rule written out: split, look from
// the right, take the first that is not trusted.
func FuzzForwardedFor(f *testing.F) {
	for _, seed := range []string{
		"1.1.1.1", "6.6.6.6, 10.0.0.1", "6.6.6.6,10.0.0.1:80, [fd00::1], [fd00::2]:443", "unknown, 10.0.0.1", "", ",,", "fe80::1%lo, 10.0.0.1",
		"::ffff:10.0.0.1, ::ffff:1.2.3.4", "[10.0.0.1]", "[", "[]", strings.Repeat("10.0.0.1,", 40),
	} {
		f.Add(seed, "")
		f.Add("1.1.1.1", seed)
	}
	rules := trust{proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}}
	peer := netip.MustParseAddr("10.9.9.9")
	f.Fuzz(func(t *testing.T, first, second string) {
		if !message.ValidValue(first) || !message.ValidValue(second) {
			t.Skip("never gets past the parser")
		}
		r := message.NewRequest()
		defer r.Release()
		r.Header.AppendID(message.XForwardedFor, first)
		if second != "" {
			r.Header.AppendID(message.XForwardedFor, second)
		}
		r.X.Peer = netip.AddrPortFrom(peer, 1)
		rules.apply(r)
		if want := slowWalk(&rules, peer, first, second); r.X.Client != want {
			t.Fatalf("%q, %q: client %s, want %s", first, second, r.X.Client, want)
		}
		if r.X.Client.Zone() != "" || r.X.Client.Is4In6() {
			t.Fatalf("client %s", r.X.Client)
		}
	})
}

func slowWalk(rules *trust, peer netip.Addr, lines ...string) netip.Addr {
	var entries []string
	for _, line := range lines {
		for entry := range strings.SplitSeq(line, ",") {
			if entry = strings.Trim(entry, " \t"); entry != "" {
				entries = append(entries, entry)
			}
		}
	}
	client := peer
	for i := 1; i <= len(entries) && i <= maxForwarded; i++ {
		a, ok := forwardedAddr(entries[len(entries)-i])
		if !ok {
			break
		}
		client = a
		if !rules.trusts(a) {
			break
		}
	}
	return client
}
