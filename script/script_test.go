package script_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/maru-msa/maru/script"
)

const sample = `# a comment
set one two
  and more
> GET /a HTTP/1.1
> Host: h
>
> line 1
> line 2
< 201
< X-A: 1
< X-B: ~^a+$
< !X-C
<
< body 1
< body 2

== second
> GET / HTTP/1.0
< 200
`

func TestParse(t *testing.T) {
	t.Parallel()
	cases, err := script.Parse(sample)
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) != 2 || cases[0].Name != "start" || cases[1].Name != "second" {
		t.Fatalf("cases are %+v", cases)
	}
	set, ex := cases[0].Steps[0], cases[0].Steps[1]
	if set.Word != "set" || set.Args != "one two\nand more" || set.Line != 2 {
		t.Errorf("set-up line is %+v", set)
	}
	if got := fmt.Sprintf("%+v", *ex.Request); got != "{Method:GET Target:/a Proto:HTTP/1.1 Header:[{Name:Host Value:h}] Body:line 1\nline 2}" {
		t.Errorf("request is %s", got)
	}
	if got := fmt.Sprintf("%+v", ex.Want); got != "{Status:201 Aborted:false Fields:[{Name:X-A Value:1}] Match:[{Name:X-B Value:^a+$}] Absent:[X-C] HasBody:true Body:body 1\nbody 2 BodyRE:false}" {
		t.Errorf("want is %s", got)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	cases, err := script.Parse(sample)
	if err != nil {
		t.Fatal(err)
	}
	want := cases[0].Steps[1].Want
	good := script.Response{Status: 201, Header: []script.Field{{"x-a", "1"}, {"X-B", "aa"}}, Body: "body 1\nbody 2"}
	if f := want.Check(&good); f != nil {
		t.Errorf("a right answer is refused: %v", f)
	}
	bad := script.Response{Status: 200, Header: []script.Field{{"X-A", "2"}, {"X-B", "b"}, {"X-C", ""}}, Body: "x", Aborted: true}
	if f := want.Check(&bad); len(f) != 6 {
		t.Errorf("a wrong answer has %d faults, want 6: %v", len(f), f)
	}
}

func TestParseFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want string }{
		{"", "no steps"},
		{"> GET /\n< 200\n", "line 2: \"GET /\" is not METHOD"},
		{"< 200\n", "line 1: an answer without"},
		{"> GET / HTTP/1.1\n", "a request without its answer"},
		{"> GET / HTTP/1.1\n< ok\n", "is not a status"},
		{"> GET / HTTP/1.1\n< 200\n< X\n", "is not a field line"},
		{"> GET / HTTP/1.1\n< 200\n< X: ~(\n", "the pattern of X"},
		{"> GET / HTTP/1.1\n< 200\n<\n< ~(\n", "the pattern of the body"},
		{"  x\n", "continues nothing"},
	} {
		if _, err := script.Parse(tt.in); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q gives %v, want %s", tt.in, err, tt.want)
		}
	}
}

type echo struct{ greeting string }

func (e *echo) Set(word, args string) error {
	e.greeting = word + " " + args
	return nil
}

func (e *echo) Do(req *script.Request) (*script.Response, error) {
	return &script.Response{Status: 200, Body: e.greeting + " " + req.Target}, nil
}

func TestRun(t *testing.T) {
	t.Parallel()
	n := 0
	script.Run(t, "say hello\n> GET /x HTTP/1.1\n< 200\n<\n< say hello /x\n== fresh\n> GET /y HTTP/1.1\n< 200\n<\n<  /y\n",
		func(*testing.T) script.Player { n++; return new(echo) })
	if n != 2 {
		t.Errorf("%d players were made, want one for each case", n)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(sample)
	f.Add("> GET / HTTP/1.1\n< 200\n<\n< ~x\n")
	f.Fuzz(func(t *testing.T, text string) {
		cases, err := script.Parse(text)
		if err != nil {
			return
		}
		for _, c := range cases {
			for _, s := range c.Steps {
				if (s.Request == nil) == (s.Word == "") {
					t.Fatalf("step %+v is neither set-up nor exchange", s)
				}
				s.Want.Check(&script.Response{Status: 200})
			}
		}
	})
}
