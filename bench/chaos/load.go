package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// call is one request: when it was due, and what came of it.
type call struct {
	due  time.Duration // from the start of the load
	late time.Duration // after it was due it left: the machine's doing, not the proxy's
	took time.Duration // from when it was due until the whole answer was there, or until it failed
	kind kind
	// status is that of the answer, 0 when none came in time.
	status   int16
	endpoint byte // what X-Endpoint says, 0 for nothing
	fallback bool // the answer says that it is another one
}

// ok tells whether the client got what it asked for.
func (c *call) ok() bool { return c.status >= 200 && c.status < 300 && !c.fallback }

// kind is what a request looks like.
type kind uint8

const (
	kindGet kind = iota
	kindPost
	kindHigh  // marked as important, by its path
	kindOther // to the other service
)

// String is the word for people.
func (k kind) String() string {
	switch k {
	case kindPost:
		return "POST"
	case kindHigh:
		return "important GET"
	case kindOther:
		return "GET of the other service"
	case kindGet:
	}
	return "GET"
}

// text is the whole request.
func (k kind) text() string {
	const rest = " HTTP/1.1\r\nHost: chaos.local\r\nUser-Agent: chaos\r\n"
	switch k {
	case kindPost:
		return "POST /items" + rest + "Content-Type: application/json\r\nContent-Length: 18\r\n\r\n{\"name\": \"notice\"}"
	case kindHigh:
		return "GET /high/items" + rest + "\r\n"
	case kindOther:
		return "GET /other/items" + rest + "\r\n"
	case kindGet:
	}
	return "GET /items" + rest + "\r\n"
}

// stage is a part of a load with a constant rate.
type stage struct {
	long time.Duration
	rate float64 // calls a second
}

// schedule lays out the calls of the stages, evenly; mix says of which kind the
// i-th is.
func schedule(stages []stage, mix func(i int) kind) []call {
	var calls []call
	var from time.Duration
	for _, s := range stages {
		n := int(s.long.Seconds() * s.rate)
		for i := range n {
			due := from + time.Duration(float64(i)/s.rate*float64(time.Second))
			calls = append(calls, call{due: due, kind: mix(len(calls))})
		}
		from += s.long
	}
	return calls
}

const (
	// patience is how long a client waits.
	patience = 10 * time.Second
	// mostCallers bounds the connections, and with them the goroutines, of a
	// load. A call that finds none free has failed.
	mostCallers = 8192
	// idleLimit is how long a connection may lie unused: less than any proxy keeps it.
	idleLimit = 2 * time.Second
)

// load is an open loop: a call starts when it is due, whatever became of those
// before. Each call has a connection for itself; those that are free are used
// again, the latest first.
type load struct {
	address string
	calls   []call

	began   time.Time
	mu      sync.Mutex
	free    []*caller
	callers int
	busy    sync.WaitGroup
}

// run makes all calls and returns when the last one ended, [patience] after it
// was due at the latest. Calls that ctx cuts off are failed.
func (l *load) run(ctx context.Context, began time.Time) {
	l.began = began
	clock := time.NewTimer(0)
	defer clock.Stop()
	for i := range l.calls {
		if !until(ctx, clock, began.Add(l.calls[i].due)) {
			break
		}
		l.calls[i].late = time.Since(began) - l.calls[i].due
		if c := l.take(); c != nil {
			c.turn <- &l.calls[i] // it has room for one and its owner waits
		}
	}
	l.mu.Lock()
	for _, c := range l.free {
		close(c.turn)
	}
	l.free, l.callers = nil, 2*mostCallers // the others end after their call
	l.mu.Unlock()
	l.busy.Wait()
}

// until waits for a moment; false tells that ctx ended before.
func until(ctx context.Context, clock *time.Timer, moment time.Time) bool {
	wait := time.Until(moment)
	if wait <= 0 {
		return ctx.Err() == nil
	}
	clock.Reset(wait)
	select {
	case <-clock.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// take gives a free caller, a new one, or nil when there are too many.
func (l *load) take() *caller {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.free); n > 0 {
		c := l.free[n-1]
		l.free = l.free[:n-1]
		return c
	}
	if l.callers >= mostCallers {
		return nil
	}
	l.callers++
	c := &caller{load: l, turn: make(chan *call, 1)}
	l.busy.Go(c.run)
	return c
}

// put takes a caller back; false tells it to end.
func (l *load) put(c *caller) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.callers > mostCallers {
		return false
	}
	l.free = append(l.free, c)
	return true
}

// caller is one connection and the goroutine that uses it.
type caller struct {
	load *load
	turn chan *call
	conn net.Conn
	in   *bufio.Reader
	last time.Time
}

func (c *caller) run() {
	defer c.hangUp()
	for it := range c.turn {
		by := c.load.began.Add(it.due + patience)
		if !c.exchange(it, by) {
			c.hangUp()
		}
		c.last = time.Now()
		it.took = c.last.Sub(c.load.began) - it.due
		if !c.load.put(c) {
			return
		}
	}
}

func (c *caller) hangUp() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// exchange makes a call and tells whether the connection can carry another.
func (c *caller) exchange(it *call, by time.Time) bool {
	if c.conn != nil && time.Since(c.last) > idleLimit {
		c.hangUp()
	}
	if c.conn == nil {
		conn, err := net.DialTimeout("tcp", c.load.address, time.Until(by))
		if err != nil {
			return false
		}
		c.conn, c.in = conn, bufio.NewReader(conn)
	}
	if err := c.conn.SetDeadline(by); err != nil {
		return false
	}
	if _, err := io.WriteString(c.conn, it.kind.text()); err != nil {
		return false
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return false
	}
	defer resp.Body.Close() //nolint:errcheck // it was read to its end, or the connection goes
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return false
	}
	it.status = int16(resp.StatusCode)
	if v := resp.Header.Get("X-Endpoint"); v != "" {
		it.endpoint = v[0]
	}
	it.fallback = resp.Header.Get("X-Maru-Fallback") != ""
	return !resp.Close
}
