package edge

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// ticketLife is how long one key seals new session tickets.
	ticketLife = 12 * time.Hour
	// ticketKeys is how many keys open tickets: a ticket is good for 24 to 36 h.
	ticketKeys = 3
)

// TicketKeys are the secrets that seal TLS session tickets (RFC 8446 §4.6.1).
// All listeners of a process share them, each policy with keys derived for it
// alone. They change every 12 hours, and a process that is replaced gives them
// to its successor, so that clients resume their sessions there. The zero value
// is ready; a secret is made when it is first needed.
type TicketKeys struct {
	mu   sync.Mutex
	ring ticketRing
}

// ticketRing is the form that travels to a successor.
type ticketRing struct {
	Secrets [][32]byte `json:"secrets"` // newest first
	Made    time.Time  `json:"made"`    // when the newest was made
}

// Export gives the keys for a successor process. They are secrets: whoever has
// them can read sessions that are resumed without a new key exchange.
func (t *TicketKeys) Export() ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return json.Marshal(t.ring)
}

// Import takes over what Export gave. It is to be called before Build.
func (t *TicketKeys) Import(text []byte) error {
	var r ticketRing
	if err := json.Unmarshal(text, &r); err != nil {
		return fmt.Errorf("read ticket keys: %w", err)
	}
	if len(r.Secrets) > ticketKeys {
		return errors.New("read ticket keys: there are too many")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ring = r
	return nil
}

// rotate makes a new secret when the newest is old enough: the first of several
// listeners that ask does it.
func (t *TicketKeys) rotate(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.ring.Secrets) > 0 && now.Sub(t.ring.Made) < ticketLife {
		return
	}
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails (crypto/rand)
	next := append([][32]byte{secret}, t.ring.Secrets...)
	t.ring = ticketRing{Secrets: next[:min(len(next), ticketKeys)], Made: now}
}

// untilNext is how long the newest secret still is the one that seals.
func (t *TicketKeys) untilNext(now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return max(t.ring.Made.Add(ticketLife).Sub(now), 0)
}

// derive gives the keys for one purpose, the sealing one first.
func (t *TicketKeys) derive(purpose string) [][32]byte {
	t.rotate(time.Now())
	t.mu.Lock()
	defer t.mu.Unlock()
	keys := make([][32]byte, len(t.ring.Secrets))
	for i, secret := range t.ring.Secrets {
		m := hmac.New(sha256.New, secret[:])
		m.Write([]byte("maru ticket:" + purpose))
		m.Sum(keys[i][:0])
	}
	return keys
}
