package filter

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"

	"github.com/maru-msa/maru/message"
)

func TestSplitConfig(t *testing.T) {
	t.Parallel()
	refuses(t, "split", [][2]string{
		{"{}", "to"},
		{`["shop 1"]`, "to"},
		{`["shop 1", "none 1"]`, "to[1].service"},
		{`["shop 0", "shadow 0"]`, "to"},
		{`["shop 1", "shop 1"]`, "to[1].name"},
		{`["shop -1", "shadow 2"]`, "to[0].weight"},
		{`{"to": [{"service": "shop", "weight": 1}, {"weight": 1}]}`, "to[1].service"},
		{`{"to": [{"service": "shop", "weight": 1}, {"service": "shadow", "name": "a;b"}]}`, "to[1].name"},
		{`{"to": [{"service": "shop", "weight": 1}, {"service": "shadow", "name": "a.b"}]}`, "to[1].name"},
		{`{"to": [{"service": "shop", "weight": 1}, {"service": "shadow"}], "by": "cokie"}`, "by"},
		{`{"to": [{"service": "shop", "weight": 1}, {"service": "shadow"}], "by": "header"}`, "header"},
		{`{"to": [{"service": "shop", "weight": 1}, {"service": "shadow"}], "header": "X-U"}`, "header"},
		{`{"to": [{"service": "shop", "weight": 1}, {"service": "shadow"}], "max-age": "1h"}`, "max-age"},
		{`{"to": [{"service": "shop", "weight": 1}, {"service": "shadow"}], "by": "cookie", "max-age": "1500ms"}`, "max-age"},
	})
	takes(t, "split", `["a 90%", "b 10%"]`, `{"to": [{"service": "a", "weight": 1}, {"service": "b"}], "by": "header", "header": "X-U"}`)
	if _, err := configOf("split", `["a", "b 1"]`); err == nil {
		t.Error("an entry without weight was taken")
	}
}

// newSplit gives a function that tells which service a request meets.
func newSplit(t *testing.T, c *Split, route string) func(r *message.Request) (service, cookie string) {
	t.Helper()
	env := Bare()
	env.Route = route
	env.Service = func(name string) (Func, error) {
		return func(*message.Request) (*message.Response, error) { return answer(200, "", "X-Service: "+name), nil }, nil
	}
	f, err := c.Filter(env)
	if err != nil {
		t.Fatal(err)
	}
	chain := f(nil)
	return func(r *message.Request) (string, string) {
		resp, err := chain(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Release()
		return strings.Clone(resp.Header.Get("X-Service")), strings.Clone(resp.Header.Value(message.SetCookie))
	}
}

func variants(weights ...int) (list []Variant) {
	for i, w := range weights {
		list = append(list, Variant{Service: fmt.Sprint("s", i), Weight: w})
	}
	return list
}

func TestSplitShares(t *testing.T) {
	t.Parallel()
	for _, weights := range [][]int{{90, 10}, {1, 1}, {0, 1}, {1, 0}, {3, 3, 4}, {999_999, 1}, {0, 1, 1, 1}} {
		pick := newSplit(t, &Split{To: variants(weights...)}, "r")
		got := map[string]int{}
		const n = 40_000
		for range n {
			r := ask("GET", "/")
			s, _ := pick(r)
			got[s]++
			r.Release()
		}
		sum := 0
		for _, w := range weights {
			sum += w
		}
		for i, w := range weights {
			share, want := float64(got[fmt.Sprint("s", i)])/n, float64(w)/float64(sum)
			if math.Abs(share-want) > 0.015 || w == 0 && share > 0 {
				t.Errorf("%v: variant %d has %.3f, want %.3f", weights, i, share, want)
			}
		}
	}
}

// The same value always meets the same variant; a share that grows sends nobody back.
func TestSplitIsStable(t *testing.T) {
	t.Parallel()
	ten := newSplit(t, &Split{To: variants(90, 10), By: "header", Header: "X-User"}, "r")
	again := newSplit(t, &Split{To: variants(90, 10), By: "header", Header: "X-User"}, "r")
	twenty := newSplit(t, &Split{To: variants(80, 20), By: "header", Header: "X-User"}, "r")
	other := newSplit(t, &Split{To: variants(90, 10), By: "header", Header: "X-User"}, "other")
	salted := newSplit(t, &Split{To: variants(90, 10), By: "header", Header: "X-User", Salt: "r"}, "other")
	moved, differs := 0, 0
	for i := range 10_000 {
		r := ask("GET", "/", fmt.Sprint("X-User: user ", i))
		a, _ := ten(r)
		b, _ := again(r)
		c, _ := twenty(r)
		d, _ := other(r)
		e, _ := salted(r)
		if a != b || a != e {
			t.Fatalf("user %d meets %s, %s and %s", i, a, b, e)
		}
		if a == "s1" && c == "s0" {
			t.Fatalf("user %d was sent back", i)
		}
		if a != c {
			moved++
		}
		if a != d {
			differs++
		}
		r.Release()
	}
	if moved < 800 || moved > 1200 || differs == 0 {
		t.Errorf("%d of 10000 moved from 10 to 20 %%; %d differ between routes", moved, differs)
	}
}

func TestSplitByClient(t *testing.T) {
	t.Parallel()
	pick := newSplit(t, &Split{To: variants(1, 1), By: "client"}, "r")
	at := func(addr string) string {
		r := ask("GET", "/")
		defer r.Release()
		r.X.Client = netip.MustParseAddr(addr)
		s, _ := pick(r)
		return s
	}
	differ := 0
	for i := range 50 {
		a := at(fmt.Sprintf("2001:db8:0:%x::1", i))
		if b := at(fmt.Sprintf("2001:db8:0:%x:ffff::2", i)); a != b {
			t.Error("one /64 was split")
		}
		if at(fmt.Sprintf("192.0.2.%d", i)) != at(fmt.Sprintf("::ffff:192.0.2.%d", i)) {
			t.Error("an IPv4 address in IPv6 form was split")
		}
		if a != at("2001:db8:0:0::1") {
			differ++
		}
	}
	if differ == 0 {
		t.Error("all clients meet the same variant")
	}
}

func TestSplitCookie(t *testing.T) {
	t.Parallel()
	list := variants(1, 0)
	pick := newSplit(t, &Split{To: list, By: "cookie"}, "a b;c")
	r := ask("GET", "/")
	_, set := pick(r)
	name, rest, _ := strings.Cut(set, "=")
	token, _, _ := strings.Cut(rest, ";")
	if name != "maru_split_a_b_c" || !strings.HasPrefix(token, "s0.") {
		t.Fatalf("Set-Cookie: %s", set)
	}
	// The one without a weight keeps who holds its cookie.
	grown := newSplit(t, &Split{To: variants(0, 1), By: "cookie"}, "a b;c")
	held := ask("GET", "/", "Cookie: x=y; "+name+"="+token)
	if s, set := grown(held); s != "s0" || set != "" {
		t.Errorf("a sticky client met %s and got %q", s, set)
	}
	drained := variants(0, 1)
	drained[0].Drain = true
	if s, set := newSplit(t, &Split{To: drained, By: "cookie"}, "a b;c")(held); s != "s1" || set == "" {
		t.Errorf("a drained variant: %s, %q", s, set)
	}
	for _, bad := range []string{"s0", "s0.", token + "x", strings.Replace(token, "s0", "s1", 1), "s9." + token[3:]} {
		r := ask("GET", "/", "Cookie: "+name+"="+bad)
		if s, set := grown(r); s != "s1" || set == "" {
			t.Errorf("the forged cookie %s: %s, %q", bad, s, set)
		}
	}
	if s, _ := newSplit(t, &Split{To: variants(0, 1), By: "cookie"}, "a b")(ask("GET", "/", "Cookie: maru_split_a_b="+token)); s != "s1" {
		t.Error("the cookie of another route was taken")
	}
}
