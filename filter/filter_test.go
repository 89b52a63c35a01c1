package filter

import (
	"net/netip"
	"testing"
	"time"

	"github.com/maru-msa/maru/message"
)

// plainFilters are what most routes have.
func plainFilters(t testing.TB) []Filter {
	t.Helper()
	second := time.Second
	configs := []Config{
		&RequestID{},
		&IP{Deny: []string{"203.0.113.0/24", "2001:db8::/32"}},
		&CORS{Origins: []string{"https://app.example"}, Credentials: true},
		&Timeout{Total: 5 * second, Try: second},
		&Strip{Segments: 1},
		&Rewrite{Pattern: "/users(/|$)(.*)", Target: "/v2/users/$2"},
		&Headers{
			Request:  HeaderRule{Set: map[string]string{"X-Env": "prod", "X-Client": "{client}"}, Remove: []string{"X-Internal"}},
			Response: HeaderRule{Set: map[string]string{"Strict-Transport-Security": "max-age=31536000"}, Remove: []string{"Server"}},
		},
	}
	filters := make([]Filter, len(configs))
	for i, c := range configs {
		f, err := c.Filter(Bare())
		if err != nil {
			t.Fatal(err)
		}
		filters[i] = f
	}
	return filters
}

// browse fills a request as an engine does for a browser.
func browse(r *message.Request, path string) {
	r.Reset()
	r.Method, r.Scheme, r.Authority, r.Host, r.Proto = "GET", "http", "api.example", "api.example", message.HTTP11
	r.Path, r.RawPath = path, path
	r.Header.AppendID(message.UserAgent, "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	r.Header.AppendID(message.Accept, "application/json, */*;q=0.1")
	r.Header.AppendID(message.AcceptEncoding, "gzip, deflate, br, zstd")
	r.Header.AppendID(message.Origin, "https://app.example")
	r.Header.AppendID(message.Cookie, "sid=0123456789; theme=dark")
	r.X.Client = netip.AddrFrom4([4]byte{192, 0, 2, 1})
	r.X.Began = time.Now()
}

// reply answers as a service does.
func reply(*message.Request) (*message.Response, error) {
	resp := message.NewResponse(200)
	h := &resp.Header
	h.AppendID(message.Server, "nginx/1.26")
	h.AppendID(message.Date, "Sun, 01 Mar 2026 12:00:00 GMT")
	h.AppendID(message.ContentType, "application/json")
	h.AppendID(message.CacheControl, "private")
	h.AppendID(message.ETag, `"0123456789"`)
	return resp, nil
}

// A plain request through the usual filters allocates nothing.
func TestChainAllocs(t *testing.T) {
	chain := Chain(reply, plainFilters(t)...)
	r := message.NewRequest()
	defer r.Release()
	got := testing.AllocsPerRun(500, func() {
		browse(r, "/api/users/7")
		resp, err := chain(r)
		if err != nil {
			t.Fatal(err)
		}
		if r.Path != "/v2/users/7" || !resp.Header.Has(message.XRequestID) || resp.Header.Has(message.Server) ||
			resp.Header.Value(message.AccessControlAllowOrigin) != "https://app.example" || r.Header.Get("X-Client") != "192.0.2.1" {
			t.Fatalf("path %s, %v", r.Path, resp.Header.Fields())
		}
		resp.Release()
	})
	if got > 0 && !raceEnabled {
		t.Errorf("%v allocations a request", got)
	}
}

// The filters of the "filters on" benchmark, and the same request without them.
func BenchmarkChain(b *testing.B) {
	for _, c := range []struct {
		name    string
		configs []Config
	}{
		{"none", nil},
		{"request-id", []Config{&RequestID{}}},
		{"cors", []Config{&CORS{Origins: []string{"https://app.example"}}}},
		{"headers", []Config{&Headers{Response: HeaderRule{Set: map[string]string{"X-Frame-Options": "DENY"}, Remove: []string{"Server"}}}}},
		{"all three", []Config{
			&RequestID{},
			&CORS{Origins: []string{"https://app.example"}},
			&Headers{
				Request:  HeaderRule{Set: map[string]string{"X-Env": "prod"}},
				Response: HeaderRule{Set: map[string]string{"X-Frame-Options": "DENY"}, Remove: []string{"Server"}},
			},
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var filters []Filter
			for _, one := range c.configs {
				f, err := one.Filter(Bare())
				if err != nil {
					b.Fatal(err)
				}
				filters = append(filters, f)
			}
			chain := Chain(reply, filters...)
			r := message.NewRequest()
			b.ReportAllocs()
			for b.Loop() {
				browse(r, "/api/users/7")
				resp, err := chain(r)
				if err != nil {
					b.Fatal(err)
				}
				resp.Release()
			}
		})
	}
}

// The first filter of a list sees the request first and the response last.
func TestChainOrder(t *testing.T) {
	var seen []string
	note := func(name string) Filter {
		return func(next Func) Func {
			return func(r *message.Request) (*message.Response, error) {
				seen = append(seen, "> "+name)
				resp, err := next(r)
				seen = append(seen, "< "+name)
				return resp, err
			}
		}
	}
	resp, err := Chain(reply, note("a"), note("b"))(ask("GET", "/"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Release()
	for i, want := range []string{"> a", "> b", "< b", "< a"} {
		if seen[i] != want {
			t.Errorf("step %d is %s, want %s", i, seen[i], want)
		}
	}
}
