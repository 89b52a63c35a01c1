package problem_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/maru-msa/maru/problem"
)

func TestOfFindsTheProblemOrHidesTheError(t *testing.T) {
	t.Parallel()
	p := problem.New(503, "no_endpoint", "service reward has no endpoint")
	if got := problem.Of(fmt.Errorf("call: %w", fmt.Errorf("pick: %w", p))); got != p {
		t.Errorf("got %v, want the one that was wrapped", got)
	}
	got := problem.Of(io.ErrUnexpectedEOF)
	if got.Status != 500 || got.Reason != "internal" || !errors.Is(got, io.ErrUnexpectedEOF) {
		t.Errorf("another error gives %+v", got)
	}
	if text := string(got.AppendJSON(nil, "x", "", "")); strings.Contains(text, "EOF") {
		t.Errorf("the client sees the cause: %s", text)
	}
}

func TestErrorTellsReasonDetailAndCause(t *testing.T) {
	t.Parallel()
	cause := errors.New("connection refused")
	tests := []struct {
		err  *problem.Error
		want string
	}{
		{problem.New(404, "no_route", ""), "no_route"},
		{problem.New(404, "no_route", "nothing takes it"), "no_route: nothing takes it"},
		{problem.Wrap(cause, 502, "connect", "service a"), "connect: service a: connection refused"},
	}
	for _, test := range tests {
		if got := test.err.Error(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
	if !errors.Is(tests[2].err, cause) {
		t.Error("the cause is not in the chain")
	}
}

// A problem is often one value for all requests: adding fields must not be seen
// by the others.
func TestWithLeavesASharedProblemAlone(t *testing.T) {
	t.Parallel()
	shared := problem.New(429, "limit", "")
	shared.Fields = append(make([]problem.Field, 0, 8), problem.Field{Name: "RateLimit", Value: "1"})
	a := problem.With(fmt.Errorf("filter: %w", shared), problem.Field{Name: "A", Value: "a"})
	b := problem.With(shared, problem.Field{Name: "B", Value: "b"})
	if len(shared.Fields) != 1 || len(a.Fields) != 2 || a.Fields[1].Name != "A" || b.Fields[1].Name != "B" {
		t.Errorf("shared %v, a %v, b %v", shared.Fields, a.Fields, b.Fields)
	}
	if a.Status != 429 || problem.With(io.EOF, problem.Field{}).Status != 500 {
		t.Error("With lost the problem")
	}
}

func TestAppendJSONIsAProblemDocument(t *testing.T) {
	t.Parallel()
	p := problem.New(503, "no_endpoint", "service \"보상\" has no\nendpoint 🍜")
	got := string(p.AppendJSON([]byte("> "), "No healthy endpoint", "/rewards/3", "4bf92f3577b34da6a3ce929d0e0e4736"))
	want := `> {"type":"urn:maru:problem:no-endpoint","title":"No healthy endpoint","status":503,` +
		`"detail":"service \"\ubcf4\uc0c1\" has no\u000aendpoint \ud83c\udf5c","instance":"/rewards/3",` +
		`"reason":"no_endpoint","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"}` + "\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	p = &problem.Error{Status: 404, Reason: "no_route", Title: "Its own title"}
	got = string(p.AppendJSON(nil, "From the status", "", ""))
	want = `{"type":"urn:maru:problem:no-route","title":"Its own title","status":404,"reason":"no_route"}` + "\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "plain", "\x00\x1f\x7f", `"\`, "보상 🍜", "\xff\xfe", "\u2028</script>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out := problem.AppendString(nil, s)
		var back string
		if err := json.Unmarshal(out, &back); err != nil {
			t.Fatalf("%q is no JSON: %v", out, err)
		}
		if utf8.ValidString(s) && back != s {
			t.Errorf("%q came back as %q", s, back)
		}
		for _, c := range out {
			if c < 0x20 || c > 0x7e {
				t.Errorf("octet %#x in %q", c, out)
			}
		}
	})
}
