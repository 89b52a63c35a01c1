package filter

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/message"
)

// faults collects what is wrong with a Config, so that all of it is told at once.
type faults []error

func (f *faults) add(err error) {
	if err != nil {
		*f = append(*f, err)
	}
}

// at records a fault of the field and returns it, so that a fix can be added.
func (f *faults) at(path, format string, args ...any) *diag.FieldError {
	e := diag.At(path, format, args...)
	*f = append(*f, e)
	return e
}

func (f *faults) join() error { return errors.Join(*f...) }

// oneOf records a fault unless got is one of the words.
func (f *faults) oneOf(path, got string, words ...string) {
	if slices.Contains(words, got) {
		return
	}
	e := f.at(path, "%q is not known here", got)
	if best := diag.Nearest(got, words); best != "" {
		e.WithFix("did you mean %s?", best)
		return
	}
	e.WithFix("write one of: %s", strings.Join(words, ", "))
}

// at names an element of a list.
func at(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// prefix reads a CIDR, an address, or "all" (both families).
func (f *faults) prefix(path, text string) []netip.Prefix {
	if text == "all" {
		return []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
	}
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return []netip.Prefix{netip.PrefixFrom(a, a.BitLen())}
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		f.at(path, "%q is not an address or CIDR", text).WithFix("write one such as 10.0.0.0/8 or 2001:db8::1")
		return nil
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if p != p.Masked() {
		f.at(path, "%q has bits behind its prefix length", text).WithFix("write %s or %s", p.Masked(), p.Addr())
	}
	return []netip.Prefix{p.Masked()}
}

func contains(list []netip.Prefix, a netip.Addr) bool {
	for i := range list {
		if list[i].Contains(a) {
			return true
		}
	}
	return false
}

// fixedFields are the fields that belong to the engines: framing and Host
// (RFC 9112 §6, §3.2), hop-by-hop (RFC 9110 §7.6.1). A filter never writes them.
func fixedField(id message.ID) bool {
	switch id {
	case message.ContentLength, message.TransferEncoding, message.Trailer, message.Host,
		message.Connection, message.ProxyConnection, message.KeepAlive, message.TE, message.Upgrade,
		message.HTTP2Settings, message.ProxyAuthenticate, message.ProxyAuthorization,
		message.ProxyAuthenticationInfo, message.Expect:
		return true
	default:
		return false
	}
}

// field checks that name may be written by configuration.
func (f *faults) field(path, name string) bool {
	if !message.ValidToken(name) {
		f.at(path, "%q is not a field name", name).WithFix("use letters, digits and dashes")
		return false
	}
	id := message.NameID(name)
	if id == message.Other {
		if like, ok := message.Lookalike(name); ok {
			id = like
		}
	}
	if fixedField(id) {
		f.at(path, "%s belongs to the protocol engine: framing, Host and hop-by-hop fields can't be changed", id).
			WithFix("remove it")
		return false
	}
	return true
}

// value checks a constant field value.
func (f *faults) value(path, value string) {
	if !message.ValidValue(value) {
		f.at(path, "the value holds a control character or white space at its ends").WithFix("remove it")
	}
}

// statusSet is a set of status codes.
type statusSet [10]uint64

func (s *statusSet) has(status int) bool {
	return status >= 0 && status < 640 && s[status>>6]&(1<<(status&63)) != 0
}

// statuses reads a list of "404", "5xx", "500-504".
func (f *faults) statuses(path string, list []string) (s statusSet) {
	for i, text := range list {
		lo, hi := statusRange(text)
		if lo < 100 || hi > 599 || lo > hi {
			f.at(at(path, i), "%q is not a status", text).WithFix("write one such as 404, 5xx or 500-504")
			continue
		}
		for n := lo; n <= hi; n++ {
			s[n>>6] |= 1 << (n & 63)
		}
	}
	return s
}

func statusRange(text string) (lo, hi int) {
	if len(text) == 3 && strings.EqualFold(text[1:], "xx") && text[0] >= '1' && text[0] <= '5' {
		lo = int(text[0]-'0') * 100
		return lo, lo + 99
	}
	a, b, isRange := strings.Cut(text, "-")
	lo, err := strconv.Atoi(a)
	if err != nil {
		return 0, 0
	}
	hi = lo
	if isRange {
		if hi, err = strconv.Atoi(b); err != nil {
			return 0, 0
		}
	}
	return lo, hi
}

// sameSecret compares without telling by its time where two strings differ.
func sameSecret(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	var diff byte
	for i := range len(a) {
		diff |= a[i] ^ b[i]
	}
	return diff == 0
}

// cookie finds the first cookie of that name; names are case-sensitive (RFC 6265 §4.2).
func cookie(h *message.Header, name string) (string, bool) {
	if !h.Has(message.Cookie) {
		return "", false
	}
	for i := range h.Fields() {
		f := &h.Fields()[i]
		if f.ID != message.Cookie {
			continue
		}
		for rest := f.Value; rest != ""; {
			var pair string
			pair, rest, _ = strings.Cut(rest, ";")
			n, v, ok := strings.Cut(pair, "=")
			if ok && strings.Trim(n, " \t") == name {
				return strings.Trim(v, " \t"), true
			}
		}
	}
	return "", false
}

// varyBy says in Vary that the answer depends on the named request field
// (RFC 9110 §12.5.5); it does nothing where that is said already.
func varyBy(h *message.Header, name string) {
	if h.HasToken(message.Vary, name) || h.HasToken(message.Vary, "*") {
		return
	}
	h.AppendID(message.Vary, name)
}

// octets shows the bytes of s, for reading only.
func octets(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// keep copies a string into the arena of an exchange.
func keep(x *message.Exchange, s string) string { return x.String(octets(s)) }

// sortedKeys gives the keys in order: a map has none of its own, and a
// configuration must work the same at each load.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
