package edge_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/maru-msa/maru/edge"
	"github.com/maru-msa/maru/edge/edgetest"
)

// through sends a request through a gateway with the listener's rules, as peer
// 127.0.0.1, and gives what the service got. HOST in fields is the listener's
// own address.
func through(t *testing.T, listener edge.ListenerConfig, text string) string {
	t.Helper()
	s := edgetest.NewService(t, nil)
	g := edgetest.Start(t, edgetest.Config(t, s.URL(), listener))
	if a := g.Say("public", text); a.Status != 200 {
		t.Fatalf("status %d: %s", a.Status, a.Body)
	}
	port := g.Addr("public")[strings.LastIndexByte(g.Addr("public"), ':')+1:]
	return strings.ReplaceAll(s.Last(), port, "PORT")
}

func trusted(cidrs ...string) edge.ListenerConfig { return edge.ListenerConfig{TrustedProxies: cidrs} }

// want are the fields that a service must see: name → values, nil for none.
type want map[string][]string

func (w want) check(t *testing.T, request string) {
	t.Helper()
	for name, values := range w {
		if got := edgetest.Field(request, name); fmt.Sprint(got) != fmt.Sprint(values) {
			t.Errorf("%s: the service saw %q, want %q", name, got, values)
		}
	}
	if t.Failed() {
		t.Logf("request:\n%s", request)
	}
}

func TestForwardedFields(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name     string
		listener edge.ListenerConfig
		fields   string
		want     want
	}{
		{
			"a stranger's claims are gone",
			edge.ListenerConfig{},
			"X-Forwarded-For: 1.1.1.1\nX-Forwarded-Proto: https\nX-Forwarded-Host: evil\nX-Forwarded-Port: 1\nX-Forwarded-Prefix: /evil\nX-Forwarded-Server: evil\nX-Real-IP: 1.1.1.1\nForwarded: for=1.1.1.1\nX-Original-URL: /admin\nX-Rewrite-URL: /admin\nClient-Cert: :AAAA:\nClient-Cert-Chain: :AAAA:\nX-Maru-Subject: root\nX-Maru-New: 1\nX-Identity-User: root\nTxn-Token: x\n",
			want{
				"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"h.example"}, "X-Forwarded-Port": {"PORT"},
				"X-Forwarded-Prefix": nil, "X-Forwarded-Server": nil, "X-Real-IP": {"127.0.0.1"}, "Forwarded": nil, "X-Original-URL": nil,
				"X-Rewrite-URL": nil, "Client-Cert": nil, "Client-Cert-Chain": nil, "X-Maru-Subject": nil, "X-Maru-New": nil,
				"X-Identity-User": nil, "Txn-Token": nil, "Host": {"h.example"}, "Via": {"1.1 maru"},
			},
		},
		{
			"look-alikes are gone whoever sends them", trusted("127.0.0.0/8"),
			"X_Forwarded_For: 6.6.6.6\nx_real_ip: 6.6.6.6\nX.Forwarded.Host: evil\nClient_Cert: :AAAA:\nX_Identity_User: root\nREMOTE_USER: root\nX_Other: stays\n",
			want{
				"X_Forwarded_For": nil, "x_real_ip": nil, "X.Forwarded.Host": nil, "Client_Cert": nil, "X_Identity_User": nil, "REMOTE_USER": nil,
				"X_Other": {"stays"}, "X-Forwarded-For": {"127.0.0.1"},
			},
		},
		{
			"a trusted proxy is believed", trusted("127.0.0.1"),
			"X-Forwarded-For: 203.0.113.9\nX-Forwarded-Proto: https\nX-Forwarded-Host: api.example\nX-Forwarded-Port: 443\nX-Forwarded-Prefix: /a\nClient-Cert: :AAAA:\n",
			want{
				"X-Forwarded-For": {"203.0.113.9, 127.0.0.1"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"api.example"},
				"X-Forwarded-Port": {"443"}, "X-Forwarded-Prefix": {"/a"}, "X-Real-IP": {"203.0.113.9"}, "Client-Cert": {":AAAA:"},
			},
		},
		{
			"the rightmost that is not trusted is the client", trusted("127.0.0.0/8", "10.0.0.0/8"),
			"X-Forwarded-For: 6.6.6.6, 203.0.113.9\nX-Forwarded-For: 10.1.1.1:4711, [10.2.2.2]\n",
			want{"X-Forwarded-For": {"6.6.6.6, 203.0.113.9, 10.1.1.1:4711, [10.2.2.2], 127.0.0.1"}, "X-Real-IP": {"203.0.113.9"}},
		},
		{
			"entries with port and brackets", trusted("127.0.0.0/8", "10.0.0.0/8", "fd00::/8"),
			"X-Forwarded-For: 6.6.6.6, [2001:db8::1]:4711, fd00::7, [fd00::8], 10.1.1.1:80\n",
			want{"X-Real-IP": {"2001:db8::1"}},
		},
		{
			"what can't be read ends the walk", trusted("127.0.0.0/8", "10.0.0.0/8"),
			"X-Forwarded-For: 6.6.6.6, unknown, 10.1.1.1\n",
			want{"X-Real-IP": {"10.1.1.1"}},
		},
		{
			"a bad scheme is not a scheme", trusted("127.0.0.0/8"),
			"X-Forwarded-Proto: javascript\n",
			want{"X-Forwarded-Proto": {"http"}},
		},
		{
			"rfc7239 instead",
			edge.ListenerConfig{Forwarded: "rfc7239"},
			"Forwarded: for=1.1.1.1\n",
			want{"X-Forwarded-For": nil, "X-Real-IP": nil},
		},
		{"via by another name", edge.ListenerConfig{Via: "hall"}, "Via: 1.0 fred\n", want{"Via": {"1.0 fred", "1.1 hall"}}},
		{"via off", edge.ListenerConfig{Via: "off"}, "", want{"Via": nil}},
		{"underscores dropped", edge.ListenerConfig{Underscores: "drop"}, "A_B: 1\nA-B: 2\n", want{"A_B": nil, "A-B": {"2"}}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			row.want.check(t, through(t, row.listener, "GET /x HTTP/1.1\nHost: h.example\n"+row.fields+"\n"))
		})
	}
}

func TestForwardedWithTheClientsPort(t *testing.T) {
	t.Parallel()
	got := through(t, edge.ListenerConfig{Forwarded: "both"}, "GET /x HTTP/1.1\nHost: h.example:8080\n\n")
	field := strings.Join(edgetest.Field(got, "Forwarded"), "|")
	if !regexp.MustCompile(`^for="127\.0\.0\.1:\d+";proto=http;host="h\.example:8080"$`).MatchString(field) {
		t.Errorf("Forwarded: %q", field)
	}
	if len(edgetest.Field(got, "X-Forwarded-For")) != 1 {
		t.Error("both: no X-Forwarded-For")
	}
}

func TestFieldsSurviveByteForByte(t *testing.T) {
	t.Parallel()
	got := through(t, edge.ListenerConfig{}, "GET /x?y=%20&z HTTP/1.1\nHost: H.example\nx-B: 1\nX-a:   2  \nx-B: 3\nACCEPT: */*\nempty:\n\n")
	const head = "GET /x?y=%20&z HTTP/1.1\r\nHost: H.example\r\nx-B: 1\r\nX-a: 2\r\nx-B: 3\r\nACCEPT: */*\r\nempty: \r\nX-Forwarded-For: 127.0.0.1\r\n"
	if !strings.HasPrefix(got, head) {
		t.Errorf("the service got\n%s\nwant it to begin with\n%s", got, head)
	}
}

func TestTraceIsContinuedOrStarted(t *testing.T) {
	t.Parallel()
	const id, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	rows := []struct {
		name, fields string
		parent       string // expression for traceparent
		want         want
	}{
		{"started", "tracestate: a=1\n", "^00-[0-9a-f]{32}-[0-9a-f]{16}-01$", want{"tracestate": nil, "b3": nil, "X-B3-TraceId": nil}},
		{"continued", "traceparent: 00-" + id + "-" + span + "-01\ntracestate: a=1\n", "^00-" + id + "-[0-9a-f]{16}-01$", want{"tracestate": {"a=1"}, "b3": nil}},
		{"not sampled stays so", "traceparent: 00-" + id + "-" + span + "-00\n", "^00-" + id + "-[0-9a-f]{16}-00$", nil},
		{"a later version", "traceparent: cc-" + id + "-" + span + "-01-what\n", "^00-" + id + "-[0-9a-f]{16}-01$", nil},
		{"upper case is none", "traceparent: 00-" + strings.ToUpper(id) + "-" + span + "-01\ntracestate: a=1\n", "^00-[0-9a-f]{32}-[0-9a-f]{16}-01$", want{"tracestate": nil}},
		{"zero is none", "traceparent: 00-" + strings.Repeat("0", 32) + "-" + span + "-01\n", "^00-[0-9a-f]{32}-[0-9a-f]{16}-01$", nil},
		{"two are none", "traceparent: 00-" + id + "-" + span + "-01\ntraceparent: 00-" + id + "-" + span + "-01\n", "^00-[0-9a-f]{32}-[0-9a-f]{16}-01$", nil},
		{"B3 in one field", "b3: " + id + "-" + span + "-0\n", "^00-" + id + "-[0-9a-f]{16}-00$", want{"X-B3-TraceId": nil}},
		{
			"B3 of 64 bits", "X-B3-TraceId: a3ce929d0e0e4736\nX-B3-SpanId: " + span + "\nX-B3-Sampled: 1\n", "^00-0000000000000000a3ce929d0e0e4736-[0-9a-f]{16}-01$",
			want{"X-B3-TraceId": {"0000000000000000a3ce929d0e0e4736"}, "X-B3-ParentSpanId": {span}},
		},
		{"B3 that says no", "b3: 0\n", "^00-[0-9a-f]{32}-[0-9a-f]{16}-00$", nil},
		{"traceparent before B3", "b3: " + strings.Repeat("1", 32) + "-" + span + "-1\ntraceparent: 00-" + id + "-" + span + "-01\n", "^00-" + id + "-[0-9a-f]{16}-01$", nil},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got := through(t, edge.ListenerConfig{}, "GET / HTTP/1.1\nHost: h\n"+row.fields+"\n")
			parents := edgetest.Field(got, "traceparent")
			if len(parents) != 1 || !regexp.MustCompile(row.parent).MatchString(parents[0]) || strings.Contains(parents[0], span) {
				t.Errorf("traceparent %q, want one %s with a span of our own", parents, row.parent)
			}
			row.want.check(t, got)
			if !strings.HasPrefix(row.name, "B3 in one") && !strings.HasPrefix(row.name, "B3 of") {
				return
			}
			all := strings.Join(append(edgetest.Field(got, "b3"), edgetest.Field(got, "X-B3-SpanId")...), " ")
			if all == "" || strings.Contains(all, span) || !strings.Contains(all, parents[0][36:52]) {
				t.Errorf("B3 came in, and out came %q beside traceparent %s", all, parents[0])
			}
		})
	}
}
