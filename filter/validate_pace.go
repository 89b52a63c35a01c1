package filter

import (
	"sync/atomic"
	"time"
)

// Beyond the sample, bodies of answers are checked at the begin and after a
// violation (validation §10).
const (
	firstAnswers = 100
	hotFor       = 60 * time.Second
	burstRate    = 50 // a second, of one filter
)

// pace says which answers of an operation are checked beyond the sample.
type pace struct {
	seen atomic.Int64
	hot  atomic.Int64 // until then, in nanoseconds
}

// more tells whether the next answer is one of those.
func (p *pace) more(now time.Time) bool {
	if p.seen.Load() < firstAnswers && p.seen.Add(1) <= firstAnswers {
		return true
	}
	return now.UnixNano() < p.hot.Load()
}

// heat notes a violation.
func (p *pace) heat(now time.Time) { p.hot.Store(now.Add(hotFor).UnixNano()) }

// burst bounds what is checked beyond the sample.
type burst struct {
	second atomic.Int64
	spent  atomic.Int64
}

// take tells whether one more may be checked in this second.
func (b *burst) take(now time.Time) bool {
	if s := now.Unix(); b.second.Swap(s) != s {
		b.spent.Store(0)
	}
	return b.spent.Add(1) <= burstRate
}
