package filter

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

func TestFaultConfig(t *testing.T) {
	t.Parallel()
	refuses(t, "fault", [][2]string{
		{`{"abort": 503}`, "listener"},
		{`{"listener": "public", "abort": 503}`, "listener"},
		{`{"listener": "private"}`, ""},
		{`{"listener": "private", "abort": 200}`, "abort"},
		{`{"listener": "private", "delay": "-1s"}`, "delay"},
		{`{"listener": "private", "abort": 503, "percent": 101}`, "percent"},
		{`{"listener": "private", "abort": 503, "header": "a b"}`, "header"},
	})
	takes(t, "fault", `{"listener": "private", "delay": "2s", "abort": 503, "percent": 5, "header": "X-Chaos", "bandwidth": "16KiB"}`)
}

// Delay and bandwidth take the time they say, and end with the exchange.
func TestFaultTakesTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		percent := 100.0
		f := build(t, &Fault{Listener: "private", Delay: 2 * time.Second, Bandwidth: 1000, Percent: &percent}, func(r *message.Request) (*message.Response, error) {
			resp, err := reply(r)
			resp.SetBytes(make([]byte, 3000))
			return resp, err
		})
		began := time.Now()
		r := ask("GET", "/")
		r.X.Listener = "private"
		resp, err := f(r)
		if err != nil || time.Since(began) != 2*time.Second {
			t.Fatal(err, time.Since(began))
		}
		if b, err := io.ReadAll(resp.Body); len(b) != 3000 || err != nil || time.Since(began) != 5*time.Second {
			t.Errorf("%d bytes, %v after %v", len(b), err, time.Since(began))
		}
		resp.Release()

		r.X.Deadline = time.Now().Add(time.Second)
		began = time.Now()
		if _, err := f(r); problem.Of(err).Status != 504 || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}

		r.X.Deadline = time.Time{}
		time.AfterFunc(500*time.Millisecond, func() { r.X.Cancel(message.ErrClientGone) })
		began = time.Now()
		if _, err := f(r); err == nil || time.Since(began) != 500*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}
