package aggregate_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maru-msa/maru/aggregate"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// mirror is a service whose answer says who asked, and how.
type mirror struct {
	calls, private atomic.Int64
	wait           time.Duration
}

func (m *mirror) service(string) aggregate.Caller {
	return func(r *message.Request) (*message.Response, error) {
		n := m.calls.Add(1)
		if m.wait > 0 {
			done := make(hook)
			if err := r.X.OnCancel(done); err != nil {
				return nil, problem.New(499, "client_abort", "gone")
			}
			select {
			case <-done:
				r.X.OffCancel(done)
				return nil, problem.New(499, "client_abort", "gone")
			case <-time.After(m.wait):
			}
			r.X.OffCancel(done)
		}
		body := fmt.Sprintf(`{"who":%q,"lang":%q,"path":%q}`, r.Header.Get("Authorization"), r.Header.Get("Accept-Language"), r.Path)
		resp := jsonResponse(200, body)
		if n%5 == 0 {
			m.private.Add(1)
			resp.Header.AppendID(message.CacheControl, "private")
		}
		return resp, nil
	}
}

type hook chan struct{}

func (h hook) Cancel(error) { close(h) }

func sharing(t *testing.T, m *mirror) *aggregate.View {
	t.Helper()
	vary := []string{"authorization", "accept-language"}
	g, err := aggregate.Compile(
		aggregate.Config{Sources: map[string]aggregate.SourceConfig{"a": {Vary: &vary}}},
		map[string]aggregate.ViewConfig{"GET /v/{id}": {Budget: time.Minute, Merge: []aggregate.CallConfig{{Call: "a GET /x/{id} -> a"}}}},
		aggregate.Env{Whole: true, Service: m.service})
	if err != nil {
		t.Fatal(err)
	}
	return g.Views()["GET /v/{id}"]
}

func shareRequest(who, lang, id string) *message.Request {
	r := message.NewRequest()
	r.Method, r.Path = "GET", r.X.String([]byte("/v/"+id))
	r.X.AddParam("id", r.X.String([]byte(id)))
	r.Header.Append(message.Field{Name: "Authorization", Value: r.X.String([]byte(who)), ID: message.Authorization})
	r.Header.Append(message.Field{Name: "Accept-Language", Value: r.X.String([]byte(lang))})
	return r
}

// TestSharedCalls is the bar of sharing: no answer reaches another principal or
// language, and nobody loses an answer because a leader left.
func TestSharedCalls(t *testing.T) {
	requests := 20_000
	if os.Getenv("MARU_SOAK") != "" {
		requests = 1_000_000
	}
	m := &mirror{wait: 50 * time.Microsecond}
	v := sharing(t, m)
	var wait sync.WaitGroup
	var crossed, lost atomic.Int64
	const workers = 64
	for w := range workers {
		wait.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 7))
			for range requests / workers {
				who, lang, id := fmt.Sprint("u", rnd.IntN(3)), fmt.Sprint("l", rnd.IntN(2)), fmt.Sprint(rnd.IntN(3))
				r := shareRequest(who, lang, id)
				leaves := rnd.IntN(4) == 0
				if leaves {
					go r.X.Cancel(message.ErrClientGone)
				}
				resp, err := v.Do(r)
				if err != nil {
					if !leaves {
						lost.Add(1)
					}
					if leaves {
						continue // the cancel may still run: this one is not used again
					}
					r.Release()
					continue
				}
				body, err := io.ReadAll(resp.Body)
				if want := fmt.Sprintf(`{"a":{"who":%q,"lang":%q,"path":"/x/%s"}}`, who, lang, id); err != nil || string(body) != want {
					crossed.Add(1)
				}
				resp.Release()
				if !leaves {
					r.Release()
				}
			}
		})
	}
	wait.Wait()
	if crossed.Load() > 0 || lost.Load() > 0 {
		t.Errorf("%d answers crossed, %d lost", crossed.Load(), lost.Load())
	}
	t.Logf("%d requests made %d calls", requests, m.calls.Load())
}

func TestALeaderThatLeavesTakesNobodyWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mirror{wait: time.Second}
		v := sharing(t, m)
		var wait sync.WaitGroup
		first := shareRequest("u", "ko", "1")
		wait.Go(func() {
			if _, err := v.Do(first); !errors.Is(err, message.ErrClientGone) {
				t.Errorf("the leader got %v", err)
			}
		})
		synctest.Wait()
		for range 9 {
			wait.Go(func() {
				r := shareRequest("u", "ko", "1")
				resp, err := v.Do(r)
				if err != nil {
					t.Errorf("a follower got %v", err)
					return
				}
				resp.Release()
			})
		}
		synctest.Wait()
		first.X.Cancel(message.ErrClientGone)
		wait.Wait()
		if n := m.calls.Load(); n != 1 {
			t.Errorf("%d calls", n)
		}
	})
}

// TestNobodyLeftEndsTheCall: a call that nobody waits for any more is given up.
func TestNobodyLeftEndsTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mirror{wait: time.Hour}
		v := sharing(t, m)
		r := shareRequest("u", "ko", "1")
		done := make(chan struct{})
		go func() {
			_, _ = v.Do(r) // what it gives is told above
			close(done)
		}()
		synctest.Wait()
		began := time.Now()
		r.X.Cancel(message.ErrClientGone)
		<-done
		synctest.Wait()
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// TestFaultySources is the bar of partial answers: one of five sources is stalled,
// fails, sends broken JSON, another shape, or half a body; the required part comes
// every time, in time, and what is missing is marked.
func TestFaultySources(t *testing.T) {
	faults := map[string]func(*message.Request) (*message.Response, error){
		"stalled": func(r *message.Request) (*message.Response, error) {
			done := make(hook)
			if r.X.OnCancel(done) == nil {
				select {
				case <-done:
				case <-time.After(time.Until(r.X.Deadline)):
				}
				r.X.OffCancel(done)
			}
			return nil, problem.New(504, "exchange_timeout", "late")
		},
		"failed": func(*message.Request) (*message.Response, error) { return jsonResponse(500, `{"x":1}`), nil },
		"broken": func(*message.Request) (*message.Response, error) { return jsonResponse(200, `{"v":1`), nil },
		"page": func(*message.Request) (*message.Response, error) {
			r := jsonResponse(200, `<html>`)
			r.Header.SetID(message.ContentType, "text/html")
			return r, nil
		},
		"other shape": func(*message.Request) (*message.Response, error) { return jsonResponse(200, `[1,2]`), nil },
		"half": func(*message.Request) (*message.Response, error) {
			r := jsonResponse(200, "")
			r.Body, r.Length = &halfBody{}, 100
			return r, nil
		},
		"wrong type": func(*message.Request) (*message.Response, error) { return jsonResponse(200, `{"v":"text"}`), nil },
	}
	codes := map[string]string{"stalled": "timeout", "failed": "failed", "broken": "invalid", "page": "invalid", "other shape": "mismatch", "half": "invalid", "wrong type": "mismatch"}
	for name, fault := range faults {
		for bad := 1; bad < 5; bad++ {
			t.Run(fmt.Sprintf("%s %d", name, bad), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { faultySource(t, fault, bad, codes[name]) })
			})
		}
	}
}

// halfBody ends before its end.
type halfBody struct{ read bool }

func (b *halfBody) Read(p []byte) (int, error) {
	if b.read {
		return 0, message.ErrAborted
	}
	b.read = true
	return copy(p, `{"v":1}`), nil
}

func (b *halfBody) Close() error { return nil }

func faultySource(t *testing.T, fault func(*message.Request) (*message.Response, error), bad int, code string) {
	types := make(map[string]aggregate.TypeConfig)
	query := make(map[string]aggregate.RootConfig)
	var sel strings.Builder
	sel.WriteString("p0 { v }")
	parts := map[string]string{"p0": "required"}
	policies := []string{"", "null", "default {\"v\":0}", "omit", "null"}
	for i := range 5 {
		types[fmt.Sprintf("P%d", i)] = aggregate.TypeConfig{Fields: map[string]string{"v": "v as Int"}}
		query[fmt.Sprintf("p%d", i)] = aggregate.RootConfig{Type: fmt.Sprintf("P%d", i), Call: aggregate.CallConfig{Call: fmt.Sprintf("s%d GET /", i)}}
		if i > 0 {
			fmt.Fprintf(&sel, " p%d { v }", i)
			parts[fmt.Sprintf("p%d", i)] = policies[i]
		}
	}
	service := func(name string) aggregate.Caller {
		return func(r *message.Request) (*message.Response, error) {
			if name == fmt.Sprintf("s%d", bad) {
				return fault(r)
			}
			return jsonResponse(200, `{"v":12345678901234567890}`), nil
		}
	}
	g, err := aggregate.Compile(aggregate.Config{Graph: aggregate.GraphConfig{Query: query, Types: types}},
		map[string]aggregate.ViewConfig{"GET /": {Budget: 300 * time.Millisecond, Select: aggregate.SelectConfig{"": sel.String()}, Parts: parts}},
		aggregate.Env{Whole: true, Service: service})
	if err != nil {
		t.Fatal(err)
	}
	for range 30 { // long enough to know what is usual
		began := time.Now()
		status, body, h := ask(t, g, "GET /", "/")
		took := time.Since(began)
		if status != 200 || !strings.HasPrefix(body, `{"p0":{"v":12345678901234567890},"p1":`) {
			t.Fatalf("got %d %s", status, body)
		}
		if took > 300*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		got := h.Get("Maru-Partial")
		if !strings.Contains(got, "code="+code) && !strings.Contains(got, "code=laggard") || h.Get("Cache-Control") != "no-store" {
			t.Errorf("Maru-Partial: %s; Cache-Control: %s", got, h.Get("Cache-Control"))
		}
	}
}
