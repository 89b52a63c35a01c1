// Package edge is where requests enter: listeners, TLS, and the way of a
// request from the wire to its service and back.
//
// The flow: [Build] turns a [Config] into an immutable [Runtime]: the route
// table, one folded chain of filters per route, the clusters. It opens and
// starts nothing. [Server.Swap] opens what is new, stores one pointer, and
// drains what is gone. A request loads that pointer once and keeps what it
// loaded until it is over, so that a change never meets a request half-way.
//
//	accept → PROXY header → TLS → http1, or HTTP/2 and HTTP/3 through net/http
//	  → message.Request → trust rules, hop-by-hop, canonical path
//	  → the listener's filters → route.Table.Find
//	  → filters (global, route, service) → own fields → upstream.Cluster.Do
//	  ← *message.Response back through the same filters ← written by the engine
//
// What survives a change is keyed by its whole definition: a cluster with its
// pools, a cache, a limiter. Errors become problem documents in one place,
// [Runtime.answer].
package edge

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"log/slog"

	"github.com/maru-msa/maru/contract"
	"github.com/maru-msa/maru/http1"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/upstream"
)

// Env is what edge uses of the house.
type Env struct {
	// Log is for operators; nil discards.
	Log *slog.Logger
	// Watch keeps deadlines; it must run before the first request.
	Watch *http1.Watchdog
	// Zone is where this process runs; "" means no zone preference.
	Zone string
	// Registry is the registry of this process, for services that find their
	// endpoints in it; nil means that there is none.
	Registry upstream.Registry
	// Remotes are the registries elsewhere that services follow; nil means that
	// each service reads for itself.
	Remotes *upstream.Remotes
	// Key is the operator's secret, from which filters derive keys; nil makes
	// one for the life of the process.
	Key []byte
	// Tickets seal TLS sessions; nil makes keys that live as long as the process.
	Tickets *TicketKeys
	// Decode reads contracts that are not JSON; nil means that all are.
	Decode contract.Decode
	// Done is told of every finished exchange, for the access log and metrics;
	// nil means nothing. It must not keep anything of the messages.
	Done func(r *message.Request, p *message.Response, err error)
	// Refused is told of every message that was refused before it became a
	// request; nil means nothing.
	Refused func(listener, reason string)
	// Count is told of filter events; nil means nothing.
	Count func(filter, route, reason string)
}

func (e Env) withDefaults() Env {
	if e.Log == nil {
		e.Log = slog.New(slog.DiscardHandler)
	}
	if e.Watch == nil {
		e.Watch = http1.NewWatchdog()
	}
	if e.Key == nil {
		e.Key = make([]byte, 32)
		_, _ = rand.Read(e.Key) // never fails (crypto/rand)
	}
	if e.Tickets == nil {
		e.Tickets = new(TicketKeys)
	}
	if e.Done == nil {
		e.Done = func(*message.Request, *message.Response, error) {}
	}
	if e.Refused == nil {
		e.Refused = func(string, string) {}
	}
	if e.Count == nil {
		e.Count = func(string, string, string) {}
	}
	return e
}

// inherit keeps the secrets that an earlier Build made for want of given ones:
// cookies and tickets outlive a reload.
func (e Env) inherit(prev *Runtime) Env {
	if prev == nil {
		return e
	}
	if e.Key == nil {
		e.Key = prev.env.Key
	}
	if e.Tickets == nil {
		e.Tickets = prev.env.Tickets
	}
	return e
}

// secret derives a key for one purpose.
func (e Env) secret(purpose string) []byte {
	m := hmac.New(sha256.New, e.Key)
	m.Write([]byte("maru:" + purpose))
	return m.Sum(nil)
}
