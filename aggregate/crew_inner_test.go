package aggregate

import (
	"runtime"
	"sync"
	"testing"

	"github.com/maru-msa/maru/message"
)

// TestCrewEnds: those who wait are bounded, and end when nobody has the graph.
func TestCrewEnds(t *testing.T) {
	const most = 3
	before := runtime.NumGoroutine()
	idle := func() *crew {
		var meet sync.WaitGroup
		meet.Add(6)
		service := func(string) Caller {
			return func(*message.Request) (*message.Response, error) {
				meet.Done()
				meet.Wait() // all six are under way at once
				resp := message.NewResponse(200)
				resp.Header.AppendID(message.ContentType, "application/json")
				resp.SetBytes([]byte(`{}`))
				return resp, nil
			}
		}
		var parts []CallConfig
		for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
			parts = append(parts, CallConfig{Call: name + " GET / -> " + name})
		}
		g, err := Compile(Config{}, map[string]ViewConfig{"GET /m": {Merge: parts}}, Env{Whole: true, Service: service, Crew: most})
		if err != nil {
			t.Fatal(err)
		}
		r := message.NewRequest()
		r.Method, r.Path = "GET", "/m"
		resp, err := g.Views()["GET /m"].Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Release()
		r.Release()
		for g.crew.waiting.Load() != most { // two of five ended
			runtime.Gosched()
		}
		return g.crew
	}()
	for idle.waiting.Load() != 0 || runtime.NumGoroutine() > before {
		runtime.GC() // twice lets a pool's memory go, and the graph with it
		runtime.Gosched()
	}
}
