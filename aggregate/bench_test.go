package aggregate_test

import (
	"strings"
	"testing"

	"github.com/maru-msa/maru/aggregate"
	"github.com/maru-msa/maru/message"
)

// kilobyte is an answer of about 1 KB.
func kilobyte() string {
	return `{"id":1234567890123,"name":"Kim","items":[` + strings.Repeat(`{"sku":"abcdef","price":12.50,"tags":["a","b"]},`, 19) + `{"sku":"last"}]}`
}

func mergePlan(tb testing.TB) *aggregate.View {
	tb.Helper()
	body := []byte(kilobyte())
	service := func(string) aggregate.Caller {
		return func(*message.Request) (*message.Response, error) {
			resp := message.NewResponse(200)
			resp.Header.AppendID(message.ContentType, "application/json")
			resp.SetBytes(body)
			return resp, nil
		}
	}
	g, err := aggregate.Compile(aggregate.Config{}, map[string]aggregate.ViewConfig{"GET /m": {
		Merge: []aggregate.CallConfig{{Call: "a GET /1 -> a"}, {Call: "b GET /2 -> b"}, {Call: "c GET /3 -> c"}},
	}}, aggregate.Env{Whole: true, Service: service, Crew: 64})
	if err != nil {
		tb.Fatal(err)
	}
	return g.Views()["GET /m"]
}

func BenchmarkMerge(b *testing.B) {
	v := mergePlan(b)
	b.ReportAllocs()
	for b.Loop() {
		r := message.NewRequest()
		r.Method, r.Path = "GET", "/m"
		resp, err := v.Do(r)
		if err != nil {
			b.Fatal(err)
		}
		resp.Release()
		r.Release()
	}
}

// TestMergeAllocates: a run takes its memory from the plan's pool; what is left is
// the goroutines that call side by side.
func TestMergeAllocates(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	v := mergePlan(t)
	n := testing.AllocsPerRun(200, func() {
		r := message.NewRequest()
		r.Method, r.Path = "GET", "/m"
		resp, err := v.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Release()
		r.Release()
	})
	if n > 4 {
		t.Errorf("%v allocations a request", n)
	}
}
