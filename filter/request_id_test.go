package filter

import (
	"strings"
	"testing"
	"time"

	"github.com/maru-msa/maru/message"
)

// RFC 9562 appendix A.6 has this example of a UUID of version 7.
func TestUUIDv7Example(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(0x017F22E279B0)
	got := string(appendUUIDv7(nil, now, 0xCC3, 0x18C4DC0C0C07398F))
	if want := "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Identifiers are unique, and sort by the millisecond of their exchange.
func TestRequestIDsSortByTime(t *testing.T) {
	t.Parallel()
	f := build(t, &RequestID{}, reply)
	begin := time.Now()
	last, seen := "", map[string]bool{}
	for i := range 1000 {
		r := ask("GET", "/")
		r.X.Began = begin.Add(time.Duration(i) * time.Millisecond)
		resp, err := f(r)
		if err != nil {
			t.Fatal(err)
		}
		id := strings.Clone(resp.Header.Value(message.XRequestID))
		if id <= last || seen[id] || len(id) != 36 {
			t.Fatalf("%s after %s", id, last)
		}
		last, seen[id] = id, true
		resp.Release()
		r.Release()
	}
}

func TestRequestIDOfCallers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		sent    string
		trusted bool
		kept    bool
	}{
		{"abc-123", true, true},
		{"abc-123", false, false},
		{"a/b:c=d@e", true, true},
		{"", true, false},
		{"a b", true, false},
		{"a\"b", true, false},
		{"a;b", true, false},
		{"{jndi:x}", true, false},
		{"\xff", true, false},
		{strings.Repeat("a", 128), true, true},
		{strings.Repeat("a", 129), true, false},
	} {
		r := ask("GET", "/", "x-request-id: "+c.sent, "X-Request-Id: second")
		r.X.Trusted = c.trusted
		resp, err := build(t, &RequestID{}, func(r *message.Request) (*message.Response, error) {
			return answer(200, "", "X-Request-Id: the service's own"), nil
		})(r)
		if err != nil {
			t.Fatal(err)
		}
		id := resp.Header.Value(message.XRequestID)
		if (id == c.sent) != c.kept {
			t.Errorf("%q (trusted %v) became %q", c.sent, c.trusted, id)
		}
		if r.X.RequestID != id || strings.Join(r.Header.Values(nil, "X-Request-Id"), "|") != id || len(resp.Header.Values(nil, "X-Request-Id")) != 1 {
			t.Errorf("%q: the service, the client and the log see different identifiers", c.sent)
		}
		resp.Release()
		r.Release()
	}
}
