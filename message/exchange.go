package message

import (
	"context"
	"crypto/tls"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// MaxParams is the most path parameters that a route may capture.
const MaxParams = 16

// Param is one captured path parameter, still percent-encoded. Name is the
// route's own constant string, Value a view into the path.
type Param struct{ Name, Value string }

// Phase is one moment of an exchange; Exchange.Phases holds its time as an offset from Began.
type Phase uint8

// The phases, in the order they happen. A phase that did not happen is zero.
const (
	PhaseRoute   Phase = iota // route found
	PhaseFilters              // filters passed, the service is called
	PhaseConnect              // an upstream connection is in hand
	PhaseSent                 // request written
	PhaseHead                 // response head in
	PhaseDone                 // last byte to the client
	NumPhases
)

// Priority is how much a request matters beside others of its service.
type Priority uint8

// The priorities. The zero value is that of most requests.
const (
	PriorityNormal Priority = iota
	PriorityHigh
	PriorityLow
	PrioritySheddable
)

// String gives the word of the configuration and of X-Maru-Priority.
func (p Priority) String() string {
	switch p {
	case PriorityNormal:
		return "normal"
	case PriorityHigh:
		return "high"
	case PriorityLow:
		return "low"
	case PrioritySheddable:
		return "sheddable"
	}
	return "unknown"
}

// ParsePriority reads what [Priority.String] writes.
func ParsePriority(s string) (Priority, bool) {
	for p := PriorityNormal; p <= PrioritySheddable; p++ {
		if p.String() == s {
			return p, true
		}
	}
	return PriorityNormal, false
}

// Twin is where one of two requests for the same went, for the other to go
// elsewhere. A nil Twin knows nothing.
type Twin struct{ endpoint atomic.Pointer[string] }

// Went notes the endpoint of the newest try.
func (t *Twin) Went(endpoint string) {
	if t != nil {
		own := endpoint // a copy, so that a nil Twin costs no memory
		t.endpoint.Store(&own)
	}
}

// Endpoint is the endpoint of the newest try, "" before the first.
func (t *Twin) Endpoint() string {
	if t == nil {
		return ""
	}
	if e := t.endpoint.Load(); e != nil {
		return *e
	}
	return ""
}

// Trace is the trace identity of an exchange (W3C Trace Context).
type Trace struct {
	ID     [16]byte // trace id
	Span   [8]byte  // this hop's span id
	Parent [8]byte  // the caller's span id; zero when we started the trace
	Flags  byte     // 1: sampled
	B3     bool     // it came as B3, so B3 is written too
}

// Exchange is the state of one request/response exchange: a typed struct, no
// string-keyed bag. The engine owns it; layers fill their own fields.
type Exchange struct {
	// Began is when the first byte of the request was read.
	Began time.Time
	// Deadline is the end of the whole exchange's budget; zero means none.
	Deadline time.Time
	// TryTimeout bounds one try at a service and IdleTimeout the silence between
	// two reads of a streamed body, where shorter than the service's own; 0 means none.
	TryTimeout, IdleTimeout time.Duration
	// CallerDeadline says that Deadline is the caller's wish and shorter than ours:
	// who misses it need not be slow.
	CallerDeadline bool
	// Stream says that the route streams: slow bodies are its nature.
	Stream bool
	// Priority decides who goes first when a service has not room for all.
	Priority Priority
	// Retrying says that somebody in front of the service sees to further tries:
	// one layer retries.
	Retrying bool
	// Twin is shared with another request for the same, or nil: they go to
	// different endpoints.
	Twin *Twin
	// Phases are offsets from Began.
	Phases [NumPhases]time.Duration

	// Peer is the other end of the connection, Client the client's address
	// after the trust rules; Trusted tells whether Peer is a trusted proxy.
	Peer    netip.AddrPort
	Client  netip.Addr
	Trusted bool
	// Lookalikes counts the fields that were dropped because they imitate ones
	// that only maru or a trusted peer may set.
	Lookalikes int
	// Listener is the name of the listener; TLS is nil on a plain one.
	Listener string
	TLS      *tls.ConnectionState
	// Port is the listener's port as clients see it.
	Port uint16

	// Route, Service and Endpoint are names from the configuration.
	Route    string
	Service  string
	Endpoint string
	// Attempts counts tries at services; 0 when none was called.
	Attempts int
	// Reason is the one-word outcome for log and metrics when the exchange did
	// not simply succeed: "no_endpoint", "cl_te", "client_abort".
	Reason string
	// Cause is what the log shows for operators.
	Cause error
	// Cache is the word for Cache-Status and the log: "hit", "miss", "stale".
	Cache string
	// Path is the canonical path as the route was found by it, whatever filters
	// made of the request's own; "" before that. Logs and policies see this one.
	Path string
	// Stripped is the prefix that strip cut, for X-Forwarded-Prefix.
	Stripped string

	// Forwarded is set once maru's own fields are on the request, so that a
	// second try does not add them again.
	Forwarded bool
	// Shard is a small number that stays the same for a client connection; pools
	// use it to keep connections on one processor's shelf.
	Shard uint32

	Trace     Trace
	RequestID string

	// Sent and Received count body bytes towards and from the client.
	Sent, Received int64

	// Interim sends a 1xx to the client at once; nil when the client can't take
	// any (HTTP/1.0). The response stays the caller's.
	Interim func(*Response) error
	// Continue tells the client to send its body (100), once; nil when it does not wait.
	Continue func() error

	params  [MaxParams]Param
	nparams int
	arena   arena
	cancel  canceller
}

func (x *Exchange) reset() {
	x.cancel.reset()
	x.arena.reset()
	a, c := x.arena, x.cancel.hooks[:0]
	n := x.nparams
	for i := range n {
		x.params[i] = Param{}
	}
	x.nparams = 0
	x.Began, x.Deadline = time.Time{}, time.Time{}
	x.TryTimeout, x.IdleTimeout, x.Stream = 0, 0, false
	x.CallerDeadline, x.Priority, x.Retrying, x.Twin = false, PriorityNormal, false, nil
	x.Phases = [NumPhases]time.Duration{}
	x.Peer, x.Client, x.Trusted = netip.AddrPort{}, netip.Addr{}, false
	x.Lookalikes = 0
	x.Listener, x.TLS, x.Port = "", nil, 0
	x.Route, x.Service, x.Endpoint, x.Attempts = "", "", "", 0
	x.Reason, x.Cause, x.Cache, x.Stripped, x.Shard, x.Forwarded = "", nil, "", "", 0, false
	x.Path = ""
	x.Trace, x.RequestID = Trace{}, ""
	x.Sent, x.Received = 0, 0
	x.Interim, x.Continue = nil, nil
	x.arena, x.cancel.hooks = a, c
}

// Mark records that phase p happens now.
func (x *Exchange) Mark(p Phase) { x.Phases[p] = time.Since(x.Began) }

// Params are the captured path parameters in the order of the pattern.
func (x *Exchange) Params() []Param { return x.params[:x.nparams] }

// Param gives the value of the named path parameter, or "".
func (x *Exchange) Param(name string) string {
	for i := range x.nparams {
		if x.params[i].Name == name {
			return x.params[i].Value
		}
	}
	return ""
}

// AddParam records a captured parameter; beyond MaxParams it is dropped, which
// route refuses at load.
func (x *Exchange) AddParam(name, value string) {
	if x.nparams < MaxParams {
		x.params[x.nparams] = Param{name, value}
		x.nparams++
	}
}

// ResetParams forgets the captured parameters.
func (x *Exchange) ResetParams() { x.nparams = 0 }

// Canceler is told, once, that an exchange was given up. It must not block.
type Canceler interface{ Cancel(cause error) }

// ErrClientGone is the cause of a cancel because the client left (499 in the log).
var ErrClientGone = errors.New("client gone")

type canceller struct {
	mu    sync.Mutex
	cause error
	hooks []Canceler
	ctx   context.Context //nolint:containedctx // made on demand for code that needs one
	stop  context.CancelCauseFunc
}

func (c *canceller) reset() {
	c.mu.Lock()
	if c.stop != nil {
		c.stop(context.Canceled)
	}
	c.cause, c.ctx, c.stop = nil, nil, nil
	for i := range c.hooks {
		c.hooks[i] = nil
	}
	c.hooks = c.hooks[:0]
	c.mu.Unlock()
}

// Cancel gives the exchange up: everything that waits for it is woken. Only the
// first cause counts.
func (x *Exchange) Cancel(cause error) {
	c := &x.cancel
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return
	}
	c.cause = cause
	for _, h := range c.hooks {
		h.Cancel(cause)
	}
	if c.stop != nil {
		c.stop(cause)
	}
}

// Err is the cause of the cancel, or nil while the exchange goes on.
func (x *Exchange) Err() error {
	x.cancel.mu.Lock()
	defer x.cancel.mu.Unlock()
	return x.cancel.cause
}

// OnCancel registers h; when the exchange is already cancelled it returns the
// cause and h is not registered. Pair it with [Exchange.OffCancel].
func (x *Exchange) OnCancel(h Canceler) error {
	c := &x.cancel
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return c.cause
	}
	c.hooks = append(c.hooks, h)
	return nil
}

// OffCancel removes h; after it returns, h.Cancel is not running and won't be called.
func (x *Exchange) OffCancel(h Canceler) {
	c := &x.cancel
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := len(c.hooks) - 1; i >= 0; i-- {
		if c.hooks[i] == h {
			last := len(c.hooks) - 1
			c.hooks[i] = c.hooks[last]
			c.hooks[last] = nil
			c.hooks = c.hooks[:last]
			return
		}
	}
}

// Gone is a hook that closes a channel when an exchange is given up.
type Gone chan struct{}

// Cancel is called once.
func (g Gone) Cancel(error) { close(g) }

// Wait waits so long, unless the exchange is given up; then it gives the cause.
func (x *Exchange) Wait(d time.Duration) error {
	if d <= 0 {
		return x.Err()
	}
	g := make(Gone)
	if err := x.OnCancel(g); err != nil {
		return err
	}
	defer x.OffCancel(g)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-g:
		return x.Err()
	}
}

// Context is a context that ends with the exchange, for code that needs one.
// It allocates: the plain request path does not call it.
func (x *Exchange) Context() context.Context {
	c := &x.cancel
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx == nil {
		ctx, stop := context.WithCancelCause(context.Background())
		c.ctx, c.stop = ctx, stop
		if !x.Deadline.IsZero() {
			dctx, dstop := context.WithDeadline(ctx, x.Deadline)
			c.ctx, c.stop = dctx, func(cause error) { stop(cause); dstop() }
		}
		if c.cause != nil {
			stop(c.cause)
		}
	}
	return c.ctx
}

// String copies b into the exchange's arena and gives it as a string that lives
// as long as the exchange.
func (x *Exchange) String(b []byte) string {
	p := x.arena.copy(b)
	return unsafe.String(unsafe.SliceData(p), len(p))
}

// Scratch gives an empty slice with room for n bytes in the arena. Append at
// most n bytes to it, then make it a string with [View]; nothing is copied.
func (x *Exchange) Scratch(n int) []byte { return x.arena.take(n) }

// View shows b as a string without copying. b must not change while it is used.
func View(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// arena is a bump allocator for one exchange: one block kept, overflow left to
// the garbage collector.
type arena struct {
	block []byte
}

const arenaSize = 2048

func (a *arena) take(n int) []byte {
	if cap(a.block)-len(a.block) < n {
		if n > arenaSize/2 {
			return make([]byte, 0, n)
		}
		a.block = make([]byte, 0, arenaSize)
	}
	start := len(a.block)
	a.block = a.block[:start+n]
	return a.block[start : start : start+n]
}

func (a *arena) copy(b []byte) []byte {
	return append(a.take(len(b)), b...)
}

func (a *arena) reset() {
	poison(a.block)
	a.block = a.block[:0]
}
