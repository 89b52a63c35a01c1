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
