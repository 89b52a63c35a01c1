package aggregate_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maru-msa/maru/aggregate"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// world is a random graph with random data behind it, a stub that serves it, and
// a naive interpreter that says what must come out.
type world struct {
	rnd   *rand.Rand
	types []*worldType

	mu    sync.Mutex
	calls int
}

type worldType struct {
	name  string
	max   int
	refs  []int // l_j: a link to that type by ref_j
	bys   []int // elements name one of that type by p_j
	many  []bool
	wait  time.Duration
	items []map[string]any
}

func newWorld(seed uint64) *world {
	w := &world{rnd: rand.New(rand.NewPCG(seed, 1))}
	n := 2 + w.rnd.IntN(3)
	for i := range n {
		w.types = append(w.types, &worldType{name: fmt.Sprintf("T%d", i), max: 1 + w.rnd.IntN(4), wait: time.Duration(1+w.rnd.IntN(50)) * time.Millisecond})
	}
	for _, t := range w.types {
		for j := range n {
			if w.rnd.IntN(2) == 0 {
				t.refs = append(t.refs, j)
			}
			if w.rnd.IntN(2) == 0 {
				t.bys = append(t.bys, j)
				t.many = append(t.many, w.rnd.IntN(2) == 0)
			}
		}
	}
	for _, t := range w.types {
		for id := range 1 + w.rnd.IntN(8) {
			item := map[string]any{"id": id, "v": w.rnd.IntN(100)}
			for _, j := range t.refs {
				if w.rnd.IntN(4) > 0 {
					item[fmt.Sprintf("ref_%d", j)] = w.rnd.IntN(10) // some are of nobody
				}
			}
			for _, j := range t.bys {
				item[fmt.Sprintf("p_%d", j)] = w.rnd.IntN(8)
			}
			t.items = append(t.items, item)
		}
	}
	return w
}

func (w *world) config() aggregate.Config {
	types := make(map[string]aggregate.TypeConfig)
	for i, t := range w.types {
		c := aggregate.TypeConfig{
			Key:    aggregate.KeyConfig{Fields: []string{"id"}},
			One:    &aggregate.CallConfig{Call: fmt.Sprintf("s%d GET /one/{id}", i)},
			Many:   &aggregate.CallConfig{Call: fmt.Sprintf("s%d GET /many?ids={keys,}", i), Max: t.max},
			By:     make(map[string]aggregate.ByConfig),
			Fields: map[string]string{"id": "_", "v": "_"},
		}
		for _, j := range t.refs {
			c.Fields[fmt.Sprintf("l_%d", j)] = fmt.Sprintf("T%d(id: ref_%d)", j, j)
		}
		for k, j := range t.bys {
			by := fmt.Sprintf("p_%d", j)
			if t.many[k] {
				c.By[by] = aggregate.ByConfig{Many: &aggregate.CallConfig{Call: fmt.Sprintf("s%d GET /by/%d?keys={keys,}", i, j), Max: t.max}}
			} else {
				c.By[by] = aggregate.ByConfig{One: &aggregate.CallConfig{Call: fmt.Sprintf("s%d GET /by/%d?keys={key}", i, j)}}
			}
		}
		types[t.name] = c
	}
	for i, t := range w.types { // the other ends of the lists
		for _, j := range t.bys {
			types[w.types[j].name].Fields[fmt.Sprintf("b_%d", i)] = fmt.Sprintf("[T%d](p_%d: id)", i, j)
		}
	}
	return aggregate.Config{Graph: aggregate.GraphConfig{Types: types}, Limits: aggregate.LimitsConfig{Calls: 1 << 40, Keys: 1 << 28, List: 20}}
}

// service answers as a well-made service would, in any order it likes.
func (w *world) service(name string) aggregate.Caller {
	i, err := strconv.Atoi(strings.TrimPrefix(name, "s"))
	if err != nil || i >= len(w.types) {
		return nil
	}
	t := w.types[i]
	return func(r *message.Request) (*message.Response, error) {
		w.mu.Lock()
		w.calls++
		w.mu.Unlock()
		time.Sleep(t.wait)
		query, err := url.ParseQuery(r.Query)
		if err != nil {
			return nil, problem.New(500, "query", err.Error())
		}
		var out []map[string]any
		switch path := strings.Split(r.Path, "/"); path[1] {
		case "one":
			for _, item := range t.items {
				if fmt.Sprint(item["id"]) == path[2] {
					return answerOf(200, item), nil
				}
			}
			return answerOf(404, nil), nil
		case "many":
			for _, id := range slices.Backward(strings.Split(query.Get("ids"), ",")) {
				for _, item := range t.items {
					if fmt.Sprint(item["id"]) == id {
						out = append(out, item)
					}
				}
			}
		case "by":
			keys := strings.Split(query.Get("keys"), ",")
			for _, item := range t.items {
				if slices.Contains(keys, fmt.Sprint(item["p_"+path[2]])) {
					out = append(out, item)
				}
			}
		}
		return answerOf(200, out), nil
	}
}

func answerOf(status int, v any) *message.Response {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	if string(body) == "null" {
		body = []byte("[]")
	}
	return jsonResponse(status, string(body))
}

// wanted is a random selection: names of fields with what is selected below.
type wanted struct {
	name string
	out  string
	sub  []wanted
}

func (w *world) selection(i, depth int) []wanted {
	list := []wanted{{name: "id", out: "id"}}
	if w.rnd.IntN(2) == 0 {
		list = append(list, wanted{name: "v", out: "w"})
	}
	if depth == 0 {
		return list
	}
	add := func(name string, j int) {
		for k := range w.rnd.IntN(3) {
			list = append(list, wanted{name: name, out: fmt.Sprintf("%s_%d", name, k), sub: w.selection(j, depth-1)})
		}
	}
	for _, j := range w.types[i].refs {
		add(fmt.Sprintf("l_%d", j), j)
	}
	for j, t := range w.types {
		if slices.Contains(t.bys, i) {
			add(fmt.Sprintf("b_%d", j), j)
		}
	}
	return list
}

func text(list []wanted) string {
	var b strings.Builder
	for _, s := range list {
		b.WriteString(s.out + ": " + s.name)
		if strings.HasPrefix(s.name, "b_") {
			b.WriteString("(first: 20)") // more than there are
		}
		if len(s.sub) > 0 {
			b.WriteString(" { " + text(s.sub) + "}")
		}
		b.WriteString(" ")
	}
	return b.String()
}

// expected is the naive interpreter: it decodes, follows each link alone, and notes
// on the way which keys every call would need.
type expected struct {
	w      *world
	groups map[string]*group
}

// group is what one fetch must be: a call at a depth with its distinct keys.
type group struct {
	keys  map[int]bool
	max   int
	after map[string]bool
	wait  time.Duration
}

func (x *expected) group(name string, t *worldType, most int, after string) *group {
	g := x.groups[name]
	if g == nil {
		g = &group{keys: make(map[int]bool), max: most, after: make(map[string]bool), wait: t.wait}
		x.groups[name] = g
	}
	if after != "" {
		g.after[after] = true
	}
	return g
}

func (x *expected) object(i int, item map[string]any, list []wanted, depth int, from string) string {
	t := x.w.types[i]
	var b strings.Builder
	b.WriteByte('{')
	for n, s := range list {
		if n > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:", s.out)
		kind, number, _ := strings.Cut(s.name, "_")
		j, err := strconv.Atoi(number)
		switch {
		case err != nil:
			fmt.Fprint(&b, item[s.name])
		case kind == "l":
			b.WriteString(x.one(j, item[fmt.Sprintf("ref_%d", j)], s.sub, depth, from))
		default:
			b.WriteString(x.list(t, i, j, item, s.sub, depth, from))
		}
	}
	b.WriteByte('}')
	return b.String()
}

func (x *expected) one(j int, key any, sub []wanted, depth int, from string) string {
	if key == nil {
		return "null"
	}
	name := fmt.Sprintf("many %d at %d", j, depth)
	target := x.w.types[j]
	x.group(name, target, target.max, from).keys[key.(int)] = true
	for _, item := range target.items {
		if item["id"] == key {
			return x.object(j, item, sub, depth+1, name)
		}
	}
	return "null"
}

func (x *expected) list(_ *worldType, i, j int, item map[string]any, sub []wanted, depth int, from string) string {
	target := x.w.types[j]
	k := slices.Index(target.bys, i)
	name := fmt.Sprintf("by %d of %d at %d", i, j, depth)
	most := 1
	if target.many[k] {
		most = target.max
	}
	x.group(name, target, most, from).keys[item["id"].(int)] = true
	var parts []string
	for _, e := range target.items {
		if e[fmt.Sprintf("p_%d", i)] == item["id"] {
			parts = append(parts, x.object(j, e, sub, depth+1, name))
		}
	}
	return "[" + strings.Join(parts, ",") + "]"
}

// calls is the exact number of calls, and critical the least time they take.
func (x *expected) calls() int {
	n := 0
	for _, g := range x.groups {
		n += (len(g.keys) + g.max - 1) / g.max
	}
	return n
}

func (x *expected) critical(name string) time.Duration {
	g := x.groups[name]
	var before time.Duration
	for after := range g.after {
		before = max(before, x.critical(after))
	}
	if len(g.keys) == 0 {
		return before // not called
	}
	return before + g.wait
}

// waits notes what every call must wait for, whatever the data: whether a level has
// keys for it is known when that level is there.
func (x *expected) waits(i int, list []wanted, depth int, from string) {
	for _, s := range list {
		kind, number, _ := strings.Cut(s.name, "_")
		j, err := strconv.Atoi(number)
		if err != nil {
			continue
		}
		name := fmt.Sprintf("many %d at %d", j, depth)
		if kind == "b" {
			name = fmt.Sprintf("by %d of %d at %d", i, j, depth)
		}
		x.group(name, x.w.types[j], 1, from)
		x.waits(j, s.sub, depth+1, name)
	}
}

// TestRandomGraphs is the bar of the plan engine: the same answer as the naive
// interpreter, Σ⌈distinct keys/max⌉ calls exactly, and no time above the critical path.
func TestRandomGraphs(t *testing.T) {
	n := uint64(10_000)
	if testing.Short() {
		n = 500
	}
	for seed := range n {
		synctest.Test(t, func(t *testing.T) { randomGraph(t, seed) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func randomGraph(t *testing.T, seed uint64) {
	w := newWorld(seed)
	sel := w.selection(0, 1+w.rnd.IntN(3))
	var ids []string
	for range w.rnd.IntN(6) {
		ids = append(ids, strconv.Itoa(w.rnd.IntN(9)))
	}
	view := aggregate.ViewConfig{
		Budget: time.Hour,
		Select: aggregate.SelectConfig{"": fmt.Sprintf("root: t0s(ids: [%s]) { %s }", strings.Join(ids, " "), text(sel))},
	}
	g, err := aggregate.Compile(w.config(), map[string]aggregate.ViewConfig{"GET /v": view}, aggregate.Env{Whole: true, Service: w.service})
	if g == nil { // warnings refuse nothing
		t.Errorf("compile: %v", err)
		return
	}
	x := &expected{w: w, groups: make(map[string]*group)}
	var parts []string
	for _, id := range ids {
		key, _ := strconv.Atoi(id)
		x.group("many 0 at 0", w.types[0], w.types[0].max, "").keys[key] = true
		for _, item := range w.types[0].items {
			if item["id"] == key {
				parts = append(parts, x.object(0, item, sel, 1, "many 0 at 0"))
			}
		}
	}
	x.group("many 0 at 0", w.types[0], w.types[0].max, "")
	x.waits(0, sel, 1, "many 0 at 0")
	want := `{"root":[` + strings.Join(parts, ",") + "]}"
	began := time.Now()
	r := message.NewRequest()
	defer r.Release()
	r.Method, r.Path = "GET", "/v"
	resp, err := g.Views()["GET /v"].Do(r)
	if err != nil {
		t.Errorf("seed %d: %v", seed, err)
		return
	}
	took := time.Since(began)
	body, err := io.ReadAll(resp.Body)
	resp.Release()
	if err != nil || string(body) != want {
		t.Errorf("got  %s\nwant %s\n%v", body, want, view.Select[""])
	}
	if w.calls != x.calls() {
		t.Errorf("%d calls, not %d, for %v", w.calls, x.calls(), view.Select[""])
	}
	var critical time.Duration
	for name := range x.groups {
		critical = max(critical, x.critical(name))
	}
	if took > critical+critical/50+time.Millisecond {
		t.Errorf("took %v; the critical path is %v", took, critical)
	}
}
