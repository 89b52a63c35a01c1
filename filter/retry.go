package filter

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
	"github.com/maru-msa/maru/resilience"
)

// Retry calls the service once more, at another endpoint, when that can do no
// harm: any request that was not sent at all, and idempotent ones that got no
// answer or a 502, 503 or 504. All retries of a service share a budget. Short
// form: attempts.
type Retry struct {
	// Attempts is how often a request is sent at most, the first time included (default 2).
	Attempts int `yaml:"attempts"`
	// Statuses of answers after which an idempotent request is sent again
	// (default 502, 503 and 504).
	Statuses []string `yaml:"statuses"`
	// Backoff is the longest wait before the first retry (default 25ms); it
	// doubles with each. The wait is any time up to it.
	Backoff time.Duration `yaml:"backoff"`
	// Budget is the percentage of the requests that may be sent again (default 20),
	// where the chain leads to several services; else the service's own counts.
	Budget int `yaml:"budget"`
}

// UnmarshalText reads attempts.
func (c *Retry) UnmarshalText(text []byte) error {
	n, err := strconv.Atoi(string(text))
	if err != nil {
		return fmt.Errorf("%q is no number of attempts; write one such as 2", text)
	}
	c.Attempts = n
	return nil
}

type retrier struct {
	env      Env
	policy   *resilience.Retry
	budget   *resilience.Budget
	own      bool // the budget is not a service's, which counts its calls itself
	statuses statusSet
	tries    sync.Pool
}

// Filter is the constructor.
func (c *Retry) Filter(env Env) (Filter, error) {
	var f faults
	if c.Attempts != 0 && (c.Attempts < 2 || c.Attempts > 10) {
		f.at("attempts", "%d is not between 2 and 10", c.Attempts).WithFix("write 2: the request, and one retry")
	}
	if c.Backoff < 0 || c.Backoff > time.Second {
		f.at("backoff", "%v is not between 0 and 1s", c.Backoff).WithFix("write one such as 25ms")
	}
	if c.Budget < 0 || c.Budget > 100 {
		f.at("budget", "%d is not between 1 and 100", c.Budget).WithFix("write one such as 20")
	}
	if c.Budget != 0 && env.Guard != nil {
		f.at("budget", "the budget belongs to the service, for all that send again").
			WithFix("write services.%s.retry.budget: %d, and leave it out here", env.To, c.Budget)
	}
	list := c.Statuses
	if list == nil {
		list = []string{"502", "503", "504"}
	}
	t := &retrier{env: env, statuses: f.statuses("statuses", list)}
	if err := f.join(); err != nil {
		return nil, err
	}
	t.policy = resilience.NewRetry(resilience.RetryConfig{Attempts: c.Attempts, Backoff: c.Backoff, Float: env.Float})
	if t.own = env.Guard == nil; t.own {
		t.budget = keptBudget(&env, c.Budget)
	} else {
		t.budget = env.Guard.Budget()
	}
	t.tries.New = func() any { return new(tries) }
	return func(next Func) Func {
		return func(r *message.Request) (*message.Response, error) { return t.do(r, next) }
	}, nil
}

// keptBudget is the budget where no service has one for it: of a chain that leads
// to several.
func keptBudget(env *Env, percent int) *resilience.Budget {
	key := stateKey(env, "budget", strconv.Itoa(percent))
	b, _ := env.Keep(key, func() any {
		return resilience.NewBudget(resilience.BudgetConfig{Percent: percent, Now: env.Now})
	}).(*resilience.Budget)
	return b
}

// stateKey is the key of state that belongs to a service, as long as its
// definition and the filter's stay the same.
func stateKey(env *Env, parts ...string) string {
	owner := env.To + "\x00" + env.ToKey
	if env.To == "" {
		owner = "\x00" + env.Route
	}
	return strings.Join(parts, "\x00") + "\x00" + owner
}

// tries is what is needed to send a request again as it was: filters behind
// this one may have changed it.
type tries struct {
	method, path, rawPath, query string
	hasQuery                     bool
	stripped                     string
	forwarded                    bool
	length                       int64
	header                       message.Header
	body                         *message.Replay
}

func (t *tries) save(r *message.Request) {
	t.method, t.path, t.rawPath, t.query, t.hasQuery = r.Method, r.Path, r.RawPath, r.Query, r.HasQuery
	t.stripped, t.forwarded, t.length = r.X.Stripped, r.X.Forwarded, r.Length
	t.header.CopyFrom(&r.Header)
	if r.HasBody() {
		t.body = message.NewReplay(r.Body, r.Length)
		r.Body = t.body
	}
}

// restore makes the request what it was, marked as that retry.
func (t *tries) restore(r *message.Request, attempt int) {
	r.Method, r.Path, r.RawPath, r.Query, r.HasQuery = t.method, t.path, t.rawPath, t.query, t.hasQuery
	r.X.Stripped, r.X.Forwarded, r.Length = t.stripped, t.forwarded, t.length
	r.X.Reason, r.X.Cause = "", nil
	r.Header.Reset()
	r.Header.CopyFrom(&t.header)
	r.Header.SetID(message.XMaruAttempt, strconv.Itoa(attempt))
	if t.body == nil {
		return
	}
	if r.Body = t.body.Again(); r.Body != message.Body(t.body) {
		r.Expect = false
		r.Header.DelID(message.Expect)
	}
}

// again tells whether the body can be sent once more.
func (t *tries) again() bool {
	return t.body == nil || t.body.Again() != nil
}

func (t *tries) reset() {
	t.method, t.path, t.rawPath, t.query, t.stripped, t.body = "", "", "", "", "", nil
	t.header.Reset()
}

func (t *retrier) do(r *message.Request, next Func) (*message.Response, error) {
	if v := r.Header.Value(message.XMaruAttempt); r.Upgrade != "" || r.X.Stream || v != "" && v != "0" {
		return next(r) // one layer retries: whoever sent this does
	}
	r.X.Retrying = true
	if t.own {
		t.budget.Enter()
		defer t.budget.Leave()
	}
	s, _ := t.tries.Get().(*tries)
	defer func() { s.reset(); t.tries.Put(s) }()
	idempotent := r.Idempotent()
	s.save(r)
	resp, err := next(r)
	for attempt := 1; ; attempt++ {
		after, failed := t.failed(resp, err, idempotent)
		if !failed || !s.again() || r.X.Err() != nil {
			return resp, err
		}
		wait, ok := t.policy.Next(attempt, after, t.left(r))
		if !ok {
			return resp, err
		}
		if !t.budget.Take() {
			t.env.Count("retry", "budget")
			return resp, err
		}
		if resp != nil {
			discard(resp)
		}
		resp, err = t.once(r, next, s, attempt, wait)
	}
}

// once makes one retry. The budget has room for it.
func (t *retrier) once(r *message.Request, next Func, s *tries, attempt int, wait time.Duration) (*message.Response, error) {
	defer t.budget.Give()
	if err := r.X.Wait(wait); err != nil {
		return nil, err
	}
	t.env.Count("retry", "retried")
	s.restore(r, attempt)
	return next(r)
}

// left is what remains of the exchange's time.
func (t *retrier) left(r *message.Request) time.Duration {
	if r.X.Deadline.IsZero() {
		return time.Hour
	}
	return r.X.Deadline.Sub(t.env.Now())
}

// failed tells whether the outcome is one that another try may mend, and how
// long the service wants to be left alone.
func (t *retrier) failed(resp *message.Response, err error, idempotent bool) (after time.Duration, failed bool) {
	if err != nil {
		p, ok := errors.AsType[*problem.Error](err)
		if !ok {
			return 0, false
		}
		switch p.Reason {
		case "connect_failed", "connect_timeout", "tls_failed", "tls_timeout": // nothing was sent
			return p.RetryAfter, true
		case "reset", "head_timeout":
			return p.RetryAfter, idempotent
		}
		return 0, false
	}
	if !idempotent || resp.Local || !t.statuses.has(resp.Status) {
		return 0, false
	}
	if n, err := strconv.Atoi(resp.Header.Value(message.RetryAfter)); err == nil && n > 0 {
		after = time.Duration(min(n, 3600)) * time.Second
	}
	return after, true
}

// discard releases an answer that nobody gets. Its connection is used again
// where that costs no wait.
func discard(resp *message.Response) {
	if b, ok := resp.Body.(message.Buffered); ok && int64(len(b.Peek())) == resp.Length {
		drain(resp, resp.Length+1)
		return
	}
	resp.Release()
}
