package contract_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/maru-msa/maru/contract"
)

// formMedia is the form of an operation.
func formMedia(tb testing.TB) *contract.Media {
	tb.Helper()
	c, findings := contract.Load(fstest.MapFS{"f.json": {Data: []byte(`{"openapi":"3.1.0","info":{"title":"f","version":"1"},"paths":{"/a":{"post":{
	"requestBody":{"content":{"application/x-www-form-urlencoded":{"schema":{"$ref":"#/components/schemas/Order"}}}},"responses":{"204":{"description":""}}}}},
	"components":{"schemas":{"Order":{"type":"object","required":["name"],"additionalProperties":false,"properties":{
	 "name":{"type":"string","minLength":2},"count":{"type":"integer","minimum":1},"gift":{"type":"boolean"},"none":{"type":["null","string"]},
	 "tags":{"type":"array","items":{"type":"string","maxLength":3},"maxItems":3},"sizes":{"type":"array","items":{"type":"integer"}}}}}}}`)}}, "f.json", contract.Options{})
	if c == nil {
		tb.Fatal(findings)
	}
	m := c.Operations[0].Media("application/x-www-form-urlencoded; charset=utf-8")
	if m == nil || !m.Checked(false) || m.Streams(false) {
		tb.Fatalf("the form is %+v", m)
	}
	return m
}

// verdictOf lists what a form breaks: "keyword pointer".
func verdictOf(m *contract.Media, body string) string {
	v := contract.NewVerdict()
	defer v.Release()
	m.Check([]byte(body), false, v)
	var out []string
	for _, x := range v.Violations() {
		out = append(out, strings.TrimSpace(x.Keyword+" "+x.Pointer+" "+x.Name))
	}
	if v.Syntax() != nil {
		out = append(out, "json-syntax")
	}
	return strings.Join(out, ", ")
}

func TestForm(t *testing.T) {
	m := formMedia(t)
	for _, test := range [][2]string{
		{"name=Kim", ""},
		{"name=%EA%B9%80+%EC%84%9C%EC%97%B0", ""},
		{"name=Kim&count=3&gift=true&none=null", ""},
		{"name=true&none=text", ""},
		{"&&name=Kim&", ""},
		{"tags=a&name=Kim&t%61gs=b&tags=c", ""},
		{"sizes=1&sizes=2&name=Kim", ""},
		{"", "required  name"},
		{"name=K", "minLength /name"},
		{"name=Kim&count=0", "minimum /count"},
		{"name=Kim&count=03", "type /count"},
		{"name=Kim&count=", "type /count"},
		{"name=Kim&gift=TRUE", "type /gift"},
		{"name=Kim&name=Lee", "repeated"},
		{"name=Kim&n%61me=Lee", "repeated"},
		{"name=Kim&other=1", "additionalProperties /other"},
		{"name=Kim&=1", "additionalProperties /"},
		{"tags=long&name=Kim", "maxLength /tags/0"},
		{"tags=a&tags=b&tags=c&tags=d&name=Kim", "maxItems /tags"},
		{"sizes=1&sizes=x&name=Kim", "type /sizes/1"},
		{"name=%4", "form-syntax"},
		{"name=%zz", "form-syntax"},
		{"name=%ED%A0%80", "form-syntax"},
		{"name=a\xff", "form-syntax"},
		{"name=Kim" + strings.Repeat("&tags", 256), "limit"},
		{"other=1&other=2&name=Kim", "repeated"},
	} {
		if got := verdictOf(m, test[0]); got != test[1] {
			t.Errorf("%q: %q, want %q", test[0], got, test[1])
		}
	}
}

// A form that is good costs no memory.
func TestFormAllocatesNothing(t *testing.T) {
	m, body := formMedia(t), []byte("name=Kim+Seo&count=3&gift=true&tags=a&tags=b")
	v := contract.NewVerdict()
	defer v.Release()
	m.Check(body, false, v)
	if n := testing.AllocsPerRun(100, func() { m.Check(body, false, v) }); n > 0 || !v.Valid() {
		t.Errorf("%v allocations, %v", n, v.Violations())
	}
}

func FuzzForm(f *testing.F) {
	m := formMedia(f)
	for _, seed := range []string{"name=Kim&tags=a&tags=b", "n%61me=%EA%B9%80&&=&x", "tags=%00&=%&name"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		verdict := verdictOf(m, body)
		if strings.Contains(verdict, "json-syntax") {
			t.Errorf("%q became no JSON: %s", body, verdict)
		}
	})
}
