package telemetry

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/hex"
	"io"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// AccessLog writes one JSON line per exchange. Lines gather in buffers, one per
// shard, and [AccessLog.Run] writes them out; when a buffer is full, lines are
// dropped and counted.
type AccessLog struct {
	// W gets whole lines, many at a time. It is written by one goroutine.
	W io.Writer

	shards  [shards]logShard
	wake    chan struct{}
	once    sync.Once
	muted   atomic.Bool
	dropped atomic.Uint64
	failed  atomic.Pointer[error]
	clock   atomic.Pointer[logSecond]
}

type logShard struct {
	mu  sync.Mutex
	buf []byte
	_   [64]byte
}

// logSecond is the text of a second, so that a line formats only its fraction.
type logSecond struct {
	unix int64
	text string
}

const (
	logBuffer = 256 << 10              // bytes a shard holds at most
	logEvery  = 100 * time.Millisecond // a line is on its way at the latest after this
)

func (l *AccessLog) prepare() {
	l.once.Do(func() { l.wake = make(chan struct{}, 1) })
}

// Dropped counts the lines that did not fit.
func (l *AccessLog) Dropped() uint64 { return l.dropped.Load() }

// Mute turns the log off, or on again: a muted log costs nothing.
func (l *AccessLog) Mute(muted bool) { l.muted.Store(muted) }

// Err is why lines could not be written last; nil when all went well.
func (l *AccessLog) Err() error {
	if p := l.failed.Load(); p != nil {
		return *p
	}
	return nil
}

// Run writes lines until ctx ends; then it writes what is left. Lines that W
// refuses are lost, counted as dropped, and the next ones are tried again.
func (l *AccessLog) Run(ctx context.Context) error {
	l.prepare()
	timer := time.NewTicker(logEvery)
	defer timer.Stop()
	spare := make([]byte, 0, logBuffer)
	for {
		spare = l.flush(spare)
		select {
		case <-ctx.Done():
			l.flush(spare)
			return nil
		case <-timer.C:
		case <-l.wake:
		}
	}
}

// flush swaps each shard's buffer for the spare one and writes it.
func (l *AccessLog) flush(spare []byte) []byte {
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		full := s.buf
		if len(full) > 0 {
			s.buf = spare[:0]
		}
		s.mu.Unlock()
		if len(full) == 0 {
			continue
		}
		if _, err := l.W.Write(full); err != nil {
			l.dropped.Add(uint64(bytes.Count(full, []byte("\n"))))
			failed := err // only a fault costs memory
			l.failed.Store(&failed)
		} else if l.failed.Load() != nil {
			l.failed.Store(nil)
		}
		spare = full[:0]
	}
	return spare
}

func (l *AccessLog) add(r *message.Request, p *message.Response, err error) {
	if l.muted.Load() {
		return
	}
	l.prepare()
	s := &l.shards[r.X.Shard%shards]
	s.mu.Lock()
	if s.buf == nil {
		s.buf = make([]byte, 0, logBuffer)
	}
	if len(s.buf) > logBuffer-maxLine {
		s.mu.Unlock()
		l.dropped.Add(1)
		l.poke()
		return
	}
	s.buf = l.appendLine(s.buf, r, p, err)
	half := len(s.buf) > logBuffer/2
	s.mu.Unlock()
	if half {
		l.poke()
	}
}

func (l *AccessLog) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// maxLine is room for one line: its strings are cut so that it always fits.
const (
	maxLine   = 16 << 10
	maxString = 1 << 10
)

func (l *AccessLog) appendLine(b []byte, r *message.Request, p *message.Response, err error) []byte {
	x := &r.X
	b = append(b, `{"time":"`...)
	b = l.appendTime(b, x.Began)
	b = append(b, `","trace":"`...)
	b = hex.AppendEncode(b, x.Trace.ID[:])
	b = append(b, '"')
	b = field(b, "request_id", x.RequestID)
	b = append(b, `,"client":"`...)
	b = appendAddr(b, x.Client)
	b = append(b, '"')
	b = field(b, "method", r.Method)
	b = field(b, "host", r.Authority)
	path := x.Path
	if path == "" { // no route was looked for
		path = r.Path
	}
	b = field(b, "path", path)
	if r.RawPath != path {
		b = field(b, "raw_path", r.RawPath)
	}
	if r.Path != path {
		b = field(b, "service_path", r.Path)
	}
	b = field(b, "route", x.Route)
	b = field(b, "service", x.Service)
	b = field(b, "endpoint", x.Endpoint)
	b = number(b, "attempts", int64(x.Attempts))
	b = number(b, "status", int64(p.Status))
	b = field(b, "reason", x.Reason)
	if cause := firstError(x.Cause, err); cause != nil {
		b = field(b, "cause", cause.Error())
	}
	b = number(b, "sent", x.Sent)
	b = number(b, "received", x.Received)
	b = append(b, `,"us":{`...)
	for i, name := range phaseNames {
		if d := x.Phases[i]; d > 0 {
			b = append(b, name...)
			b = strconv.AppendInt(b, d.Microseconds(), 10)
			b = append(b, ',')
		}
	}
	if b[len(b)-1] == ',' {
		b = b[:len(b)-1]
	}
	b = append(b, '}')
	b = field(b, "cache", x.Cache)
	b = field(b, "listener", x.Listener)
	if x.TLS != nil {
		b = field(b, "tls", tls.VersionName(x.TLS.Version))
		b = field(b, "sni", x.TLS.ServerName)
	}
	b = field(b, "proto", r.Proto.String())
	return append(b, '}', '\n')
}

// phaseNames are offsets from the first byte, in microseconds.
var phaseNames = [message.NumPhases]string{ //nolint:gochecknoglobals // read-only table
	`"route":`, `"filters":`, `"connect":`, `"sent":`, `"head":`, `"done":`,
}

func firstError(errs ...error) error {
	for _, e := range errs {
		if e != nil {
			return e
		}
	}
	return nil
}

func field(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	if len(value) > maxString {
		value = value[:maxString]
	}
	return appendText(b, value)
}

// appendText is a JSON string; plain ASCII is copied as it is.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7F || c == '"' || c == '\\' {
			return problem.AppendString(b, s)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func number(b []byte, name string, n int64) []byte {
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	return strconv.AppendInt(b, n, 10)
}

func appendAddr(b []byte, a netip.Addr) []byte {
	if !a.IsValid() {
		return b
	}
	return a.AppendTo(b)
}

// appendTime writes RFC 3339 with microseconds, UTC.
func (l *AccessLog) appendTime(b []byte, t time.Time) []byte {
	s := l.clock.Load()
	if s == nil || s.unix != t.Unix() {
		s = &logSecond{t.Unix(), t.UTC().Format("2006-01-02T15:04:05.")}
		l.clock.Store(s)
	}
	b = append(b, s.text...)
	us := t.Nanosecond() / 1000
	for div := 100_000; div > 0; div /= 10 {
		b = append(b, byte('0'+us/div%10))
	}
	return append(b, 'Z')
}
