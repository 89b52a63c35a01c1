package route_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/route"
)

func TestInOrderGivesPrioritiesOnlyWhereTheyAreNeeded(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		list []route.Match
		want []int
	}{
		{"narrow before broad", []route.Match{{Path: "/a/b"}, {Path: "/a/{rest...}"}, {}}, []int{0, 0, 0}},
		{"broad before narrow", []route.Match{{Path: "/a/{rest...}"}, {Path: "/a/b"}}, []int{1, 0}},
		{"a chain", []route.Match{{}, {Path: "/a/{rest...}"}, {Path: "/a/b"}}, []int{2, 1, 0}},
		{"strangers", []route.Match{{Path: "/a/{rest...}"}, {Path: "/b"}, {Path: "/ab"}}, []int{0, 0, 0}},
		{"equal ones", []route.Match{{Path: "/a"}, {Path: "/a"}}, []int{1, 0}},
		{"methods apart", []route.Match{{Path: "/a", Methods: route.List{"POST"}}, {Path: "/a", Methods: route.List{"PUT"}}}, []int{0, 0}},
		{"values apart", []route.Match{
			{Path: "/a", Headers: map[string]string{"X": "1"}}, {Path: "/a", Headers: map[string]string{"X": "2", "Y": "1"}},
		}, []int{0, 0}},
		{"predicate before none", []route.Match{{Path: "/a/{rest...}", Headers: map[string]string{"X": "1"}}, {Path: "/a/b"}}, []int{1, 0}},
		{"wildcard before exact host", []route.Match{{Host: route.List{"*.b.example"}}, {Host: route.List{"a.b.example"}}}, []int{1, 0}},
		{"exact host before wildcard", []route.Match{{Host: route.List{"a.b.example"}}, {Host: route.List{"*.b.example"}}}, []int{0, 0}},
		{"wide wildcard first", []route.Match{{Host: route.List{"*.example"}}, {Host: route.List{"*.b.example"}}}, []int{1, 0}},
		{"other hosts", []route.Match{{Host: route.List{"*.c.example"}}, {Host: route.List{"a.b.example"}}}, []int{0, 0}},
		{"regex before exact", []route.Match{{Path: "regex:/a/[bc]/?"}, {Path: "/a/b"}, {Path: "/a/d"}}, []int{1, 0, 0}},
		{"a group", []route.Match{{Path: "/a/{rest...}", Weight: new(1)}, {Path: "/a/{rest...}", Weight: new(3)}, {Path: "/a/b"}}, []int{1, 1, 0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := route.InOrder(test.list)
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("got %v, %v, want %v", got, err, test.want)
			}
		})
	}
}

func TestInOrderNamesTheFaultyMatch(t *testing.T) {
	t.Parallel()
	_, err := route.InOrder([]route.Match{{Path: "/a"}, {Path: "a"}})
	if err == nil || !strings.HasPrefix(err.Error(), "[1].path: ") {
		t.Errorf("got %v", err)
	}
}

// TestInOrderIsFirstMatch sends requests through tables made in many orders: the
// first match of the list that takes a request must get it.
func TestInOrderIsFirstMatch(t *testing.T) {
	t.Parallel()
	pool := []route.Match{
		{},
		{Path: "/a/{rest...}"},
		{Path: "/a/{x}"},
		{Path: "/a/b"},
		{Path: "regex:/a/[a-c]+/?"},
		{Path: "/{x}/b"},
		{Host: route.List{"*.example"}},
		{Host: route.List{"one.example"}, Path: "/a/{rest...}"},
		{Methods: route.List{"POST"}},
		{Path: "/a/b", Headers: map[string]string{"X-A": "present"}},
	}
	seed := uint64(1)
	next := func(n int) int {
		seed = seed*6364136223846793005 + 1442695040888963407
		return int(seed>>33) % n
	}
	for range 200 {
		list := slices.Clone(pool)
		for i := range list {
			j := i + next(len(list)-i)
			list[i], list[j] = list[j], list[i]
		}
		list = list[:2+next(len(list)-2)]
		priorities, err := route.InOrder(list)
		if err != nil {
			t.Fatal(err)
		}
		rules := make([]route.Rule[int], len(list))
		alone := make([]*route.Table[int], len(list))
		for i := range list {
			if alone[i], err = route.Build([]route.Rule[int]{{Match: list[i]}}); err != nil {
				t.Fatal(err)
			}
			rules[i] = route.Rule[int]{Match: list[i], Value: i}
			rules[i].Match.Priority = priorities[i]
		}
		table, err := route.Build(rules)
		if err != nil {
			t.Fatal(err)
		}
		for _, host := range []string{"", "one.example", "two.example"} {
			for _, path := range []string{"/", "/a", "/a/b", "/a/b/", "/a/c", "/a/d", "/z/b"} {
				for _, method := range []string{"GET", "POST"} {
					for _, field := range []bool{false, true} {
						want := slices.IndexFunc(alone, func(one *route.Table[int]) bool {
							_, v := find(one, method, host, path, field)
							return v == route.Found
						})
						got, v := find(table, method, host, path, field)
						if v != route.Found {
							got = -1
						}
						if got != want {
							t.Fatalf("%s %s%s (%v): got %d, want %d of %+v", method, host, path, field, got, want, list)
						}
					}
				}
			}
		}
	}
}

func find(table *route.Table[int], method, host, path string, field bool) (int, route.Verdict) {
	r := message.NewRequest()
	defer r.Release()
	r.Method, r.Host, r.Path, r.Scheme = method, host, path, "http"
	if field {
		r.Header.Append(message.Field{Name: "X-A", Value: "1"})
	}
	return table.Find(r, 0)
}
