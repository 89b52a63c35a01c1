package filter

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maru-msa/maru/contract"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

func TestValidateConfig(t *testing.T) {
	t.Parallel()
	refuses(t, "validate", [][2]string{
		{"", ""},
		{`{"request": "enforced"}`, "request"},
		{`{"response": "log"}`, "response"},
		{`{"paths": "close"}`, "paths"},
		{`{"query": "shut"}`, "query"},
		{`{"status": 404}`, "status"},
		{`{"buffer": "1GiB"}`, "buffer"},
		{`{"on-large": "drop"}`, "on-large"},
		{`{"schema": "testdata/nowhere.json"}`, "schema"},
		{`{"schema": "nowhere/schema.json"}`, "schema"},
		{`{"schema": "validate.go"}`, "schema"},
	})
	if _, err := configOf("validate", `{"sample": "101%"}`); err == nil {
		t.Error("a share of more than all was taken")
	}
}

// shop is an OpenAPI document for the tests below.
const shop = `{"openapi":"3.1.0","info":{"title":"shop","version":"1"},"paths":{"/items/{id}":{
"put":{"operationId":"put","parameters":[
  {"name":"id","in":"path","required":true,"schema":{"type":"integer","minimum":1}},
  {"name":"n","in":"query","schema":{"type":"integer","maximum":9}},
  {"name":"tags","in":"query","explode":false,"schema":{"type":"array","items":{"type":"string"}}},
  {"name":"filter","in":"query","style":"deepObject","schema":{"type":"object","properties":{"price":{"type":"number"}}}},
  {"name":"X-Shop","in":"header","required":true,"schema":{"enum":["a","b"]}},
  {"name":"sid","in":"cookie","schema":{"type":"string","minLength":2}}],
 "requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Item"}}}},
 "responses":{"200":{"description":"","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Item"}}}}}}}},
"components":{"schemas":{"Item":{"type":"object","required":["id","name"],"properties":{"id":{"type":"integer"},"name":{"type":"string","minLength":1},
 "tags":{"type":"array","items":{"type":"string"}}}}}}}`

// validating makes the filter over an answer that next gives.
func validating(tb testing.TB, config string, next Func) (Func, *contract.Drift) {
	tb.Helper()
	name := filepath.Join(tb.TempDir(), "shop.json")
	if err := os.WriteFile(name, []byte(shop), 0o600); err != nil {
		tb.Fatal(err)
	}
	c, err := configOf("validate", `{"schema": "`+name+`"`+config+`}`)
	if err != nil {
		tb.Fatal(err)
	}
	drift := new(contract.Drift)
	env := Bare()
	env.To = "shop"
	env.Keep = func(string, func() any) any { return drift }
	f, err := c.Filter(env)
	if err != nil {
		tb.Fatal(err)
	}
	return f(next), drift
}

// whole is a body that is in memory.
type whole struct{ all, left []byte }

func (b *whole) Read(p []byte) (int, error) { panic("a body in memory was copied") }
func (b *whole) Close() error               { return nil }
func (b *whole) Peek() []byte               { return b.left }
func (b *whole) Skip(n int)                 { b.left = b.left[n:] }

func putItem(r *message.Request, body *whole) {
	r.Method, r.Path, r.Query, r.HasQuery = "PUT", "/items/12", "n=3&tags=a,b&filter[price]=1.5", true
	r.Header.Append(message.Field{Name: "X-Shop", Value: "a"})
	r.Header.AppendID(message.Cookie, "a=b; sid=xyz")
	r.Header.AppendID(message.ContentType, "application/json")
	body.left = body.all
	r.Body, r.Length = body, int64(len(body.all))
}

// A valid request and its answer, both checked, take no memory.
func TestValidateAllocatesNothing(t *testing.T) {
	body := &whole{all: []byte(`{"id":12,"name":"chair","tags":["` + strings.Repeat(`wood","`, 1000) + `red"]}`)}
	answer := &whole{all: body.all}
	resp := &message.Response{}
	resp.Reset()
	do, drift := validating(t, `, "sample": "100%"`, func(*message.Request) (*message.Response, error) {
		answer.left = answer.all
		resp.Reset()
		resp.Status, resp.Body, resp.Length = 200, answer, int64(len(answer.all))
		resp.Header.AppendID(message.ContentType, "application/json")
		return resp, nil
	})
	r := message.NewRequest()
	defer r.Release()
	once := func() {
		r.Reset()
		putItem(r, body)
		if _, err := do(r); err != nil {
			t.Fatal(err)
		}
	}
	once()
	if n := testing.AllocsPerRun(100, once); n > 0 && !raceEnabled {
		t.Errorf("%v allocations", n)
	}
	if c := drift.Counts(); c[len(c)-1].Checked < 100 || c[len(c)-1].Violations != nil {
		t.Errorf("counted %+v", c)
	}
}

// An observed answer streams on in the pieces it comes in, and is judged at its end.
func TestValidateWatchesStreams(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		text := `{"id":"x","name":"","tags":["a",7]}`
		for cut := range len(text) {
			do, drift := validating(t, `, "sample": "100%"`, func(*message.Request) (*message.Response, error) {
				resp := message.NewResponse(200)
				resp.Local, resp.Length = false, message.Unknown
				resp.Header.AppendID(message.ContentType, "application/json")
				resp.Body = &pieces{texts: []string{text[:cut], text[cut:]}}
				return resp, nil
			})
			r := message.NewRequest()
			putItem(r, &whole{all: []byte(`{"id":12,"name":"chair"}`)})
			resp, err := do(r)
			if err != nil {
				t.Fatal(err)
			}
			got, err := message.ReadAll(nil, resp.Body, 1<<20)
			if err != nil || string(got) != text {
				t.Fatalf("got %q, %v", got, err)
			}
			resp.Release()
			r.Release()
			var seen []string
			for _, row := range drift.Rows() {
				seen = append(seen, row.Pointer+" "+row.Keyword)
			}
			if want := "/id type /name minLength /tags/* type"; strings.Join(seen, " ") != want {
				t.Fatalf("cut at %d: %q", cut, seen)
			}
			time.Sleep(time.Second)
		}
	})
}

// pieces is a body that comes in pieces.
type pieces struct{ texts []string }

func (b *pieces) Read(p []byte) (int, error) {
	for len(b.texts) > 0 && b.texts[0] == "" {
		b.texts = b.texts[1:]
	}
	if len(b.texts) == 0 {
		return message.NoBody.Read(p)
	}
	n := copy(p, b.texts[0])
	b.texts[0] = b.texts[0][n:]
	return n, nil
}

func (b *pieces) Close() error { return nil }

func TestValidateParameters(t *testing.T) {
	t.Parallel()
	do, _ := validating(t, "", func(*message.Request) (*message.Response, error) { return message.NewResponse(204), nil })
	for _, c := range []struct{ path, query, shop, cookie, want string }{
		{"/items/1", "", "a", "", ""},
		{"/items/0", "", "a", "", "minimum"},
		{"/items/1.5", "", "a", "", "type"},
		{"/items/+1", "", "a", "", "type"},
		{"/items/1", "n=0x1", "a", "", "type"},
		{"/items/1", "n=%31", "a", "", ""},
		{"/items/1", "%6e=10", "a", "", "maximum"},
		{"/items/1", "n=", "a", "", "type"},
		{"/items/1", "n=1&n=1", "a", "", "repeated"},
		{"/items/1", "filter[price]=cheap", "a", "", "type"},
		{"/items/1", "filter%5Bprice%5D=2", "a", "", ""},
		{"/items/1", "", "c", "", "enum"},
		{"/items/1", "", "", "", "required"},
		{"/items/1", "", "a", "sid=x", "minLength"},
	} {
		r := message.NewRequest()
		r.Method, r.Path, r.Query, r.HasQuery = "PUT", c.path, c.query, c.query != ""
		if c.shop != "" {
			r.Header.Append(message.Field{Name: "x-shop", Value: c.shop})
		}
		if c.cookie != "" {
			r.Header.AppendID(message.Cookie, c.cookie)
		}
		resp, err := do(r)
		switch {
		case err == nil && c.want != "":
			t.Errorf("%+v passed", c)
		case err != nil && (c.want == "" || !strings.Contains(problem.Of(err).Members[0].JSON, `"`+c.want+`"`)):
			t.Errorf("%+v: %v %v", c, err, problem.Of(err).Members)
		}
		if err == nil {
			resp.Release()
		}
		r.Release()
	}
}

func BenchmarkValidate(b *testing.B) {
	body := &whole{all: []byte(`{"id":12,"name":"chair","tags":["` + strings.Repeat(`wood","`, 1400) + `red"]}`)}
	do, _ := validating(b, "", func(*message.Request) (*message.Response, error) { return message.NewResponse(204), nil })
	r := message.NewRequest()
	defer r.Release()
	b.ReportAllocs()
	b.SetBytes(int64(len(body.all)))
	for b.Loop() {
		r.Reset()
		putItem(r, body)
		resp, err := do(r)
		if err != nil {
			b.Fatal(err)
		}
		resp.Release()
	}
}
