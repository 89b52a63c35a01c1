package scan_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/maru-msa/maru/scan"
)

// program compiles a schema.
func program(tb testing.TB, s *scan.Schema) *scan.Program {
	tb.Helper()
	p, err := scan.Compile(s, nil, scan.RequestRules())
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// judged scans the text and lists the violations, at once and in chunks.
func judged(tb testing.TB, p *scan.Program, text string) []string {
	tb.Helper()
	tape, report := scan.NewTape(), scan.NewReport()
	defer tape.Release()
	defer report.Release()
	if err := p.Scan([]byte(text), tape, report); err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	out := lines(report)
	if p.NeedsBody() {
		return out
	}
	var s scan.Scanner
	for cut := range len(text) + 1 {
		if cut > 40 && cut < len(text)-3 {
			continue
		}
		report.Reset()
		if err := s.ResetProgram(p, report); err != nil {
			tb.Fatal(err)
		}
		for _, piece := range []string{text[:cut], text[cut:]} {
			chunk := []byte(piece)
			if _, err := s.Write(chunk); err != nil {
				tb.Fatal(err)
			}
			for i := range chunk {
				chunk[i] = 0xDB
			}
		}
		if err := s.Close(); err != nil {
			tb.Fatal(err)
		}
		if got := lines(report); !slices.Equal(got, out) {
			tb.Fatalf("%s cut at %d:\n%s\nat once:\n%s", text, cut, strings.Join(got, "\n"), strings.Join(out, "\n"))
		}
	}
	return out
}

// lines writes a report in lines.
func lines(r *scan.Report) []string {
	var out []string
	for _, v := range r.Violations() {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s: %s", v.Pointer, v.Keyword, v.Name, v.Want)))
	}
	if r.More() > 0 {
		out = append(out, fmt.Sprintf("and %d more", r.More()))
	}
	return out
}

// member is the contract of the tests: the example of the specification.
func member() *scan.Schema {
	text := func(s scan.Schema) *scan.Schema {
		s.Types = scan.TypeString
		return &s
	}
	return &scan.Schema{
		Place: "#/Member", Types: scan.TypeObject, Required: []string{"name", "tier"},
		Additional: &scan.Schema{Never: true},
		Dependent:  map[string][]string{"card": {"address"}},
		Properties: map[string]*scan.Schema{
			"name":    text(scan.Schema{Place: "#/Member/name", Length: scan.Range{Min: 1, Max: 5, Bounded: true}}),
			"tier":    text(scan.Schema{Enum: []string{`"basic"`, `"plus"`}}),
			"points":  {Types: scan.TypeInteger, Minimum: "0", Maximum: "9007199254740993"},
			"price":   {Types: scan.TypeNumber, MultipleOf: "0.01", ExclusiveMinimum: "0", ExclusiveMaximum: "1e3"},
			"slug":    text(scan.Schema{Patterns: []scan.Pattern{{Expr: regexp.MustCompile(`^[a-z]+$`), Source: "^[a-z]+$"}}}),
			"joined":  text(scan.Schema{Formats: []scan.Format{{Name: "date", Want: "an RFC 3339 date", Text: func(b []byte) bool { return len(b) == 10 }}}}),
			"tags":    {Types: scan.TypeArray, Count: scan.Range{Min: 1, Max: 3, Bounded: true}, Unique: true, Items: &scan.Schema{Types: scan.TypeString | scan.TypeNumber}},
			"pair":    {Prefix: []*scan.Schema{{Types: scan.TypeString}, {Types: scan.TypeBoolean}}, Items: &scan.Schema{Never: true}},
			"card":    {Types: scan.TypeNull | scan.TypeString},
			"address": {Members: scan.Range{Min: 1, Max: 2, Bounded: true}, Names: &scan.Schema{Length: scan.Range{Max: 4, Bounded: true}}},
			"kind":    {Const: `"member"`},
			"one":     {Const: `1`},
		},
		PatternProperties: []scan.PatternProperty{{Expr: regexp.MustCompile(`^x-`), Schema: &scan.Schema{Types: scan.TypeBoolean}}},
	}
}

func TestProgramViolations(t *testing.T) {
	t.Parallel()
	p := program(t, member())
	const head = `{"name":"김","tier":"plus",`
	tests := []struct {
		text string
		want []string
	}{
		{head + `"points":1.0,"price":999.99,"slug":"ab","joined":"2026-01-01","tags":["a",1,"1"],"pair":["x",true],"card":null,"address":{"a":1},"kind":"m\u0065mber","one":10e-1,"x-y":true}`, nil},
		{`{"name":"","tier":"gold","joined":"2024-13"}`, []string{
			"/name minLength : must have at least 1 character", "/tier enum : must be one of basic, plus", "/joined format : must be an RFC 3339 date",
		}},
		{`{"name":"\ud83d\ude00\ud83d\ude00\ud83d\ude00\ud83d\ude00\ud83d\ude00","tier":"plus"}`, nil},
		{`{"name":"일이삼사오육","tier":"plus"}`, []string{"/name maxLength : must have at most 5 characters"}},
		{`[]`, []string{"type : must be an object"}},
		{`7`, []string{"type : must be an object"}},
		{`{}`, []string{"required name: must be there", "required tier: must be there"}},
		{head + `"points":9007199254740993}`, nil},
		{head + `"points":9007199254740994}`, []string{"/points maximum : must be at most 9007199254740993"}},
		{head + `"points":-0}`, nil},
		{head + `"points":-1e-400}`, []string{"/points type : must be an integer", "/points minimum : must be at least 0"}},
		{head + `"points":1e5000000}`, []string{"/points exponent : must have an exponent of at most 10000"}},
		{head + `"price":0.001}`, []string{"/price multipleOf : must be a multiple of 0.01"}},
		{head + `"price":1000}`, []string{"/price exclusiveMaximum : must be less than 1e3"}},
		{head + `"price":0e7}`, []string{"/price exclusiveMinimum : must be more than 0"}},
		{head + `"price":"1"}`, []string{"/price type : must be a number"}},
		{head + `"slug":"A\/~"}`, []string{"/slug pattern : must match ^[a-z]+$"}},
		{head + `"tags":[]}`, []string{"/tags minItems : must have at least 1 elements"}},
		{head + `"tags":["a","\u0061","b",true]}`, []string{"/tags maxItems : must have at most 3 elements", "/tags uniqueItems : must not have two equal elements", "/tags/3 type : must be a number or a string"}},
		{head + `"tags":[10,1e1]}`, []string{"/tags uniqueItems : must not have two equal elements"}},
		{head + `"pair":[1]}`, []string{"/pair/0 type : must be a string"}},
		{head + `"pair":["x",true,0]}`, []string{"/pair/2 items : must not be there: no element is allowed at this place"}},
		{head + `"card":"1"}`, []string{"dependentRequired address: must be there"}},
		{head + `"address":{}}`, []string{"/address minProperties : must have at least 1 members"}},
		{head + `"address":{"a":1,"b":2,"street":3}}`, []string{"/address maxProperties : must have at most 2 members", "/address/street maxLength : must have at most 4 characters"}},
		{head + `"kind":"x","one":true}`, []string{"/kind const : must be member", "/one const : must be 1"}},
		{head + `"one":{}}`, []string{"/one const : must be 1"}},
		{head + `"x-y":1,"a/b~c":2,"d":{"e":[]}}`, []string{"/x-y type : must be a boolean", "/a~1b~0c additionalProperties : must not be there: no member of this name is allowed", "/d additionalProperties : must not be there: no member of this name is allowed"}},
	}
	for _, test := range tests {
		got := judged(t, p, test.text)
		slices.Sort(got)
		slices.Sort(test.want)
		if !slices.Equal(got, test.want) {
			t.Errorf("%s\ngot:  %q\nwant: %q", test.text, got, test.want)
		}
	}
}

func TestProgramSingleKeywords(t *testing.T) {
	t.Parallel()
	tests := []struct {
		schema scan.Schema
		text   string
		want   string
	}{
		{scan.Schema{Dependent: map[string][]string{"a": {"b"}}}, `{"a":1}`, "dependentRequired b: must be there"},
		{scan.Schema{Dependent: map[string][]string{"a": {"b"}}}, `{"b":1}`, ""},
		{scan.Schema{Unique: true}, `[1,1,1,1]`, "uniqueItems : must not have two equal elements"},
		{scan.Schema{Unique: true}, `[1,"1",true,null,"null",{},{},[1],[1]]`, ""},
		{scan.Schema{MultipleOf: "4"}, `1e2`, ""},
		{scan.Schema{MultipleOf: "4"}, `1e1`, "multipleOf : must be a multiple of 4"},
		{scan.Schema{MultipleOf: "2.5"}, `1e2`, ""},
		{scan.Schema{MultipleOf: "7"}, `12345678901234567890123456789`, ""},
		{scan.Schema{MultipleOf: "7"}, `12345678901234567890123456788`, "multipleOf : must be a multiple of 7"},
		{scan.Schema{MultipleOf: "0.0001"}, `12391239123.0001`, ""},
		{scan.Schema{MultipleOf: "300"}, `900`, ""},
		{scan.Schema{MultipleOf: "300"}, `1000`, "multipleOf : must be a multiple of 300"},
		{scan.Schema{Minimum: "1e30"}, `5`, "minimum : must be at least 1e30"},
		{scan.Schema{Minimum: "-0.5"}, `-0.50`, ""},
		{scan.Schema{Minimum: "-0.5"}, `-0.51`, "minimum : must be at least -0.5"},
		{scan.Schema{Maximum: "-1"}, `-0.9`, "maximum : must be at most -1"},
		{scan.Schema{Maximum: "-1"}, `-1.1`, ""},
		{scan.Schema{ExclusiveMinimum: "9223372036854775807"}, `9223372036854775807.0`, "exclusiveMinimum : must be more than 9223372036854775807"},
		{scan.Schema{ExclusiveMinimum: "9223372036854775807"}, `9223372036854775808`, ""},
	}
	for _, test := range tests {
		got := strings.Join(judged(t, program(t, &test.schema), test.text), "; ")
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.text, got, test.want)
		}
	}
}

func TestProgramReportIsBounded(t *testing.T) {
	t.Parallel()
	p := program(t, &scan.Schema{Items: &scan.Schema{Types: scan.TypeString}})
	got := judged(t, p, "["+strings.Repeat("1,", 99)+"1]")
	if len(got) != 21 || got[20] != "and 80 more" {
		t.Errorf("%q", got)
	}
}

func TestProgramChoices(t *testing.T) {
	t.Parallel()
	cat := &scan.Schema{Place: "cat", Types: scan.TypeObject, Required: []string{"kind", "lives"}, Properties: map[string]*scan.Schema{"lives": {Types: scan.TypeInteger}}}
	dog := &scan.Schema{Place: "dog", Types: scan.TypeObject, Required: []string{"kind"}, Properties: map[string]*scan.Schema{"barks": {Types: scan.TypeBoolean}}}
	dog.Properties["pups"] = &scan.Schema{Items: &scan.Schema{Types: scan.TypeObject, All: []*scan.Schema{dog}}}
	pet := &scan.Schema{Place: "pet", Properties: map[string]*scan.Schema{"name": {Types: scan.TypeString}}, Choices: []*scan.Choice{{
		Keyword: "oneOf", Tag: "kind", Branches: []scan.Branch{{Tags: []string{`"cat"`}, Schema: cat}, {Tags: []string{`"dog"`, `1`}, Schema: dog}},
	}}}
	value := &scan.Schema{Choices: []*scan.Choice{{Keyword: "anyOf", Branches: []scan.Branch{
		{Types: scan.TypeObject, Schema: pet}, {Types: scan.TypeInteger, Schema: &scan.Schema{Types: scan.TypeInteger, Minimum: "1"}}, {Types: scan.TypeNull},
	}}}}
	p := program(t, &scan.Schema{Items: value})
	tests := []struct {
		text string
		want []string
	}{
		{`[{"kind":"cat","lives":9},{"lives":"many","x":{"kind":1},"kind":"dog"},{"barks":true,"kind":1.0},5,null]`, nil},
		{`[{"kind":"cat"}]`, []string{"/0 required lives: must be there"}},
		{`[{"name":1,"kind":"cow"}]`, []string{"/0 oneOf : must have a kind that is one of cat, dog, 1", "/0/name type : must be a string"}},
		{`[{"lives":1}]`, []string{"/0 oneOf : must have a kind that is one of cat, dog, 1"}},
		{`[{"name":{"kind":"cat"},"\u006bind":"dog","barks":1}]`, []string{"/0/name type : must be a string", "/0/barks type : must be a boolean"}},
		{`[0]`, []string{"/0 minimum : must be at least 1"}},
		{`["x",true]`, []string{"/0 anyOf : must be of a type that one branch allows", "/1 anyOf : must be of a type that one branch allows"}},
		{`[{"kind":"dog","pups":[{"kind":"x","pups":[{}]}]}]`, []string{"/0/pups/0/pups/0 required kind: must be there"}},
	}
	for _, test := range tests {
		if got := judged(t, p, test.text); !slices.Equal(got, test.want) {
			t.Errorf("%s\ngot:  %q\nwant: %q", test.text, got, test.want)
		}
	}
	var s scan.Scanner
	if err := s.ResetProgram(p, scan.NewReport()); !errors.Is(err, scan.ErrNeedsBody) {
		t.Errorf("a program with tags in chunks: %v", err)
	}
}

// oddLength is a validator of someone else's.
type oddLength struct{}

func (oddLength) Check(span []byte, add func(pointer, keyword, want string)) {
	if len(span)%2 == 0 {
		add("/x", "odd", "must be odd")
	}
}

func TestProgramForeignAndMask(t *testing.T) {
	t.Parallel()
	var b scan.Builder
	id := b.Path(scan.Root, "items.id")
	rest := b.Path(scan.Root, "more.*")
	mask, err := b.Mask(scan.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	schema := &scan.Schema{Properties: map[string]*scan.Schema{
		"items": {Items: &scan.Schema{Types: scan.TypeObject, Foreign: oddLength{}, Properties: map[string]*scan.Schema{"id": {Types: scan.TypeString}, "n": {Types: scan.TypeNull}}}},
		"text":  {Foreign: oddLength{}},
	}}
	p, err := scan.Compile(schema, mask, scan.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	tape, report := scan.NewTape(), scan.NewReport()
	body := []byte(`{"items":[{"id":"a"},{"id":1,"n":null},{"n":0}],"text":"ab","more":{"x":[1]}}`)
	if err := p.Scan(body, tape, report); err != nil {
		t.Fatal(err)
	}
	want := []string{"/items/0/x odd : must be odd", "/items/1/id type : must be a string", "/items/2/n type : must be null", "/text/x odd : must be odd"}
	// {"id":"a"} has 10 bytes, {"id":1,"n":null} 17, {"n":0} 7, "ab" 4.
	if got := lines(report); !slices.Equal(got, want) {
		t.Errorf("got:  %q\nwant: %q", got, want)
	}
	if report.Violations()[1].Folded != "/items/*/id" {
		t.Errorf("folded: %q", report.Violations()[1].Folded)
	}
	var spans []string
	for i, e := range tape.Entries() {
		if e.Field == id || e.Field == rest && e.Kind != scan.Name {
			spans = append(spans, string(tape.Span(scan.Ref(i))))
		}
	}
	if got := strings.Join(spans, " "); got != `"a" 1 [1]` {
		t.Errorf("entries: %s", got)
	}
}

func TestCompileRefusesWhatItCannotDecide(t *testing.T) {
	t.Parallel()
	integer := &scan.Schema{Types: scan.TypeInteger}
	self := &scan.Schema{Types: scan.TypeObject}
	self.All = []*scan.Schema{self}
	for name, s := range map[string]*scan.Schema{
		"enum of objects":   {Enum: []string{`{}`}},
		"const of an array": {Const: `[1]`},
		"branches":          {Choices: []*scan.Choice{{Keyword: "oneOf", Branches: []scan.Branch{{Types: scan.TypeNumber}, {Types: scan.TypeInteger, Schema: integer}}}}},
		"multipleOf":        {MultipleOf: "1234567890123456789012"},
		"zero":              {MultipleOf: "0"},
		"exponent":          {Minimum: "1e20000"},
		"word":              {Maximum: `"x"`},
		"names":             {Names: &scan.Schema{Choices: []*scan.Choice{{Keyword: "oneOf"}}}},
	} {
		if _, err := scan.Compile(s, nil, scan.Rules{}); err == nil {
			t.Errorf("%s passed", name)
		}
	}
	if got := judged(t, program(t, self), `[]`); len(got) != 1 {
		t.Errorf("allOf itself: %q", got)
	}
}

func TestProgramAllocatesNothing(t *testing.T) {
	p := program(t, member())
	body := []byte(`{"name":"김","tier":"plus","points":1.0,"price":999.99,"slug":"ab","joined":"2026-01-01","tags":["a",1,"\u0031"],"pair":["x",true],"card":null,"address":{"a":1},"kind":"m\u0065mber","one":10e-1,"x-y":true}`)
	tape, report := scan.NewTape(), scan.NewReport()
	if n := testing.AllocsPerRun(100, func() {
		if err := p.Scan(body, tape, report); err != nil || !report.Valid() {
			t.Fatal(err, lines(report))
		}
	}); n != 0 {
		t.Errorf("%v allocations a scan", n)
	}
}

// randomSchema makes a schema over the names and values of randomInstance.
func randomSchema(r *rand.Rand, depth int, known *[]*scan.Schema) *scan.Schema {
	if len(*known) > 0 && r.IntN(12) == 0 {
		return (*known)[r.IntN(len(*known))] // a reference, perhaps to an ancestor
	}
	s := &scan.Schema{}
	*known = append(*known, s)
	maybe := func(n int) bool { return r.IntN(n) == 0 }
	if maybe(25) {
		s.Never = true
		return s
	}
	if maybe(2) {
		s.Types = scan.Types(1 + r.IntN(127))
		s.Literal = maybe(4)
	}
	numbers := []string{"0", "1", "-1", "2.5", "10", "0.1", "1e2"}
	if maybe(8) {
		for range 1 + r.IntN(3) {
			s.Enum = append(s.Enum, randomScalar(r))
		}
	}
	if maybe(12) {
		s.Const = randomScalar(r)
	}
	for _, bound := range []*string{&s.Minimum, &s.Maximum, &s.ExclusiveMinimum, &s.ExclusiveMaximum} {
		if maybe(8) {
			*bound = numbers[r.IntN(len(numbers))]
		}
	}
	if maybe(8) {
		s.MultipleOf = []string{"1", "0.1", "2.5", "10", "3", "1e2"}[r.IntN(6)]
	}
	bounds := func() scan.Range {
		if maybe(5) {
			low := r.IntN(3)
			return scan.Range{Min: low, Max: low + r.IntN(3), Bounded: maybe(2)}
		}
		return scan.Range{}
	}
	s.Length, s.Members, s.Count = bounds(), bounds(), bounds()
	if maybe(8) {
		s.Patterns = []scan.Pattern{{Expr: regexp.MustCompile("[a1]"), Not: maybe(3)}}
	}
	s.Unique = maybe(8)
	if depth == 0 {
		return s
	}
	child := func() *scan.Schema { return randomSchema(r, depth-1, known) }
	if maybe(2) {
		s.Properties = map[string]*scan.Schema{}
		for range 1 + r.IntN(3) {
			s.Properties[string(rune('a'+r.IntN(4)))] = child()
		}
	}
	if maybe(4) {
		s.Required = []string{string(rune('a' + r.IntN(4)))}
	}
	if maybe(8) {
		s.Dependent = map[string][]string{string(rune('a' + r.IntN(4))): {string(rune('a' + r.IntN(4)))}}
	}
	if maybe(6) {
		s.PatternProperties = []scan.PatternProperty{{Expr: regexp.MustCompile("[ac]"), Schema: child()}}
		if maybe(2) {
			s.PatternProperties = append(s.PatternProperties, scan.PatternProperty{Expr: regexp.MustCompile("[ab]"), Schema: child()})
		}
	}
	if maybe(6) {
		s.Additional = child()
	}
	if maybe(10) {
		s.Names = &scan.Schema{Length: scan.Range{Min: 1}, Patterns: []scan.Pattern{{Expr: regexp.MustCompile("[abc]")}}}
	}
	if maybe(4) {
		s.Items = child()
	}
	if maybe(6) {
		s.Prefix = []*scan.Schema{child(), child()}[:1+r.IntN(2)]
	}
	if maybe(6) {
		s.All = []*scan.Schema{child()}
	}
	if maybe(8) {
		s.Choices = append(s.Choices, &scan.Choice{Keyword: "oneOf", Branches: []scan.Branch{
			{Types: scan.TypeObject | scan.TypeString, Schema: child()}, {Types: scan.TypeNumber, Schema: child()}, {Types: scan.TypeArray},
		}})
	}
	if maybe(8) {
		s.Choices = append(s.Choices, &scan.Choice{Keyword: "anyOf", Tag: "a", Branches: []scan.Branch{
			{Tags: []string{"1", `"a"`}, Schema: child()}, {Tags: []string{`""`, "null", "true"}, Schema: child()},
		}})
	}
	return s
}

func randomScalar(r *rand.Rand) string {
	return []string{"null", "true", "false", "0", "1", "1.0", "10e-1", "-1", "2.5", "25e-1", "10", "100", "1e2", "0.1", `""`, `"a"`, `"\u0061"`, `"1"`, `"김a"`}[r.IntN(19)]
}

func randomInstance(r *rand.Rand, depth int) string {
	if depth == 0 || r.IntN(3) == 0 {
		return randomScalar(r)
	}
	var parts []string
	if r.IntN(2) == 0 {
		for range r.IntN(4) {
			parts = append(parts, randomInstance(r, depth-1))
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	for _, at := range r.Perm(5)[:r.IntN(5)] {
		name := []string{`"a"`, `"b"`, `"\u0063"`, `"d"`, `""`}[at]
		parts = append(parts, name+":"+randomInstance(r, depth-1))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// holds is the reference: schemas over decoded values, numbers as fractions.
func holds(s *scan.Schema, v any, budget *int) bool {
	if *budget--; s == nil || *budget < 0 {
		return true
	}
	if s.Never {
		return false
	}
	kind := map[bool]scan.Types{}
	isType := func(t scan.Types) { kind[true] |= t }
	switch v := v.(type) {
	case nil:
		isType(scan.TypeNull)
	case bool:
		isType(scan.TypeBoolean)
	case json.Number:
		isType(scan.TypeNumber)
		if fraction(v).IsInt() && (!s.Literal || !strings.ContainsAny(v.String(), ".eE")) {
			isType(scan.TypeInteger)
		}
	case string:
		isType(scan.TypeString)
	case []any:
		isType(scan.TypeArray)
	case map[string]any:
		isType(scan.TypeObject)
	}
	if s.Types != 0 && s.Types&kind[true] == 0 {
		return false
	}
	if s.Enum != nil && !slices.ContainsFunc(s.Enum, func(text string) bool { return equalValues(decode(text), v) }) {
		return false
	}
	if s.Const != "" && !equalValues(decode(s.Const), v) {
		return false
	}
	for _, all := range s.All {
		if !holds(all, v, budget) {
			return false
		}
	}
	for _, choice := range s.Choices {
		if !choiceHolds(choice, v, kind[true], budget) {
			return false
		}
	}
	switch v := v.(type) {
	case json.Number:
		return numberHolds(s, fraction(v))
	case string:
		return textHolds(s, v)
	case []any:
		return arrayHolds(s, v, budget)
	case map[string]any:
		return objectHolds(s, v, budget)
	}
	return true
}

func choiceHolds(c *scan.Choice, v any, t scan.Types, budget *int) bool {
	if t&scan.TypeNumber != 0 {
		t |= scan.TypeInteger // numbers are one kind
	}
	object, isObject := v.(map[string]any)
	for _, b := range c.Branches {
		if c.Tag == "" && b.Types&t != 0 {
			return holds(b.Schema, v, budget)
		}
		tag, found := object[c.Tag]
		if c.Tag != "" && isObject && found && slices.ContainsFunc(b.Tags, func(text string) bool { return equalValues(decode(text), tag) }) {
			return holds(b.Schema, v, budget)
		}
	}
	return false
}

func numberHolds(s *scan.Schema, v *big.Rat) bool {
	compare := func(text string, allowed ...int) bool {
		return text == "" || slices.Contains(allowed, v.Cmp(fraction(json.Number(text))))
	}
	if s.MultipleOf != "" && !new(big.Rat).Quo(v, fraction(json.Number(s.MultipleOf))).IsInt() {
		return false
	}
	return compare(s.Minimum, 0, 1) && compare(s.Maximum, 0, -1) && compare(s.ExclusiveMinimum, 1) && compare(s.ExclusiveMaximum, -1)
}

func textHolds(s *scan.Schema, v string) bool {
	for _, p := range s.Patterns {
		if p.Expr.MatchString(v) == p.Not {
			return false
		}
	}
	return within(s.Length, utf8.RuneCountInString(v))
}

func arrayHolds(s *scan.Schema, v []any, budget *int) bool {
	for i, elem := range v {
		schema := s.Items
		if i < len(s.Prefix) {
			schema = s.Prefix[i]
		}
		if !holds(schema, elem, budget) {
			return false
		}
		for _, other := range v[:i] {
			if s.Unique && equalValues(elem, other) {
				return false
			}
		}
	}
	return within(s.Count, len(v))
}

func objectHolds(s *scan.Schema, v map[string]any, budget *int) bool {
	for _, name := range s.Required {
		if _, found := v[name]; !found {
			return false
		}
	}
	for when, names := range s.Dependent {
		if _, found := v[when]; !found {
			continue
		}
		for _, name := range names {
			if _, found := v[name]; !found {
				return false
			}
		}
	}
	for name, value := range v {
		schema, found := s.Properties[name]
		if found && !holds(schema, value, budget) {
			return false
		}
		for _, p := range s.PatternProperties {
			if p.Expr.MatchString(name) {
				found = true
				if !holds(p.Schema, value, budget) {
					return false
				}
			}
		}
		if !found && !holds(s.Additional, value, budget) || s.Names != nil && !holds(s.Names, name, budget) {
			return false
		}
	}
	return within(s.Members, len(v))
}

func within(r scan.Range, n int) bool { return n >= r.Min && (!r.Bounded || n <= r.Max) }

func fraction(n json.Number) *big.Rat {
	v, _ := new(big.Rat).SetString(n.String())
	return v
}

func decode(text string) any {
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		panic(err)
	}
	return v
}

// equalValues compares scalars; arrays and objects are nobody's equal, as
// uniqueItems of a scan compares scalars only.
func equalValues(a, b any) bool {
	switch a := a.(type) {
	case json.Number:
		b, number := b.(json.Number)
		return number && fraction(a).Cmp(fraction(b)) == 0
	case []any, map[string]any:
		return false
	}
	switch b.(type) {
	case []any, map[string]any:
		return false
	}
	return a == b
}

func TestProgramEqualsReference(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(11, 12))
	valid, invalid, undecided := 0, 0, 0
	for range 1_200 {
		var known []*scan.Schema
		s := randomSchema(r, 3, &known)
		p, err := scan.Compile(s, nil, scan.RequestRules())
		if errors.Is(err, scan.ErrUndecided) {
			undecided++
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for range 8 {
			text := randomInstance(r, 3)
			budget := 2_000
			want := holds(s, decode(text), &budget)
			if budget < 0 {
				continue // a schema that refers to itself without an end
			}
			got := judged(t, p, text)
			if (len(got) == 0) != want {
				t.Fatalf("%s: %q, want valid: %v\n%s", text, got, want, describe(s, 0))
			}
			if want {
				valid++
			} else {
				invalid++
			}
		}
	}
	if valid < 1_000 || invalid < 1_000 || undecided > 400 {
		t.Errorf("%d valid, %d invalid, %d undecided: the schemas are of one kind", valid, invalid, undecided)
	}
}

// describe writes a schema for a failing test.
func describe(s *scan.Schema, depth int) string {
	if s == nil || depth > 4 {
		return "…"
	}
	var out strings.Builder
	fmt.Fprintf(&out, "{types %b never %v enum %q const %q min %q max %q xmin %q xmax %q mult %q len %v members %v count %v req %q dep %v uniq %v",
		s.Types, s.Never, s.Enum, s.Const, s.Minimum, s.Maximum, s.ExclusiveMinimum, s.ExclusiveMaximum, s.MultipleOf, s.Length, s.Members, s.Count, s.Required, s.Dependent, s.Unique)
	for name, child := range s.Properties {
		out.WriteString(" ." + name + "=" + describe(child, depth+1))
	}
	for _, child := range s.PatternProperties {
		out.WriteString(" ~" + child.Expr.String() + "=" + describe(child.Schema, depth+1))
	}
	for _, child := range s.All {
		out.WriteString(" all " + describe(child, depth+1))
	}
	for _, c := range s.Choices {
		out.WriteString(" choice " + c.Tag)
		for _, b := range c.Branches {
			fmt.Fprintf(&out, " %b %q %s", b.Types, b.Tags, describe(b.Schema, depth+1))
		}
	}
	for i, child := range s.Prefix {
		out.WriteString(fmt.Sprint(" ", i, "=") + describe(child, depth+1))
	}
	return out.String() + " items " + describe(s.Items, depth+1) + " additional " + describe(s.Additional, depth+1) + "}"
}
