package route

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/maru-msa/maru/message"
)

// many are n routes as a large installation has them.
func many(n int) []Rule[int] {
	rules := make([]Rule[int], 0, n)
	for i := range n {
		m := Match{}
		switch i % 5 {
		case 0:
			m.Path = fmt.Sprintf("/service-%d/items/{id}", i)
		case 1:
			m.Path, m.Methods = fmt.Sprintf("/api/v1/team-%d/{rest...}", i), List{"GET", "POST"}
		case 2:
			m.Host, m.Path = List{fmt.Sprintf("shop-%d.example.com", i)}, "/orders/{id}/lines/{line}"
		case 3:
			m.Host, m.Path = List{fmt.Sprintf("*.tenant-%d.example.com", i)}, "/"
		case 4:
			m.Path = fmt.Sprintf("/static/page-%d.html", i)
		}
		rules = append(rules, Rule[int]{Match: m, Name: fmt.Sprintf("r%d", i), Value: i})
	}
	return rules
}

// set makes a request of a method, host and path.
func set(r *message.Request, method, host, path string) {
	r.Reset()
	r.Method, r.Host, r.Path, r.Scheme = method, host, path, "http"
}

func table(t testing.TB, rules []Rule[int]) *Table[int] {
	t.Helper()
	tab, err := Build(rules)
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

func TestFindAllocatesNothing(t *testing.T) {
	for _, n := range []int{10, 10_000} {
		tab := table(t, many(n))
		r := message.NewRequest()
		for _, q := range [][2]string{
			{"", fmt.Sprintf("/service-%d/items/77", n-5)},
			{"", fmt.Sprintf("/api/v1/team-%d/a/b", n-4)},
			{fmt.Sprintf("shop-%d.example.com", n-3), "/orders/1/lines/2"},
			{fmt.Sprintf("x.tenant-%d.example.com", n-2), "/"},
			{"", fmt.Sprintf("/static/page-%d.html", n-1)},
			{"", "/nothing"},
		} {
			set(r, "GET", q[0], q[1])
			_, want := tab.Find(r, 0)
			if (want == Found) == (q[1] == "/nothing") {
				t.Errorf("%d routes, %s: %v", n, q[1], want)
			}
			if got := testing.AllocsPerRun(200, func() {
				d, err := Canonical(r)
				if err != nil {
					t.Fatal(err)
				}
				tab.Find(r, d)
			}); got != 0 {
				t.Errorf("%d routes, %s: %v allocations a request", n, q[1], got)
			}
		}
	}
}

func TestFindOfOneTenantInMany(t *testing.T) {
	list := make([]Rule[int], 10_000)
	for i := range list {
		list[i] = Rule[int]{Match: Match{Path: "/a", Headers: map[string]string{"X-Tenant": "t" + strconv.Itoa(i)}}, Value: i}
	}
	tab := table(t, list)
	r := requestOf("/a", "Accept", "*/*", "x-tenant", "t9876")
	if got, v := tab.Find(r, 0); got != 9876 || v != Found {
		t.Errorf("got %d %v", got, v)
	}
	if n := testing.AllocsPerRun(100, func() { tab.Find(r, 0) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkFind(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		tab := table(b, many(n))
		r := message.NewRequest()
		set(r, "GET", "gateway.example", fmt.Sprintf("/service-%d/items/77", n-5))
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				d, _ := Canonical(r)
				tab.Find(r, d)
			}
		})
	}
}

func BenchmarkFindTenant(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		list := make([]Rule[int], n)
		for i := range list {
			list[i] = Rule[int]{Match: Match{Path: "/a", Headers: map[string]string{"X-Tenant": "t" + strconv.Itoa(i)}}}
		}
		tab := table(b, list)
		r := requestOf("/a", "Accept", "*/*", "x-tenant", "t"+strconv.Itoa(n-1))
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			for b.Loop() {
				tab.Find(r, 0)
			}
		})
	}
}

func BenchmarkBuild(b *testing.B) {
	rules := many(10_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Build(rules); err != nil {
			b.Fatal(err)
		}
	}
}
