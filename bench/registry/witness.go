package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"
)

// witness changes the status of one instance and asks the gateway until it
// picks by it: with the only endpoint of its service drained it answers 503.
type witness struct {
	load    *load
	front   string
	backend *httptest.Server
	id      string
	took    []time.Duration
}

func newWitness(ctx context.Context, c *child, l *load) (*witness, error) {
	w := &witness{load: l, front: "http://" + c.front + "/", backend: httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))}
	host, port, err := net.SplitHostPort(strings.TrimPrefix(w.backend.URL, "http://"))
	if err != nil {
		return nil, err
	}
	w.id = host + ":" + port
	app := strings.ToUpper(witnessed)
	_, err = l.do(ctx, http.MethodPost, "/apps/"+app, fmt.Sprintf(registration, w.id, host, app, port), "application/json", http.StatusNoContent)
	if err != nil {
		return nil, err
	}
	return w, w.until(ctx, http.StatusOK)
}

func (w *witness) close() { w.backend.Close() }

// until asks until the gateway answers with a status.
func (w *witness) until(ctx context.Context, want int) error {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.front, http.NoBody)
		if err != nil {
			return err
		}
		resp, err := w.load.client.Do(req)
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
		if resp.StatusCode == want {
			return nil
		}
		time.Sleep(500 * time.Microsecond)
	}
}

// pause between two changes: those in a row come some twenty a second.
const pause = 20 * time.Millisecond

// change drains and restores the instance in turn, at most n times.
func (w *witness) change(ctx context.Context, n int) error {
	path := "/apps/" + strings.ToUpper(witnessed) + "/" + w.id + "/status?value="
	for i := range n {
		status, want := "OUT_OF_SERVICE", http.StatusServiceUnavailable
		if i%2 == 1 {
			status, want = "UP", http.StatusOK
		}
		begun := time.Now()
		if _, err := w.load.do(ctx, http.MethodPut, path+status, "", "application/json", http.StatusOK); err != nil {
			return err
		}
		err := w.until(ctx, want)
		w.took = append(w.took, time.Since(begun)) // of one that the end cuts off so far
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
	return nil
}

// print tells how long the changes took.
func (w *witness) print() {
	if len(w.took) == 0 {
		return
	}
	slices.Sort(w.took)
	at := func(p int) time.Duration { return w.took[(len(w.took)-1)*p/100].Round(100 * time.Microsecond) }
	fmt.Printf("  %d status changes, each until the gateway picks by it: p50 %v, p99 %v, longest %v\n", len(w.took), at(50), at(99), at(100))
}
