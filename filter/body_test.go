package filter

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

func TestBodyConfig(t *testing.T) {
	t.Parallel()
	refuses(t, "body", [][2]string{{"", "limit"}, {`{}`, "limit"}})
	takes(t, "body", "0", "10MiB", `{"limit": "1KB"}`)
}

// No byte beyond the limit reaches the service, however the body comes in.
func TestBodyStopsAtTheLimit(t *testing.T) {
	t.Parallel()
	limit := message.Size(1000)
	for _, step := range []int{1, 7, 999, 1000, 1001, 4096} {
		for _, size := range []int{0, 1, 999, 1000, 1001, 5000} {
			r := ask("POST", "/")
			r.Body, r.Length = &trickle{data: []byte(strings.Repeat("x", size)), size: step}, message.Unknown
			got := 0
			f := build(t, &Body{Limit: &limit}, func(r *message.Request) (*message.Response, error) {
				b, err := io.ReadAll(r.Body)
				if got = len(b); err != nil {
					return nil, problem.Wrap(err, 502, "upstream_write", "")
				}
				return answer(200, ""), nil
			})
			resp, err := f(r)
			if over := size > 1000; over != (err != nil && problem.Of(err).Status == 413) || got > 1000 {
				t.Errorf("%d bytes in steps of %d: %v, the service saw %d", size, step, err, got)
			}
			if resp != nil {
				resp.Release()
			}
			r.Release()
		}
	}
}

// A service that answers before it has read everything is believed.
func TestBodyEarlyAnswer(t *testing.T) {
	t.Parallel()
	limit := message.Size(10)
	f := build(t, &Body{Limit: &limit}, func(r *message.Request) (*message.Response, error) {
		return answer(401, ""), nil
	})
	r := ask("POST", "/")
	r.Body, r.Length = &trickle{data: make([]byte, 100), size: 10}, message.Unknown
	defer r.Release()
	resp, err := f(r)
	if err != nil || resp.Status != 401 {
		t.Fatal(err)
	}
	resp.Release()
}

// A client's own failure is not turned into a 413.
func TestBodyPassesFaultsOn(t *testing.T) {
	t.Parallel()
	limit := message.Size(10)
	f := build(t, &Body{Limit: &limit}, func(r *message.Request) (*message.Response, error) {
		_, err := io.ReadAll(r.Body)
		return nil, err
	})
	r := ask("POST", "/")
	r.Body, r.Length = &trickle{data: []byte("abc"), size: 2, end: message.ErrAborted}, message.Unknown
	defer r.Release()
	if _, err := f(r); !errors.Is(err, message.ErrAborted) {
		t.Error(err)
	}
}
