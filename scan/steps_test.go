package scan_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/maru-msa/maru/scan"
)

// likeObjects is a list whose objects mostly have their members in one order;
// some leave members out, add others, swap them, spell a name with escapes, put
// a space before the colon, or have a name twice.
func likeObjects(r *rand.Rand) string {
	names := []string{"id", "a name that is longer than a step", "createdAtTheMoment", "owner", "b", "", "tags", "x1", "x2", "x3", "x4"}[r.IntN(2):]
	var object func(depth int) string
	object = func(depth int) string {
		var members []string
		for _, name := range names {
			if r.IntN(8) == 0 {
				continue
			}
			text, colon := fmt.Sprintf("%q", name), ":"
			if r.IntN(60) == 0 && name != "" {
				text = fmt.Sprintf(`"\u%04x%s"`, name[0], name[1:])
			}
			if r.IntN(60) == 0 {
				colon = " :"
			}
			value := []string{`1`, `"x"`, `"김하늘 and more"`, `null`, `[]`, `{}`}[r.IntN(6)]
			if depth > 0 && r.IntN(5) == 0 {
				value = object(depth - 1)
			}
			if depth > 0 && r.IntN(8) == 0 {
				value = "[" + object(depth-1) + ",[" + object(depth-1) + "], " + object(depth-1) + "]"
			}
			members = append(members, text+colon+value)
		}
		if len(members) > 1 && r.IntN(15) == 0 {
			i := r.IntN(len(members) - 1)
			members[i], members[i+1] = members[i+1], members[i]
		}
		if len(members) > 0 && r.IntN(100) == 0 {
			members = append(members, members[r.IntN(len(members))])
		}
		return "{" + strings.Join(members, []string{",", ", "}[r.IntN(2)]) + "}"
	}
	list := make([]string, 1+r.IntN(6))
	for i := range list {
		list[i] = object(2)
	}
	return `{"items":[` + strings.Join(list, ",") + `]}`
}

// What a Tape remembers of earlier texts must never show.
func TestMemoryOfNamesDoesNotShow(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(21, 22))
	for range 30 {
		var b scan.Builder
		reference := &want{kids: map[string]*want{}, each: true}
		items := b.Member(scan.Root, "items")
		reference.kids["items"] = randomLikeMask(r, &b, items, 3)
		strict := r.IntN(2) == 0
		mask, err := b.Mask(scan.Rules{Unique: strict})
		if err != nil {
			t.Fatal(err)
		}
		var known []*scan.Schema
		schema := randomSchema(r, 3, &known)
		list := &scan.Schema{Properties: map[string]*scan.Schema{"items": {Items: schema}}}
		p, err := scan.Compile(list, nil, scan.Rules{Unique: true})
		if err != nil {
			t.Fatal(err)
		}
		tape, judge, report := new(scan.Tape), new(scan.Tape), scan.NewReport()
		var s scan.Scanner
		for range 40 {
			text := likeObjects(r)
			twice := duplicates([]byte(text))
			err := scan.Scan(mask, []byte(text), tape)
			if strict && (err != nil) != twice || err != nil && !twice {
				t.Fatalf("%v, duplicates: %v: %s", err, twice, text)
			}
			if err == nil && !twice {
				if got, want := walk(tape, 0, nil), pick(t, reference, []byte(text), "", nil); !slices.Equal(got, want) {
					t.Fatalf("%s\ngot:\n%s\nwant:\n%s", text, strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			}
			cut := r.IntN(len(text) + 1)
			if got := inChunks(&s, scan.Rules{Unique: true}, []byte(text[:cut]), []byte(text[cut:])); (got != nil) != twice {
				t.Fatalf("cut at %d: %v, duplicates: %v: %.300s", cut, got, twice, text)
			}
			report.Reset()
			if p.Scan([]byte(text), judge, report) != nil {
				continue
			}
			budget := 3_000
			if valid := holds(list, decode(text), &budget); budget > 0 && valid != report.Valid() {
				t.Fatalf("%s: %q, want valid: %v\n%s", text, lines(report), valid, describe(schema, 0))
			}
			fresh := scan.NewReport()
			if err := p.Scan([]byte(text), new(scan.Tape), fresh); err != nil || !slices.Equal(lines(fresh), lines(report)) {
				t.Fatalf("%s: %q, a fresh tape says %q", text, lines(report), lines(fresh))
			}
			if !p.NeedsBody() {
				judged(t, p, text)
			}
		}
	}
}

// randomLikeMask wants some of the names of likeObjects.
func randomLikeMask(r *rand.Rand, b *scan.Builder, f scan.Field, depth int) *want {
	w := &want{field: f}
	if depth == 0 {
		return w
	}
	w.kids, w.each = map[string]*want{}, true
	for _, name := range []string{"id", "createdAtTheMoment", "owner", "b", "", "x4"} {
		if r.IntN(2) == 0 {
			w.kids[name] = randomLikeMask(r, b, b.Member(f, name), depth-1)
		}
	}
	if r.IntN(3) == 0 || len(w.kids) == 0 {
		w.rest = &want{field: b.All(f), named: true, each: true}
		w.rest.rest = w.rest
	}
	return w
}

func TestStepsOfOtherObjectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	mask := maskOf(t, scan.RequestRules())
	tape := new(scan.Tape)
	for _, test := range []struct {
		text string
		want string
	}{
		{`[{"a":1,"x":2},{"a":1,"x":2}]              `, "accept"},
		{`[{"x":0,"a":1,"x":2}]                      `, "duplicate-member"},
		{`[{"b":0,"a":1,"x":2}]                      `, "accept"},
		{`[{"\u0078":0,"a":1,"x":2}]                 `, "duplicate-member"},
		{`[{"a":0,"x":1,"a":2}]                      `, "duplicate-member"},
		{`[{"a":{"a":1,"x":1},"x":1}]                `, "accept"},
	} {
		if got := verdict(scan.Scan(mask, []byte(test.text), tape)); got != test.want {
			t.Errorf("%s: %s, want %s", test.text, got, test.want)
		}
	}
}

func TestManyNamesAreDemanded(t *testing.T) {
	t.Parallel()
	schema := &scan.Schema{}
	var members []string
	for i := range 130 {
		name := fmt.Sprintf("n%d", i)
		schema.Required = append(schema.Required, name)
		members = append(members, `"`+name+`":1`)
	}
	p := program(t, &scan.Schema{Items: schema})
	whole := "{" + strings.Join(members, ",") + "}"
	for _, missing := range []int{0, 63, 64, 65, 128, 129} {
		short := "{" + strings.Join(slices.Delete(slices.Clone(members), missing, missing+1), ",") + "}"
		want := []string{fmt.Sprintf("/1 required n%d: must be there", missing)}
		if got := judged(t, p, "["+whole+","+short+","+whole+"]"); !slices.Equal(got, want) {
			t.Errorf("%d: %q", missing, got)
		}
	}
}
