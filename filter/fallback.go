package filter

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
	"github.com/maru-msa/maru/resilience"
)

// Fallback gives another answer when the service has none: the last good one
// for the same URL, that of another service, or a fixed one, in this order. The
// answer says so in X-Maru-Fallback, is not to be stored, and has no field of the
// failed one. Short form: the service.
type Fallback struct {
	// Statuses of answers that count as none (default 5xx). The gateway's own
	// failures from 500 on always do.
	Statuses []string `yaml:"statuses"`
	// Stale keeps the last good answers to GETs without credentials, and gives
	// those that are not older than this (default off).
	Stale time.Duration `yaml:"stale"`
	// To is another service, asked when the request has no body (default none).
	To string `yaml:"to"`
	// Timeout is for that service (default 1s).
	Timeout time.Duration `yaml:"timeout"`
	// Concurrent is how many requests it gets at once (default 10).
	Concurrent int `yaml:"concurrent"`
	// Status of the fixed answer (default 200).
	Status int `yaml:"status"`
	// Body of the fixed answer (default none, then there is no fixed answer
	// unless status is set).
	Body string `yaml:"body"`
	// ContentType of the fixed answer (default: by the beginning of the body).
	ContentType string `yaml:"content-type"`
}

// UnmarshalText reads the service.
func (c *Fallback) UnmarshalText(text []byte) error {
	c.To = string(text)
	return nil
}

type falling struct {
	env      Env
	statuses statusSet
	stale    time.Duration
	good     *goodAnswers
	to       Func
	timeout  time.Duration
	places   *resilience.Bulkhead
	fixed    Func
}

// Filter is the constructor.
func (c *Fallback) Filter(env Env) (Filter, error) {
	var f faults
	list := c.Statuses
	if list == nil {
		list = []string{"5xx"}
	}
	b := &falling{env: env, statuses: f.statuses("statuses", list), stale: c.Stale, timeout: c.Timeout}
	if b.timeout == 0 {
		b.timeout = time.Second
	}
	c.check(&f)
	if c.To != "" {
		if c.To == env.To {
			f.at("to", "%s is the service that failed", c.To).WithFix("name another one; for another try there is retry")
		}
		to, err := env.Service(c.To)
		if err != nil {
			f.at("to", "%v", err).WithFix("name one of the services")
		}
		b.to = to
	}
	if err := f.join(); err != nil {
		return nil, err
	}
	if c.Status != 0 || c.Body != "" {
		respond := Respond{Status: c.Status, Body: c.Body, ContentType: c.ContentType}
		status := c.Status
		if status == 0 {
			status = 200
		}
		b.fixed = respond.fixed(status)
	}
	n := c.Concurrent
	if n == 0 {
		n = 10
	}
	b.places = resilience.NewBulkhead(resilience.BulkheadConfig{Limit: n, Queue: -1, Now: env.Now})
	if c.Stale > 0 {
		b.good, _ = env.Keep(stateKey(&env, "fallback", env.Route, fmt.Sprintf("%+v", *c)), func() any {
			return newGoodAnswers()
		}).(*goodAnswers)
	}
	return func(next Func) Func {
		return func(r *message.Request) (*message.Response, error) { return b.do(r, next) }
	}, nil
}

func (c *Fallback) check(f *faults) {
	if c.Stale < 0 || c.Stale > 0 && c.Stale < time.Second {
		f.at("stale", "%v is too short to be meant", c.Stale).WithFix("write a time such as 10m")
	}
	f.span("timeout", c.Timeout)
	if c.Concurrent < 0 || c.Concurrent > 10_000 {
		f.at("concurrent", "%d is not between 1 and 10000", c.Concurrent).WithFix("write one such as 10")
	}
	if n := c.Status; n != 0 && (n < 200 || n > 599) {
		f.at("status", "%d is no final status", n).WithFix("write 200 to 599")
	}
	if c.Body != "" && c.Status >= 200 && message.NoContent(c.Status) {
		f.at("status", "%d has no content (RFC 9110 §6.4.1)", c.Status).WithFix("remove the body, or answer 200")
	}
	f.value("content-type", c.ContentType)
	if c.Stale == 0 && c.To == "" && c.Status == 0 && c.Body == "" {
		f.at("", "fallback has no answer to give").WithFix("add stale, to, status or body")
	}
}

func (b *falling) do(r *message.Request, next Func) (*message.Response, error) {
	if r.Upgrade != "" {
		return next(r)
	}
	var room [512]byte
	var key []byte // of the last good answer; empty when there is none to keep or give
	if b.good != nil && keepable(r) {
		key = goodKey(room[:0], r)
	}
	resp, err := next(r)
	cause := b.cause(r, resp, err)
	if cause == "" {
		if len(key) > 0 && err == nil {
			return b.good.keep(key, r, resp, b.env.Now())
		}
		return resp, err
	}
	other, kind := b.other(r, key)
	if other == nil {
		b.env.Count("fallback", "none")
		return resp, err
	}
	if resp != nil {
		resp.Release()
	}
	b.env.Count("fallback", kind)
	if b.env.Guard != nil {
		b.env.Guard.FellBack()
	}
	other.Header.SetID(message.CacheControl, "no-store")
	_ = other.Header.Set("X-Maru-Fallback", kind+"; cause="+cause)
	return other, nil
}

// cause is the word for why an answer is needed; "" when none is.
func (b *falling) cause(r *message.Request, resp *message.Response, err error) string {
	if r.X.Err() != nil {
		return "" // nobody is left to answer
	}
	if err == nil {
		if b.statuses.has(resp.Status) {
			return "status_" + strconv.Itoa(resp.Status)
		}
		return ""
	}
	if p := problem.Of(err); p.Status >= 500 {
		return p.Reason
	}
	return ""
}

// other finds the other answer, and what kind it is; nil when there is none.
func (b *falling) other(r *message.Request, key []byte) (resp *message.Response, kind string) {
	if len(key) > 0 {
		if resp = b.good.give(key, b.env.Now(), b.stale); resp != nil {
			return resp, "stale"
		}
	}
	if b.to != nil && !r.HasBody() {
		if resp = b.ask(r); resp != nil {
			return resp, "service"
		}
	}
	if b.fixed != nil {
		if resp, err := b.fixed(r); err == nil {
			return resp, "static"
		}
	}
	return nil, ""
}

// ask calls the other service, in time and room of its own.
func (b *falling) ask(r *message.Request) *message.Response {
	if !b.places.TryEnter() {
		b.env.Count("fallback", "full")
		return nil
	}
	defer b.places.Leave()
	x := &r.X
	reason, cause := x.Reason, x.Cause // of the failure: what the log shall show
	x.Deadline, x.TryTimeout = b.env.Now().Add(b.timeout), 0
	resp, err := b.to(r)
	x.Reason, x.Cause = reason, cause
	if err == nil && !b.statuses.has(resp.Status) {
		return resp
	}
	if err == nil {
		resp.Release()
	}
	b.env.Count("fallback", "failed")
	return nil
}

// keepable tells whether a good answer to r would be right for others too.
func keepable(r *message.Request) bool {
	return r.Method == "GET" && !r.HasBody() && !r.Header.Has(message.Authorization) &&
		!r.Header.Has(message.Cookie) && !r.Header.Has(message.Range)
}

func goodKey(dst []byte, r *message.Request) []byte {
	dst = append(append(dst, r.Scheme...), 0)
	dst = append(append(dst, r.Authority...), 0)
	dst = appendFolded(dst, &r.Header, "Accept")
	dst = appendFolded(append(dst, 0), &r.Header, "Accept-Encoding")
	return r.AppendTarget(append(dst, 0))
}

// shareable tells whether resp is a whole answer that others may get.
func shareable(resp *message.Response) bool {
	if resp.Status != 200 || resp.Stream || resp.Length < 0 || resp.Length > goodBody || resp.Trailer.Len() > 0 {
		return false
	}
	h := &resp.Header
	if h.Has(message.SetCookie) || h.HasToken(message.CacheControl, "no-store") || h.HasToken(message.CacheControl, "private") {
		return false
	}
	for i := range h.Fields() {
		if f := &h.Fields()[i]; f.ID == message.Vary && !variesByKey(f.Value) {
			return false
		}
	}
	return true
}

// variesByKey tells whether Vary names nothing that is not in the key.
func variesByKey(vary string) bool {
	for name := range strings.SplitSeq(vary, ",") {
		name = strings.TrimSpace(name)
		if !strings.EqualFold(name, "Accept") && !strings.EqualFold(name, "Accept-Encoding") {
			return false
		}
	}
	return true
}
