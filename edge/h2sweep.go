package edge

import (
	"errors"
	"time"

	"golang.org/x/net/http2"

	"github.com/maru-msa/maru/http1"
)

// errQuiet ends a connection that has nothing more to do.
var errQuiet = errors.New("connection over")

// sweepEvery is how often the time limits are looked at: a timer per wait would
// cost a lock and a heap operation each, and none of the limits is sharp.
func (c *h2Conn) sweepEvery() time.Duration {
	l := &c.s.limits
	shortest := min(l.FirstByte, l.Head, l.Idle, l.BodyIdle, l.Write)
	return min(max(shortest/4, 10*time.Millisecond), 2*time.Second)
}

// sweep looks at every limit of time of the connection.
func (c *h2Conn) sweep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return
	}
	now := time.Now()
	stuck := c.sweepStreams(now)
	c.sweepConn(now)
	c.sweeper.Reset(c.sweepEvery())
	for _, st := range stuck {
		go st.giveUp()
	}
}

// sweepConn ends a connection that takes too long with what it owes.
func (c *h2Conn) sweepConn(now time.Time) {
	l := &c.s.limits
	since := now.Sub(time.Unix(0, c.seen.Load()))
	switch c.stage.Load() {
	case stagePreface:
		if since > l.FirstByte {
			c.kill(errQuiet)
		}
		return
	case stageBlock:
		if since > l.Head {
			c.kill(http2.ConnectionError(http2.ErrCodeEnhanceYourCalm))
		}
		return
	}
	switch {
	case !c.acked && since > settingsWait: // RFC 9113 §6.5.3
		c.kill(http2.ConnectionError(http2.ErrCodeSettingsTimeout))
	case c.away.step == 1 && now.Sub(c.away.since) > goAwayWait:
		c.secondGoAway()
	case c.away.step == 0 && len(c.streams) == 0 && since > l.Idle:
		c.firstGoAway(now)
	}
}

// sweepStreams ends streams without progress and gives those whose exchange is
// to be given up.
func (c *h2Conn) sweepStreams(now time.Time) (stuck []*h2Stream) {
	l := &c.s.limits
	for id, st := range c.streams {
		if st.gone {
			continue
		}
		quiet := l.BodyIdle
		if st.slow {
			quiet = slowQuiet
		}
		switch {
		case !st.reading.IsZero() && now.Sub(st.reading) > quiet, st.tooSlow(now, l):
			st.fault = http1.ErrBodyTimeout
			st.reading = time.Time{}
			st.cond.Broadcast()
		case !st.writing.IsZero() && now.Sub(st.writing) > l.Write:
			st.close(errClientSlow)
			c.out.queue(appendReset(nil, id, http2.ErrCodeCancel))
			stuck = append(stuck, st)
		}
	}
	return stuck
}

// retire begins the end of the connection; streams that are open go on.
func (c *h2Conn) retire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away.step == 0 {
		c.firstGoAway(time.Now())
	}
}

// firstGoAway tells the client to open no more streams, without refusing any
// that it has opened already: its PING comes back behind them (RFC 9113 §6.8).
func (c *h2Conn) firstGoAway(now time.Time) {
	c.away.step, c.away.since = 1, now
	b := appendGoAway(nil, maxWindow, http2.ErrCodeNo)
	b = appendFrameHead(b, 8, http2.FramePing, 0, 0)
	c.out.queue(append(b, awayPing[:]...))
}

// secondGoAway names the last stream that is served.
func (c *h2Conn) secondGoAway() {
	if c.away.step != 1 {
		return
	}
	c.away.step, c.away.last = 2, c.opened
	c.out.queue(appendGoAway(nil, c.opened, http2.ErrCodeNo))
	c.leaveIfEmpty()
}

// leaveIfEmpty ends the connection when it is on its way out and its last
// stream has ended.
func (c *h2Conn) leaveIfEmpty() {
	if c.away.step == 2 && len(c.streams) == 0 {
		c.kill(errQuiet)
	}
}
