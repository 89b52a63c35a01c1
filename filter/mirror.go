package filter

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/maru-msa/maru/message"
)

// Mirror sends a copy of requests to another service and throws its answers
// away. The main exchange does not notice: it never waits for the copy, and
// what is over the bound is dropped and counted. Copies carry X-Maru-Mirror: 1.
// Short form: the service.
type Mirror struct {
	// To is the service that gets the copies (required).
	To string `yaml:"to"`
	// Percent of requests that are copied (default 100).
	Percent *float64 `yaml:"percent"`
	// Methods that are copied (default GET and HEAD: others would write twice).
	Methods []string `yaml:"methods"`
	// Concurrent is how many copies may be under way at once (default 64).
	Concurrent int `yaml:"concurrent"`
	// Timeout is for one copy (default 5s).
	Timeout time.Duration `yaml:"timeout"`
}

// UnmarshalText reads the service.
func (c *Mirror) UnmarshalText(text []byte) error {
	c.To = string(text)
	return nil
}

const (
	mirrorBody     = 64 << 10 // larger bodies are not mirrored
	mirrorResponse = 1 << 20  // read to keep the connection; beyond it the answer is cut
)

type mirrorer struct {
	env     Env
	to      Func
	share   float64
	methods []string
	slots   chan struct{}
	timeout time.Duration
}

// Filter is the constructor.
func (c *Mirror) Filter(env Env) (Filter, error) {
	var f faults
	m := mirrorer{env: env, share: 1, methods: []string{"GET", "HEAD"}, timeout: c.Timeout}
	if c.To == "" {
		f.at("to", "mirror needs a service").WithFix("write mirror: SERVICE")
	} else if to, err := env.Service(c.To); err != nil {
		f.at("to", "%v", err).WithFix("name one of the services")
	} else {
		m.to = to
	}
	if c.Percent != nil {
		m.share = *c.Percent / 100
		if *c.Percent < 0 || *c.Percent > 100 {
			f.at("percent", "%v is not between 0 and 100", *c.Percent).WithFix("write one such as 10")
		}
	}
	if c.Methods != nil {
		m.methods = slices.Clone(c.Methods)
	}
	for i, method := range c.Methods {
		if !message.ValidToken(method) {
			f.at(at("methods", i), "%q is not a method", method).WithFix("write one such as POST")
		}
	}
	n := c.Concurrent
	if n == 0 {
		n = 64
	}
	if n < 0 || n > 10_000 {
		f.at("concurrent", "%d is not between 1 and 10000", c.Concurrent).WithFix("write one such as 64")
		n = 0
	}
	if m.timeout == 0 {
		m.timeout = 5 * time.Second
	}
	if m.timeout < 0 {
		f.at("timeout", "%v is in the past", c.Timeout).WithFix("write one such as 5s")
	}
	if err := f.join(); err != nil {
		return nil, err
	}
	m.slots = make(chan struct{}, n)
	return func(next Func) Func {
		return func(r *message.Request) (*message.Response, error) { return m.do(r, next) }
	}, nil
}

// wanted leaves out copies of copies, upgrades, and what chance leaves out.
func (m *mirrorer) wanted(r *message.Request) bool {
	return slices.Contains(m.methods, r.Method) && r.Upgrade == "" && !r.Header.Has(message.XMaruMirror) &&
		(m.share >= 1 || m.env.Float() < m.share)
}

func (m *mirrorer) do(r *message.Request, next Func) (*message.Response, error) {
	if !m.wanted(r) {
		return next(r)
	}
	if r.Length > mirrorBody {
		m.env.Count("mirror", "body_too_large")
		return next(r)
	}
	select {
	case m.slots <- struct{}{}:
	default:
		m.env.Count("mirror", "dropped")
		return next(r)
	}
	twin := m.copyOf(r)
	if !r.HasBody() {
		go m.send(twin)
		return next(r)
	}
	// The body is copied while the main call reads it; the copy leaves after.
	tee := &teeBody{Body: r.Body, length: r.Length}
	r.Body = tee
	resp, err := next(r)
	switch {
	case err == nil && tee.whole.Load():
		twin.Body, twin.Length = message.Bytes(tee.data), int64(len(tee.data))
		go m.send(twin)
	default:
		reason := "body_incomplete"
		if tee.over.Load() {
			reason = "body_too_large"
		}
		m.env.Count("mirror", reason)
		twin.Release()
		<-m.slots
	}
	return resp, err
}

// copyOf makes the request to send, with a time of its own.
func (m *mirrorer) copyOf(r *message.Request) *message.Request {
	t := copyRequest(r, func(id message.ID) bool { return id == message.Expect }) // nobody waits for a 100 here
	t.Header.SetID(message.XMaruMirror, "1")
	now := m.env.Now()
	t.X.Began, t.X.Deadline = now, now.Add(m.timeout)
	t.X.TryTimeout, t.X.IdleTimeout = 0, 0
	return t
}

// send runs on its own goroutine; nothing it meets may reach the main exchange
// or end the process.
func (m *mirrorer) send(t *message.Request) {
	defer func() {
		if v := recover(); v != nil {
			m.env.Count("mirror", "panic")
			m.env.Log.Error("mirror call panicked", "panic", fmt.Sprint(v), "route", m.env.Route)
		}
		<-m.slots
	}()
	resp, err := m.to(t)
	if err != nil {
		m.env.Count("mirror", "failed")
	} else {
		m.env.Count("mirror", "sent")
		drain(resp, mirrorResponse)
	}
	t.Release()
}

// drain reads a response to its end, so that its connection can be used again,
// and releases it; it gives up after limit bytes.
func drain(resp *message.Response, limit int64) {
	defer resp.Release()
	if resp.Status == 101 {
		return
	}
	var buf [4096]byte
	for limit > 0 {
		n, err := resp.Body.Read(buf[:])
		limit -= int64(n)
		if errors.Is(err, io.EOF) {
			resp.MarkComplete()
			return
		}
		if err != nil {
			return
		}
	}
}

// teeBody keeps what passes, up to mirrorBody bytes.
type teeBody struct {
	message.Body

	data        []byte
	length      int64       // or Unknown: a sender that knows it does not read on to the EOF
	whole, over atomic.Bool // asked by the filter while a sender may still read
}

func (b *teeBody) Read(p []byte) (int, error) {
	n, err := b.Body.Read(p)
	if b.over.Load() || b.whole.Load() {
		return n, err
	}
	if len(b.data)+n > mirrorBody {
		b.data = nil
		b.over.Store(true)
		return n, err
	}
	b.data = append(b.data, p[:n]...)
	if errors.Is(err, io.EOF) || int64(len(b.data)) == b.length {
		b.whole.Store(true)
	}
	return n, err
}
