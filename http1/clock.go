package http1

import (
	"sync/atomic"
	"time"
)

// Clock gives the value of the Date field (RFC 9110 §6.6.1), made at most once
// a second.
type Clock struct {
	now atomic.Pointer[dated]
}

type dated struct {
	unix int64
	text string
}

// NewClock makes a clock.
func NewClock() *Clock { return new(Clock) }

// Date is the time now as an IMF-fixdate.
func (c *Clock) Date(now time.Time) string {
	d := c.now.Load()
	if d == nil || d.unix != now.Unix() {
		d = &dated{now.Unix(), now.UTC().Format("Mon, 02 Jan 2006 15:04:05") + " GMT"}
		c.now.Store(d)
	}
	return d.text
}
