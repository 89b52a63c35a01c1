package filter

import (
	"testing"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

func TestTimeoutConfig(t *testing.T) {
	t.Parallel()
	refuses(t, "timeout", [][2]string{
		{"{}", ""}, {"0s", ""}, {"-1s", "total"}, {`{"try": "10us"}`, "try"}, {`{"idle": "-1s"}`, "idle"}, {`{"total": "1s", "try": "2s"}`, "try"},
	})
	takes(t, "timeout", "800ms", `{"idle": "5m"}`, `{"total": "2s", "try": "2s"}`)
	for _, text := range []string{"5", "soon"} {
		if _, err := configOf("timeout", text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

// Times only ever get shorter, whichever filter comes first.
func TestTimeoutShortens(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	type times struct {
		deadline  time.Time
		try, idle time.Duration
	}
	env := Bare()
	env.Now = func() time.Time { return began.Add(time.Second) }
	for _, c := range []struct {
		name     string
		config   Timeout
		before   times
		deadline time.Duration // after began; 0: none
		try      time.Duration
		idle     time.Duration
	}{
		{name: "from the first byte", config: Timeout{Total: 3 * time.Second}, deadline: 3 * time.Second},
		{
			name: "never longer", config: Timeout{Total: time.Hour, Try: time.Minute, Idle: time.Minute},
			before:   times{deadline: began.Add(2 * time.Second), try: time.Second, idle: time.Second},
			deadline: 2 * time.Second, try: time.Second, idle: time.Second,
		},
		{
			name: "shorter", config: Timeout{Total: 2 * time.Second, Try: time.Second, Idle: time.Second},
			before:   times{deadline: began.Add(time.Hour), try: time.Minute, idle: time.Minute},
			deadline: 2 * time.Second, try: time.Second, idle: time.Second,
		},
		{name: "what is not set stays", config: Timeout{Idle: time.Second}, before: times{try: time.Minute}, try: time.Minute, idle: time.Second},
	} {
		f, err := c.config.Filter(env)
		if err != nil {
			t.Fatal(err)
		}
		r := ask("GET", "/")
		r.X.Began, r.X.Deadline, r.X.TryTimeout, r.X.IdleTimeout = began, c.before.deadline, c.before.try, c.before.idle
		resp, err := f(reply)(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Release()
		want := time.Time{}
		if c.deadline > 0 {
			want = began.Add(c.deadline)
		}
		if !r.X.Deadline.Equal(want) || r.X.TryTimeout != c.try || r.X.IdleTimeout != c.idle {
			t.Errorf("%s: deadline %v, try %v, idle %v", c.name, r.X.Deadline, r.X.TryTimeout, r.X.IdleTimeout)
		}
		r.Release()
	}
}

// A deadline that is over, whoever set it, starts no work.
func TestTimeoutStartsNothingLate(t *testing.T) {
	t.Parallel()
	f := build(t, &Timeout{Try: time.Second}, func(*message.Request) (*message.Response, error) {
		t.Error("the service was called")
		return reply(nil)
	})
	r := ask("GET", "/")
	defer r.Release()
	r.X.Deadline = time.Now().Add(-time.Millisecond)
	if _, err := f(r); problem.Of(err).Status != 504 {
		t.Error(err)
	}
}
