package http1

import (
	"time"

	"github.com/maru-msa/maru/message"
)

// watchNow plans the client watch: the request is wholly read, and if the
// answer takes longer than a moment, somebody should notice when the client
// leaves. A fast exchange pays two atomic stores for it.
func (c *serverConn) watchNow() { c.watchFrom(time.Now()) }

func (c *serverConn) watchFrom(now time.Time) {
	if c.peek == nil {
		return
	}
	c.phase.Store(phaseHandle)
	c.in.watch.arm(c.s.Watch.offset(now) + int64(watchStep))
}

// watchClient waits for the client's end of the connection and cancels the
// exchange then. Bytes that come meanwhile stay where they are: they belong to
// the next request.
func (c *serverConn) watchClient() {
	defer close(c.watching)
	gone := false
	_ = c.peek.Read(func(fd uintptr) bool {
		gone = hungUp(fd)
		return gone || c.stopWatch.Load()
	})
	if gone && !c.stopWatch.Load() {
		c.req.X.Cancel(message.ErrClientGone)
	}
}

// unwatch ends the client watch before the connection is read again.
func (c *serverConn) unwatch() {
	if !c.in.watch.disarm() {
		return
	}
	// The watch fired. Its callback has run when the watchdog's lock is free.
	c.in.watch.dog.mu.Lock()
	watching := c.watching
	c.in.watch.dog.mu.Unlock()
	if watching == nil {
		return // a deadline of reading, not the client watch: leave it fired
	}
	c.stopWatch.Store(true)
	_ = c.conn.SetReadDeadline(longAgo)
	<-watching
	_ = c.conn.SetReadDeadline(time.Time{})
	c.watching = nil
	c.stopWatch.Store(false)
	c.in.watch.rearm()
}
