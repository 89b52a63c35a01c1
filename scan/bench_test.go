package scan_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"testing"

	"github.com/maru-msa/maru/scan"
)

// corpus is what the benchmarks read: documents of one service, as it sends
// them and indented.
func corpus(tb testing.TB) map[string][]byte {
	tb.Helper()
	list := document(rand.New(rand.NewPCG(1, 2)), 200)
	var indented bytes.Buffer
	if err := json.Indent(&indented, list, "", "  "); err != nil {
		tb.Fatal(err)
	}
	return map[string][]byte{"1KB": document(rand.New(rand.NewPCG(1, 2)), 3), "60KB": list, "indented": indented.Bytes()}
}

func BenchmarkScan(b *testing.B) {
	masks := map[string]*scan.Mask{
		"check":  maskOf(b, scan.ResponseRules()),
		"unique": maskOf(b, scan.RequestRules()),
		"six":    maskOf(b, scan.ResponseRules(), "items.id", "items.budget.amount", "items.owner.name", "items.status", "total", "next"),
		"all":    maskOf(b, scan.ResponseRules(), "**"),
	}
	for name, body := range corpus(b) {
		for _, use := range []string{"check", "unique", "six", "all"} {
			b.Run(name+"/"+use, func(b *testing.B) {
				tape := scan.NewTape()
				b.SetBytes(int64(len(body)))
				b.ReportAllocs()
				for b.Loop() {
					if err := scan.Scan(masks[use], body, tape); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		b.Run(name+"/std", func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if !json.Valid(body) {
					b.Fatal("not valid")
				}
			}
		})
	}
}

// BenchmarkProgram judges bodies that are valid, beside the scan without checks.
func BenchmarkProgram(b *testing.B) {
	text := &scan.Schema{Types: scan.TypeString}
	integer := &scan.Schema{Types: scan.TypeInteger, Minimum: "0"}
	order := &scan.Schema{Types: scan.TypeObject, Required: []string{"id", "memberId", "status", "budget"}, Properties: map[string]*scan.Schema{
		"id": {Types: scan.TypeString, Length: scan.Range{Min: 3, Max: 20, Bounded: true}}, "memberId": integer,
		"status": {Types: scan.TypeString, Enum: []string{`"draft"`, `"open"`, `"closed"`}},
		"budget": {Types: scan.TypeObject, Required: []string{"amount"}, Properties: map[string]*scan.Schema{
			"amount": {Types: scan.TypeNumber, Minimum: "0", MultipleOf: "0.01"}, "currency": {Types: scan.TypeString, Length: scan.Range{Min: 3, Max: 3, Bounded: true}},
		}},
		"owner": {Types: scan.TypeObject, Properties: map[string]*scan.Schema{"name": text, "tier": text}},
		"tags":  {Types: scan.TypeArray, Items: text, Count: scan.Range{Max: 9, Bounded: true}}, "createdAt": text,
		"score": {Types: scan.TypeNumber}, "active": {Types: scan.TypeBoolean}, "note": {Types: scan.TypeString | scan.TypeNull},
	}}
	list := program(b, &scan.Schema{Types: scan.TypeObject, Required: []string{"items"}, Additional: &scan.Schema{Never: true}, Properties: map[string]*scan.Schema{
		"items": {Types: scan.TypeArray, Items: order}, "total": integer, "next": text,
	}})
	tiny := program(b, &scan.Schema{Types: scan.TypeObject, Required: []string{"name"}, Properties: map[string]*scan.Schema{"name": text, "age": integer}})
	unchecked := maskOf(b, scan.RequestRules())
	for _, test := range []struct {
		name string
		p    *scan.Program
		body []byte
	}{
		{"tiny", tiny, []byte(`{"name":"Kim","age":33}`)},
		{"10KB", list, document(rand.New(rand.NewPCG(1, 2)), 37)},
	} {
		b.Run(test.name+"/judged", func(b *testing.B) {
			tape, report := scan.NewTape(), scan.NewReport()
			b.SetBytes(int64(len(test.body)))
			b.ReportAllocs()
			for b.Loop() {
				if err := test.p.Scan(test.body, tape, report); err != nil || !report.Valid() {
					b.Fatal(err, lines(report))
				}
			}
		})
		b.Run(test.name+"/unchecked", func(b *testing.B) {
			tape := scan.NewTape()
			b.SetBytes(int64(len(test.body)))
			for b.Loop() {
				if err := scan.Scan(unchecked, test.body, tape); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
