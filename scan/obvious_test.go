package scan_test

import (
	"testing"

	"github.com/maru-msa/maru/scan"
)

// What is passed at a glance is what the units would pass: at the edges of each rule.
func TestObviousScalars(t *testing.T) {
	length := func(least, most int) *scan.Schema {
		return &scan.Schema{Types: scan.TypeString, Length: scan.Range{Min: least, Max: most, Bounded: true}}
	}
	integer := func(low, high string) *scan.Schema {
		return &scan.Schema{Types: scan.TypeInteger, Minimum: low, Maximum: high}
	}
	for _, test := range []struct {
		name      string
		schema    *scan.Schema
		good, bad []string
	}{
		{"length", length(2, 4), []string{`"ab"`, `"abcd"`, `"김서연이"`, `"김서"`, `"\u0061bcd"`, `"😀😀"`}, []string{`"a"`, `""`, `"abcde"`, `"김"`, `"😀"`, `"김서연이다"`, `"\u0061"`, `1`}},
		{"two lengths", &scan.Schema{Types: scan.TypeString, All: []*scan.Schema{length(0, 9), length(3, 5)}}, []string{`"abc"`, `"abcde"`}, []string{`"ab"`, `"abcdef"`}},
		{"enum", &scan.Schema{Enum: []string{`"on"`, `"off"`, `1`, `null`}}, []string{`"on"`, `"o\u006e"`, `1`, `1.0`, `null`}, []string{`"o"`, `"offf"`, `2`, `true`, `false`}},
		{"two enums", &scan.Schema{All: []*scan.Schema{{Enum: []string{`"a"`, `"b"`}}, {Enum: []string{`"b"`, `"c"`}}}}, []string{`"b"`}, []string{`"a"`, `"c"`}},
		{"enum with a length", &scan.Schema{Enum: []string{`"a"`, `"bb"`}, Length: scan.Range{Min: 2}}, []string{`"bb"`}, []string{`"a"`}},
		{"const", &scan.Schema{Const: `"a"`}, []string{`"a"`}, []string{`"b"`, `1`}},
		{"from 0", integer("0", ""), []string{`0`, `7`, `-0`, `1.0`, `1e2`, `123456789012345678901234567890`}, []string{`-1`, `0.5`, `"0"`}},
		{"from 1", integer("1", ""), []string{`1`, `10`}, []string{`0`, `-1`, `0.5`}},
		{"more than 0", &scan.Schema{Types: scan.TypeNumber, ExclusiveMinimum: "0"}, []string{`1`, `0.5`, `0.0001`}, []string{`0`, `0.0`, `-0`, `-1`}},
		{"from 1 or more", &scan.Schema{Types: scan.TypeNumber, Minimum: "1"}, []string{`1`, `1.5`}, []string{`0.99`, `0`}},
		{"up to 12", integer("0", "12"), []string{`0`, `9`, `10`, `12`}, []string{`13`, `99`, `100`, `-1`}},
		{"below 10", &scan.Schema{Types: scan.TypeInteger, ExclusiveMaximum: "10"}, []string{`9`, `-5`}, []string{`10`, `11`}},
		{"up to 9.5", &scan.Schema{Types: scan.TypeNumber, Maximum: "9.5"}, []string{`9.5`, `9`}, []string{`9.51`, `10`}},
		{"a huge exponent", &scan.Schema{Types: scan.TypeNumber, Minimum: "0"}, []string{`1e10`, `1.5E+3`}, []string{`1e99999`, `-1e1`}},
		{"multiple", &scan.Schema{Types: scan.TypeInteger, Minimum: "0", MultipleOf: "5"}, []string{`0`, `15`}, []string{`7`}},
		{"literal", &scan.Schema{Types: scan.TypeInteger, Literal: true, Minimum: "0"}, []string{`1`}, []string{`1.0`, `1e2`}},
		{"two types", &scan.Schema{Types: scan.TypeInteger | scan.TypeString, Minimum: "1"}, []string{`1`, `"0"`}, []string{`0`, `1.5`, `null`}},
		{"no type", &scan.Schema{Minimum: "1", Length: scan.Range{Min: 1}}, []string{`1`, `"a"`, `null`, `true`}, []string{`0`, `""`}},
	} {
		p, err := scan.Compile(test.schema, nil, scan.RequestRules())
		if err != nil {
			t.Fatal(test.name, err)
		}
		valid := func(text string) bool {
			tape, report := scan.NewTape(), scan.NewReport()
			defer tape.Release()
			defer report.Release()
			if err := p.Scan([]byte(text), tape, report); err != nil {
				t.Fatalf("%s: %s: %v", test.name, text, err)
			}
			return report.Valid()
		}
		for _, text := range test.good {
			if !valid(text) {
				t.Errorf("%s: %s is refused", test.name, text)
			}
		}
		for _, text := range test.bad {
			if valid(text) {
				t.Errorf("%s: %s passes", test.name, text)
			}
		}
	}
}
