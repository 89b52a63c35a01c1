package http1

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Gate bounds how many connections a listener holds. Whoever accepts waits
// before it ([Gate.Wait]), so that what is too much stays in the system's queue,
// counts each connection in and out, and makes room when it gets crowded
// ([Server.Shed]). Its zero value lets all through.
type Gate struct {
	max  atomic.Int64
	open atomic.Int64
	room chan struct{} // told when a place became free at a full gate
}

// NewGate makes a gate for most connections; see [Gate.SetMax].
func NewGate(most int) *Gate {
	g := &Gate{room: make(chan struct{}, 1)}
	g.SetMax(most)
	return g
}

// DefaultConnections is 40 % of the files that this process may have open: each
// connection of a client may need one to a service, and some are for the rest.
func DefaultConnections() int {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil || files.Cur > 1<<30 {
		return 1 << 20
	}
	return max(int(files.Cur)*4/10, 1)
}

// SetMax changes the bound; 0 means [DefaultConnections]. Open connections stay.
func (g *Gate) SetMax(most int) {
	if most == 0 {
		most = DefaultConnections()
	}
	g.max.Store(int64(most))
	g.tell()
}

// Open counts the connections.
func (g *Gate) Open() int { return int(g.open.Load()) }

// Wait waits until another connection may be accepted; false means that stop
// was closed first.
func (g *Gate) Wait(stop <-chan struct{}) bool {
	for {
		if most := g.max.Load(); most == 0 || g.open.Load() < most {
			return true
		}
		select {
		case <-g.room:
		case <-stop:
			return false
		}
	}
}

// Enter counts a connection in and tells whether it is getting crowded.
func (g *Gate) Enter() (crowded bool) {
	g.open.Add(1)
	return g.Crowded()
}

// Leave counts a connection out.
func (g *Gate) Leave() {
	if g.open.Add(-1) < g.max.Load() {
		g.tell()
	}
}

func (g *Gate) tell() {
	select {
	case g.room <- struct{}{}:
	default:
	}
}

// Crowded tells that nine tenths of the places are taken.
func (g *Gate) Crowded() bool {
	most := g.max.Load()
	return most > 0 && g.open.Load()*10 >= most*9
}

// excess is how many connections there are beyond nine tenths of the places.
func (g *Gate) excess() int {
	return int(g.open.Load() - g.max.Load()*9/10)
}

// crowdedIdle is how long a connection may be idle when places are short.
const crowdedIdle = time.Second

// Shed ends connections that have been idle for a second or more, the oldest
// first, until the server's gate is no longer crowded or there are none.
func (s *Server) Shed() {
	if s.Gate == nil || !s.Gate.Crowded() {
		return
	}
	s.prepare()
	type idle struct {
		c  *serverConn
		by int64 // when its time would end: the oldest first
	}
	var old []idle
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.Watch.now()
	if s.shed > 0 && now-s.shed < int64(shedPause) {
		return // it was looked at a moment ago
	}
	s.shed = now
	// Between these ends: idle for long enough, and not about to end by itself.
	soonest, latest := now+int64(crowdedIdle), now+int64(s.Limits.Idle-crowdedIdle)
	for c := range s.conns {
		if by := c.in.watch.at.Load(); c.phase.Load() == phaseIdle && by > soonest && by <= latest {
			old = append(old, idle{c, by})
		}
	}
	slices.SortFunc(old, func(a, b idle) int { return cmp.Compare(a.by, b.by) })
	for _, o := range old[:min(len(old), max(s.Gate.excess(), 0))] {
		o.c.shut()
	}
}

// shedPause is the least time between two looks at all connections.
const shedPause = 50 * time.Millisecond

// shut ends the connection if it is idle. s.mu is held.
func (c *serverConn) shut() {
	if c.phase.CompareAndSwap(phaseIdle, phaseShut) {
		_ = c.conn.SetReadDeadline(longAgo)
	}
}
