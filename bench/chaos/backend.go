package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The faults of a backend.
const (
	faultNone   = ""
	faultHang   = "hang"   // it accepts and reads, and never answers
	fault500    = "500"    // it answers 500 at once
	faultSlow   = "slow"   // it takes ten times as long
	faultRefuse = "refuse" // its port is closed and its connections are reset
	faultReset  = "reset"  // it accepts and resets, which can be counted where a closed port can't
)

// backend is one instance of a service, in the child process.
type backend struct {
	name    string
	number  string // what it writes into X-Endpoint
	address string
	work    time.Duration
	places  chan struct{} // one for each request that is worked on; nil means no bound

	mu       sync.Mutex
	fault    string
	listener net.Listener
	conns    map[net.Conn]bool
	slots    map[int64]int // attempts by hundredth of a Unix second times ten
}

// slotTime is the resolution in which attempts are counted.
const slotTime = 100 * time.Millisecond

func (b *backend) count() {
	slot := time.Now().UnixNano() / int64(slotTime)
	b.mu.Lock()
	b.slots[slot]++
	b.mu.Unlock()
}

// open listens and serves until the listener is closed.
func (b *backend) open(ctx context.Context) error {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", b.address)
	if err != nil {
		return fmt.Errorf("open backend %s: %w", b.name, err)
	}
	b.mu.Lock()
	b.listener = ln
	b.mu.Unlock()
	server := &http.Server{Handler: b, ReadHeaderTimeout: time.Minute, ConnState: b.connection}
	go func() { _ = server.Serve(ln) }()
	return nil
}

// connection follows the connections, so that they can be reset.
func (b *backend) connection(c net.Conn, state http.ConnState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch state {
	case http.StateNew:
		if b.fault == faultReset {
			b.slots[time.Now().UnixNano()/int64(slotTime)]++
			reset(c)
			return
		}
		b.conns[c] = true
	case http.StateClosed, http.StateHijacked:
		delete(b.conns, c)
	case http.StateActive, http.StateIdle:
	}
}

// reset closes a connection with a RST.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// set begins a fault, or ends it.
func (b *backend) set(ctx context.Context, fault string) error {
	b.mu.Lock()
	before := b.fault
	b.fault = fault
	if fault == faultRefuse && before != fault {
		_ = b.listener.Close()
	}
	if fault == faultRefuse || fault == faultReset {
		for c := range b.conns {
			reset(c)
		}
	}
	b.mu.Unlock()
	if before == faultRefuse && fault != before {
		return b.open(ctx)
	}
	return nil
}

// ServeHTTP answers as the fault will have it; what hangs stays so until its
// client leaves, also after the fault.
func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/health" {
		b.count()
	}
	_, _ = io.Copy(io.Discard, r.Body)
	b.mu.Lock()
	fault := b.fault
	b.mu.Unlock()
	switch fault {
	case faultHang:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case fault500:
		b.answer(w, http.StatusInternalServerError)
		return
	}
	if r.URL.Path == "/health" {
		b.answer(w, http.StatusOK)
		return
	}
	b.labour(fault)
	b.answer(w, http.StatusOK)
}

// labour takes the time of a request. One that waits for a place is worked on
// although its client may have left: that is what overload does to most services.
func (b *backend) labour(fault string) {
	if b.places != nil {
		b.places <- struct{}{}
		defer func() { <-b.places }()
	}
	took := time.Duration(float64(b.work) * (0.8 + 0.4*rand.Float64()))
	if fault == faultSlow {
		took *= 10
	}
	time.Sleep(took)
}

func (b *backend) answer(w http.ResponseWriter, status int) {
	const body = "a plain answer of some length, so that there is something to carry\n"
	w.Header().Set("X-Endpoint", b.number)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// command is what the parent tells the child, one JSON object a line.
type command struct {
	// Do is "open", "fault" or "count".
	Do string
	// Name is the backend's, PROXY/SERVICE/NUMBER; "count" takes all with this prefix.
	Name string
	// Address, Work and Workers are of "open"; no Workers means no bound.
	Address string
	Work    time.Duration
	Workers int
	// Fault is of "fault".
	Fault string
}

// reply is the child's answer.
type reply struct {
	Error string
	// Slots are attempts by tenths of Unix seconds.
	Slots map[int64]int
}

// serveCrew holds the backends until its input ends.
func serveCrew(ctx context.Context, in io.Reader, out io.Writer) error {
	backends := make(map[string]*backend)
	dec, enc := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var c command
		if err := dec.Decode(&c); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read command: %w", err)
		}
		var r reply
		if err := obey(ctx, backends, c, &r); err != nil {
			r.Error = err.Error()
		}
		if err := enc.Encode(r); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
	}
}

func obey(ctx context.Context, backends map[string]*backend, c command, r *reply) error {
	if c.Do == "open" {
		b := &backend{name: c.Name, address: c.Address, work: c.Work, conns: make(map[net.Conn]bool), slots: make(map[int64]int)}
		b.number = c.Name[strings.LastIndexByte(c.Name, '/')+1:]
		if c.Workers > 0 {
			b.places = make(chan struct{}, c.Workers)
		}
		backends[c.Name] = b
		return b.open(ctx)
	}
	if c.Do == "count" {
		r.Slots = make(map[int64]int)
		for name, b := range backends {
			if !strings.HasPrefix(name, c.Name) {
				continue
			}
			b.mu.Lock()
			for slot, n := range b.slots {
				r.Slots[slot] += n
			}
			b.mu.Unlock()
		}
		return nil
	}
	b := backends[c.Name]
	if b == nil || c.Do != "fault" {
		return fmt.Errorf("no command %q for %q", c.Do, c.Name)
	}
	return b.set(ctx, c.Fault)
}
