package filter

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/maru-msa/maru/message"
)

const (
	goodBody    = 64 << 10 // larger answers are not kept
	goodTotal   = 16 << 20
	goodEntries = 4096
	goodAgain   = time.Second // how long one is good enough not to be kept anew
)

// goodAnswers are the last good answers, each by its URL; over its bounds the
// one that was kept first goes first. Answers are replaced, never changed.
type goodAnswers struct {
	mu    sync.Mutex
	byKey map[string]*goodAnswer
	order []string // keys as they came; a ring from first on
	first int
	size  int
}

type goodAnswer struct {
	at     time.Time
	header []message.Field
	body   []byte
	size   int
}

func newGoodAnswers() *goodAnswers {
	return &goodAnswers{byKey: make(map[string]*goodAnswer)}
}

// fresh tells whether there is one of the last moment.
func (g *goodAnswers) fresh(key []byte, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	a := g.byKey[string(key)]
	return a != nil && now.Sub(a.at) < goodAgain
}

// keep reads a good answer into memory and passes it on. One that breaks off is
// an error, as it would have been a moment later.
func (g *goodAnswers) keep(key []byte, r *message.Request, resp *message.Response, now time.Time) (*message.Response, error) {
	if !shareable(resp) || g.fresh(key, now) {
		return resp, nil
	}
	resp, err := bufferResponse(r, resp, goodBody)
	if err != nil {
		return nil, err
	}
	a := &goodAnswer{at: now, size: len(key) + 256}
	if b, ok := resp.Body.(*heldBody); ok {
		a.body = b.data // read only, here and there
	}
	a.size += len(a.body)
	for _, f := range resp.Header.Fields() {
		if f.ID == message.Age {
			continue
		}
		a.header = append(a.header, message.Field{Name: strings.Clone(f.Name), Value: strings.Clone(f.Value), ID: f.ID})
		a.size += len(f.Name) + len(f.Value)
	}
	g.put(string(key), a)
	return resp, nil
}

func (g *goodAnswers) put(key string, a *goodAnswer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if old := g.byKey[key]; old != nil {
		g.size -= old.size
	} else {
		g.order = append(g.order, key)
	}
	g.byKey[key] = a
	g.size += a.size
	for g.size > goodTotal || len(g.byKey) > goodEntries {
		oldest := g.order[g.first]
		g.order[g.first] = ""
		g.first++
		g.size -= g.byKey[oldest].size
		delete(g.byKey, oldest)
	}
	if g.first > len(g.order)/2 {
		g.order = append([]string(nil), g.order[g.first:]...)
		g.first = 0
	}
}

// give makes a response of the last good answer, unless it is older than limit.
func (g *goodAnswers) give(key []byte, now time.Time, limit time.Duration) *message.Response {
	g.mu.Lock()
	a := g.byKey[string(key)]
	g.mu.Unlock()
	if a == nil || now.Sub(a.at) > limit {
		return nil
	}
	resp := message.NewResponse(200)
	for _, f := range a.header {
		resp.Header.Append(f)
	}
	age := max(now.Sub(a.at), 0) / time.Second
	resp.Header.AppendID(message.Age, strconv.FormatInt(int64(age), 10))
	resp.SetBytes(a.body)
	return resp
}
