package edge

import (
	"bufio"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	// h2Streams is SETTINGS_MAX_CONCURRENT_STREAMS. A stream counts until its
	// exchange has ended, also when the client has reset it.
	h2Streams = 128
	// streamWindow and connWindow are how many body bytes may be unread in one
	// stream and in the connection.
	streamWindow = 256 << 10
	connWindow   = 1 << 20
	// h2Frame is the largest frame payload in either direction, the protocol's
	// initial value (RFC 9113 §4.2).
	h2Frame      = 16 << 10
	firstWindow  = 65535 // RFC 9113 §6.9.2
	maxWindow    = 1<<31 - 1
	readBuffer   = 4 << 10
	settingsWait = 10 * time.Second
	goAwayWait   = time.Second // how long the first GOAWAY waits for its PING
	goAwaySettle = 200 * time.Millisecond
	remembered   = 64 // streams whose late frames are ignored
)

// h2Conn is one HTTP/2 connection.
type h2Conn struct {
	s     *h2Server
	nc    net.Conn
	info  connInfo
	shard uint32
	out   h2Output

	// The reading goroutine's own.
	in       *bufio.Reader
	fr       *http2.Framer
	dec      *hpack.Decoder
	block    h2Block
	budget   h2Budget
	used     int // requests so far
	late     [remembered]uint32
	lateNext int

	running sync.WaitGroup // exchanges
	stage   atomic.Int32   // see the stages below
	seen    atomic.Int64   // when the stage began, or the last stream ended (UnixNano)

	mu      sync.Mutex
	streams map[uint32]*h2Stream // open ones and ones whose exchange runs
	live    int                  // how many of them count as open
	earned  float64              // WINDOW_UPDATE frames that our DATA gives the client
	window  int64                // what we may still send
	initial int64                // what a new stream may send
	unacked int                  // bytes taken from bodies and not yet granted again
	acked   bool                 // our SETTINGS are acknowledged
	opened  uint32               // highest stream that the client opened; set by the reading goroutine only
	away    h2Away
	cause   error // why the connection is being ended; first one wins
	sweeper *time.Timer
}

// Stages of a connection's reading, for the sweeper.
const (
	stagePreface int32 = iota
	stageBlock         // inside a header block
	stageFrames
)

// h2Away is how far the connection is on its way out.
type h2Away struct {
	step  int // 0: serving, 1: first GOAWAY sent, 2: second one sent
	since time.Time
	last  uint32 // with step 2: streams above it are ignored
}

func newH2Conn(s *h2Server, nc net.Conn, info connInfo) *h2Conn {
	c := &h2Conn{
		s: s, nc: nc, info: info, shard: s.shard.Add(1), budget: newH2Budget(),
		streams: make(map[uint32]*h2Stream), window: firstWindow, initial: firstWindow,
	}
	c.out.init(nc, s.limits.Write)
	c.in = bufio.NewReaderSize(nc, readBuffer)
	c.fr = http2.NewFramer(io.Discard, c.in)
	c.fr.SetMaxReadFrameSize(h2Frame)
	c.fr.SetReuseFrames()
	c.dec = hpack.NewDecoder(4096, c.emit)
	c.dec.SetMaxStringLength(int(s.limits.HeaderBytes))
	return c
}

// serve is the life of the connection.
func (c *h2Conn) serve() {
	c.seen.Store(time.Now().UnixNano())
	c.mu.Lock()
	c.sweeper = time.AfterFunc(c.sweepEvery(), c.sweep)
	c.mu.Unlock()
	err := c.preface()
	for err == nil {
		err = c.next()
	}
	c.end(err)
	c.running.Wait()
	c.mu.Lock()
	c.sweeper.Stop()
	c.mu.Unlock()
	c.linger()
	_ = c.nc.Close()
}

// greet sends our SETTINGS (RFC 9113 §3.4) and widens the connection's window.
func (c *h2Conn) greet() {
	settings := []http2.Setting{
		{ID: http2.SettingMaxConcurrentStreams, Val: h2Streams},
		{ID: http2.SettingInitialWindowSize, Val: streamWindow},
		{ID: http2.SettingMaxHeaderListSize, Val: uint32(min(c.s.limits.HeaderBytes, maxWindow))},
		{ID: http2.SettingNoRFC7540Priorities, Val: 1},
	}
	b := appendFrameHead(nil, 6*len(settings), http2.FrameSettings, 0, 0)
	for _, s := range settings {
		b = append(b, byte(s.ID>>8), byte(s.ID), byte(s.Val>>24), byte(s.Val>>16), byte(s.Val>>8), byte(s.Val))
	}
	c.out.queue(appendWindowUpdate(b, 0, connWindow-firstWindow))
}

var errPreface = errors.New("no HTTP/2 preface")

// preface reads what every client sends first (RFC 9113 §3.4).
func (c *h2Conn) preface() error {
	var got [len(http2.ClientPreface)]byte
	for i := range got {
		// Octet by octet: what is no preface is not waited for.
		var err error
		if got[i], err = c.in.ReadByte(); err != nil {
			return err
		}
		if got[i] != http2.ClientPreface[i] {
			c.s.refused(c.info.listener, "h2_preface")
			return errPreface
		}
	}
	f, err := c.fr.ReadFrame()
	if err != nil {
		return c.readError(err)
	}
	settings, ok := f.(*http2.SettingsFrame)
	if !ok || settings.IsAck() {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	c.enter(stageFrames)
	return c.settings(settings)
}

func (c *h2Conn) enter(stage int32) {
	c.seen.Store(time.Now().UnixNano())
	c.stage.Store(stage)
}

// next reads and handles one frame. An error ends the connection.
func (c *h2Conn) next() error {
	f, err := c.fr.ReadFrame()
	if err == nil {
		err = c.frame(f)
	} else {
		err = c.readError(err)
	}
	if se, ok := errors.AsType[http2.StreamError](err); ok {
		return c.reset(se.StreamID, se.Code)
	}
	return err
}

// readError sorts what the Framer returned.
func (*h2Conn) readError(err error) error {
	if errors.Is(err, http2.ErrFrameTooLarge) {
		return http2.ConnectionError(http2.ErrCodeFrameSize)
	}
	return err
}

// frame handles one frame. A StreamError resets the stream only.
func (c *h2Conn) frame(f http2.Frame) error {
	switch f := f.(type) {
	case *http2.DataFrame:
		c.budget.control.credit(1)
		return c.data(f)
	case *http2.HeadersFrame:
		c.budget.control.credit(1)
		return c.headers(f)
	case *http2.ContinuationFrame:
		return c.continuation(f)
	case *http2.WindowUpdateFrame:
		return c.windowUpdate(f.StreamID, int64(f.Increment))
	case *http2.RSTStreamFrame:
		return c.resetByClient(f)
	case *http2.PushPromiseFrame: // RFC 9113 §8.4: a client cannot push
		return http2.ConnectionError(http2.ErrCodeProtocol)
	case *http2.GoAwayFrame:
		return nil // the client opens no more streams and closes when it is ready
	}
	if !c.budget.control.take() {
		return abuseControl
	}
	switch f := f.(type) {
	case *http2.SettingsFrame:
		return c.settings(f)
	case *http2.PingFrame:
		return c.ping(f)
	case *http2.PriorityFrame: // RFC 9113 §5.3.2: obsolete, but a stream can't depend on itself
		if f.StreamDep == f.StreamID {
			return http2.StreamError{StreamID: f.StreamID, Code: http2.ErrCodeProtocol}
		}
	}
	return nil // RFC 9113 §5.5: unknown frames are ignored
}

// settings applies the client's SETTINGS in their order and acknowledges them
// (RFC 9113 §6.5).
func (c *h2Conn) settings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		c.mu.Lock()
		c.acked = true
		c.mu.Unlock()
		return nil
	}
	err := f.ForeachSetting(func(s http2.Setting) error {
		if err := s.Valid(); err != nil {
			return err
		}
		if s.ID != http2.SettingInitialWindowSize {
			return nil // we use no dynamic table, no larger frames and no push
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		delta := int64(s.Val) - c.initial
		c.initial = int64(s.Val)
		for _, st := range c.streams {
			st.window += delta
			if st.window > maxWindow {
				return http2.ConnectionError(http2.ErrCodeFlowControl)
			}
			st.cond.Broadcast()
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.queue(appendFrameHead(nil, 0, http2.FrameSettings, http2.FlagSettingsAck, 0))
}

// awayPing marks the PING that follows our first GOAWAY.
var awayPing = [8]byte{'m', 'a', 'r', 'u', 'a', 'w', 'a', 'y'} //nolint:gochecknoglobals // a constant

func (c *h2Conn) ping(f *http2.PingFrame) error {
	if !f.IsAck() {
		b := appendFrameHead(nil, 8, http2.FramePing, http2.FlagPingAck, 0)
		return c.queue(append(b, f.Data[:]...))
	}
	if f.Data == awayPing {
		// The client knows; but a stream that it numbered before may still be on
		// its way behind the answer, when it writes from several threads.
		time.AfterFunc(goAwaySettle, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.secondGoAway()
		})
	}
	return nil
}

// windowUpdate lets us send more (RFC 9113 §6.9).
func (c *h2Conn) windowUpdate(id uint32, n int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.budget.windows.credit(c.earned)
	if c.earned = 0; !c.budget.windows.take() {
		return abuseWindow
	}
	if id == 0 {
		if c.window += n; c.window > maxWindow {
			return http2.ConnectionError(http2.ErrCodeFlowControl)
		}
		for _, st := range c.streams {
			st.cond.Broadcast()
		}
		return nil
	}
	st := c.streams[id]
	if st == nil {
		return c.idle(id)
	}
	if st.window += n; st.window > maxWindow {
		return http2.StreamError{StreamID: id, Code: http2.ErrCodeFlowControl}
	}
	st.cond.Broadcast()
	return nil
}

// idle is the verdict on a frame for a stream that is not there: one that was
// never opened is a fault of the connection (RFC 9113 §5.1).
func (c *h2Conn) idle(id uint32) error {
	if id > c.opened || id%2 == 0 {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	return nil
}

func (c *h2Conn) resetByClient(f *http2.RSTStreamFrame) error {
	if !c.budget.clientResets.take() {
		return abuseRapidReset
	}
	c.mu.Lock()
	st := c.streams[f.StreamID]
	if st == nil {
		defer c.mu.Unlock()
		return c.idle(f.StreamID)
	}
	st.byClient = true
	st.close(errStreamReset)
	c.mu.Unlock()
	st.giveUp()
	return nil
}

// data takes a part of a body (RFC 9113 §6.1).
func (c *h2Conn) data(f *http2.DataFrame) error {
	p := f.Data()
	if len(p) > 0 {
		c.budget.emptyData = 0
	} else if c.budget.emptyData++; c.budget.emptyData > maxEmptyData {
		return abuseEmptyData
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	st := c.streams[f.StreamID]
	if st == nil || st.gone {
		return c.lateData(f)
	}
	if st.ended {
		return c.grantAnd(int(f.Length), http2.StreamError{StreamID: f.StreamID, Code: http2.ErrCodeStreamClosed})
	}
	// Padding counts for the windows and is taken at once.
	if st.unread+int(f.Length) > streamWindow {
		return http2.StreamError{StreamID: f.StreamID, Code: http2.ErrCodeFlowControl}
	}
	if st.got += int64(len(p)); st.declared >= 0 && st.got > st.declared {
		return c.grantAnd(int(f.Length), http2.StreamError{StreamID: f.StreamID, Code: http2.ErrCodeProtocol})
	}
	if pad := int(f.Length) - len(p); pad > 0 {
		st.unread += pad
		if err := st.taken(pad); err != nil {
			return err
		}
	}
	st.fill(p)
	if f.StreamEnded() {
		return st.finish()
	}
	return nil
}

// lateData is DATA for a stream that is closed. What we have reset a moment ago
// may still be under way to us.
func (c *h2Conn) lateData(f *http2.DataFrame) error {
	if err := c.idle(f.StreamID); err != nil {
		return err
	}
	var err error
	st := c.streams[f.StreamID]
	if (st == nil || st.byClient) && !c.isLate(f.StreamID) && !c.beyond(f.StreamID) {
		err = http2.StreamError{StreamID: f.StreamID, Code: http2.ErrCodeStreamClosed}
	}
	return c.grantAnd(int(f.Length), err)
}

// grantAnd returns n bytes to the connection's window, and err.
func (c *h2Conn) grantAnd(n int, err error) error {
	return errors.Join(c.grant(n), err)
}

// grant gives n bytes back to the connection's window, now or with later ones.
// The caller holds c.mu.
func (c *h2Conn) grant(n int) error {
	c.unacked += n
	if c.unacked < connWindow/4 {
		return nil
	}
	n, c.unacked = c.unacked, 0
	return c.queue(appendWindowUpdate(nil, 0, n))
}

// isLate tells whether frames for the stream may still be under way to us.
func (c *h2Conn) isLate(id uint32) bool {
	for _, l := range c.late {
		if l == id {
			return true
		}
	}
	return false
}

// beyond tells whether the stream came after our last GOAWAY. The caller holds c.mu.
func (c *h2Conn) beyond(id uint32) bool { return c.away.step == 2 && id > c.away.last }

// reset ends a stream for a fault of the client's.
func (c *h2Conn) reset(id uint32, code http2.ErrCode) error {
	if !c.budget.ourResets.take() {
		return abuseMadeReset
	}
	c.mu.Lock()
	st := c.streams[id]
	if st != nil {
		if st.gone && !st.byClient {
			c.mu.Unlock()
			return nil // reset already
		}
		st.close(http2.StreamError{StreamID: id, Code: code})
	}
	c.mu.Unlock()
	err := c.queue(appendReset(nil, id, code))
	if st != nil {
		st.giveUp()
	}
	return err
}

// queue sends a control frame without waiting.
func (c *h2Conn) queue(frame []byte) error {
	if !c.out.queue(frame) {
		return abuseUnreadQueue
	}
	return nil
}

// kill makes the reading goroutine end the connection with err. The caller
// holds c.mu.
func (c *h2Conn) kill(err error) {
	if c.cause == nil {
		c.cause = err
		_ = c.nc.SetReadDeadline(time.Unix(1, 0))
	}
}

// end says why the connection is over and gives every exchange up.
func (c *h2Conn) end(err error) {
	c.mu.Lock()
	if c.cause != nil {
		err = c.cause
	}
	c.cause = err
	streams := make([]*h2Stream, 0, len(c.streams))
	for _, st := range c.streams {
		st.close(errStreamReset)
		streams = append(streams, st)
	}
	c.mu.Unlock()
	code, tell := http2.ErrCodeNo, false
	var ce http2.ConnectionError
	var abuse h2Abuse
	switch {
	case errors.As(err, &abuse):
		c.s.refused(c.info.listener, string(abuse))
		code, tell = http2.ErrCodeEnhanceYourCalm, true
	case errors.As(err, &ce):
		code, tell = http2.ErrCode(ce), true
	case errors.Is(err, errPreface):
		code, tell = http2.ErrCodeProtocol, true
	}
	if tell {
		c.out.queue(appendGoAway(nil, c.opened, code))
	}
	for _, st := range streams {
		st.giveUp()
	}
}

const (
	h2LingerBytes = 64 << 10
	h2LingerTime  = 500 * time.Millisecond
)

// linger closes our side and takes what still comes for a moment, so that the
// client reads our GOAWAY before a reset of the connection destroys it.
func (c *h2Conn) linger() {
	nc := c.nc
	if w, ok := nc.(interface{ NetConn() net.Conn }); ok && c.info.tls == nil {
		nc = w.NetConn() // the preface was read ahead
	}
	hc, ok := nc.(interface{ CloseWrite() error })
	if !ok || hc.CloseWrite() != nil {
		return
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(h2LingerTime))
	_, _ = io.CopyN(io.Discard, c.nc, h2LingerBytes)
}
