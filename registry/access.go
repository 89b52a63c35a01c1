package registry

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strings"
	"sync"
	"time"
)

// secretHash reads "sha256:" and 64 hexadecimal digits.
func secretHash(text string) (sum [sha256.Size]byte, ok bool) {
	digits, ok := strings.CutPrefix(text, "sha256:")
	if !ok || len(digits) != hex.EncodedLen(sha256.Size) {
		return sum, false
	}
	_, err := hex.Decode(sum[:], []byte(digits))
	return sum, err == nil
}

// admitted tells whether a request has the name and the secret of a user (Basic,
// RFC 7617); without users everybody is. It takes the same time for a wrong
// secret and for a wrong name.
func (g *Registry) admitted(r *http.Request) bool {
	users := g.cfg.Load().Users
	if len(users) == 0 {
		return true
	}
	name, secret, sent := r.BasicAuth()
	want, _ := secretHash(users[name]) // nobody's secret has the hash 0
	got := sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1 && sent
}

// throttle is a bucket that holds what a second allows, and leaks as much.
type throttle struct {
	mu    sync.Mutex
	level float64
	last  time.Duration
}

// take tells whether one more may pass at rate per second; 0 is no limit.
func (t *throttle) take(rate int, now time.Duration) bool {
	if rate == 0 {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.level = max(0, t.level-float64(rate)*(now-t.last).Seconds())
	t.last = now
	if t.level+1 > float64(rate) {
		return false
	}
	t.level++
	return true
}
