package contract_test

import (
	"bytes"
	"fmt"
	"testing"
	"testing/fstest"

	"github.com/maru-msa/maru/contract"
	"github.com/maru-msa/maru/scan"
)

// listSchema and listBody are a list of 10 KB and its contract.
const listSchema = `{"type":"object","required":["items","total"],"properties":{"total":{"type":"integer"},"items":{"type":"array","items":{"$ref":"#/$defs/Item"}}},"$defs":{
"Item":{"type":"object","required":["id","name","price"],"properties":{"id":{"type":"integer","minimum":0},"name":{"type":"string","minLength":1,"maxLength":100},
 "price":{"type":"number"},"tags":{"type":"array","items":{"type":"string"}},"made":{"type":"string","format":"date"},"owner":{"$ref":"#/$defs/Owner"}}},
"Owner":{"type":"object","required":["id"],"additionalProperties":false,"properties":{"id":{"type":"integer"},"email":{"type":"string","format":"email"},"active":{"type":"boolean"}}}}}`

func listBody() []byte {
	var b bytes.Buffer
	b.WriteString(`{"items": [`)
	for i := range 60 {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, `{"id": %d, "name": "chair number %d", "price": %d.5, "tags": ["wood", "red", "old"], "made": "2024-12-%02d", "owner": {"id": %d, "email": "user%d@example.com", "active": true}}`,
			i, i, i+12, i%28+1, 7*i, i)
	}
	b.WriteString(`], "total": 60}`)
	return b.Bytes()
}

// loadSchema loads a bare schema.
func loadSchema(tb testing.TB, text string, cfg contract.Config) *contract.Contract {
	tb.Helper()
	c, findings := contract.Load(fstest.MapFS{"schema.json": {Data: []byte(text)}}, "schema.json", contract.Options{Config: cfg})
	if c == nil {
		tb.Fatal(findings)
	}
	return c
}

// A valid body takes no memory, read as a whole.
func TestCheckAllocatesNothing(t *testing.T) {
	c, body := loadSchema(t, listSchema, contract.Config{}), listBody()
	v := contract.NewVerdict()
	defer v.Release()
	once := func() {
		c.Body.Check(body, false, v)
		if !v.Valid() {
			t.Fatal(v.Violations(), v.Syntax())
		}
	}
	once()
	if n := testing.AllocsPerRun(100, once); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCheck(b *testing.B) {
	c, body := loadSchema(b, listSchema, contract.Config{}), listBody()
	for _, way := range []string{"request", "response"} {
		b.Run(way, func(b *testing.B) {
			v := contract.NewVerdict()
			defer v.Release()
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				c.Body.Check(body, way == "response", v)
			}
		})
	}
	b.Run("grammar", func(b *testing.B) {
		tape := scan.NewTape()
		defer tape.Release()
		mask, err := new(scan.Builder).Mask(scan.RequestRules())
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			if err := scan.Scan(mask, body, tape); err != nil {
				b.Fatal(err)
			}
		}
	})
}
