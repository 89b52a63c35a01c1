package upstream

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"

	"github.com/maru-msa/maru/http1"
	"github.com/maru-msa/maru/message"
)

// checkup is what active checks know of an endpoint.
type checkup struct {
	next    time.Time // of the goroutine that runs the cluster; zero before the first
	running bool      // of Cluster.setMu, as all below
	ended   bool      // at least one has
	passes  int       // in a row
	fails   int       // in a row
	failure string    // of the last one that failed
	at      time.Time
}

// startChecks starts the checks that are due and gives the time until the next.
func (c *Cluster) startChecks(ctx context.Context, now time.Time, run *sync.WaitGroup) time.Duration {
	k := c.cfg.Health
	if k == nil {
		return lookIdle
	}
	wait := lookIdle
	for _, e := range c.set.Load().all {
		if e.checkup.next.IsZero() { // spread over an interval
			e.checkup.next = now.Add(time.Duration(c.env.Float() * float64(k.Interval)))
		}
		if c.claimCheck(e, now) {
			e.checkup.next = now.Add(time.Duration(float64(k.Interval) * (0.8 + 0.4*c.env.Float())))
			run.Go(func() { c.check(ctx, e) })
		}
		wait = min(wait, max(e.checkup.next.Sub(now), time.Millisecond))
	}
	return wait
}

// claimCheck tells whether a check of e is due: by its clock, or because its
// ejection is over and a check decides what comes then.
func (c *Cluster) claimCheck(e *Endpoint, now time.Time) bool {
	c.setMu.Lock()
	defer c.setMu.Unlock()
	x := e.health.ejection
	if e.checkup.running || now.Before(e.checkup.next) && (x == nil || now.Before(x.Until)) {
		return false
	}
	e.checkup.running = true
	return true
}

// check makes one check and takes its result in.
func (c *Cluster) check(ctx context.Context, e *Endpoint) {
	limit, stop := context.WithTimeout(ctx, c.cfg.Health.Timeout)
	err := c.probe(limit, e)
	if err != nil && (limit.Err() != nil || isTimeout(err) || timedOut(err)) {
		err = fmt.Errorf("no answer within %v", c.cfg.Health.Timeout)
	}
	stop()
	if ctx.Err() != nil {
		return // the cluster ends: it says nothing
	}
	c.checked(e, err)
}

// checked takes the result of a check in.
func (c *Cluster) checked(e *Endpoint, err error) {
	k, h := &e.checkup, &e.health
	c.setMu.Lock()
	k.running, k.ended = false, true
	now := c.env.Now()
	trial := h.ejection != nil && !now.Before(h.ejection.Until)
	if err == nil {
		c.health.checksPassed.Add(1)
		k.passes, k.fails = k.passes+1, 0
	} else {
		c.health.checksFailed.Add(1)
		k.passes, k.fails = 0, k.fails+1
		k.failure, k.at = err.Error(), now
	}
	switch {
	case h.down != "" && k.passes >= c.cfg.Health.Rise:
		h.down = ""
		e.startOver()
		c.startSlowly(e, now)
		c.env.Log.Info("endpoint is up: its checks pass", "service", c.name, "endpoint", e.name)
		c.rebuild()
	case h.down == "" && k.fails >= c.cfg.Health.Fall:
		h.down = "check: " + k.failure
		c.env.Log.Warn("endpoint is down: its checks fail", "service", c.name, "endpoint", e.name, "error", err)
		c.rebuild()
	}
	c.setMu.Unlock()
	switch {
	case !trial:
	case err == nil:
		c.readmit(e)
	default:
		c.ejectAgain(e, "check: "+err.Error())
	}
}

// stats says how the checks are. The caller holds setMu of the cluster.
func (k *checkup) stats(h *health) CheckStats {
	s := CheckStats{LastError: k.failure, At: k.at}
	switch {
	case h.down != "":
		s.State = "down"
	case k.ended:
		s.State = "up"
	}
	return s
}

// probe asks the endpoint once, over a connection of its own.
func (c *Cluster) probe(ctx context.Context, e *Endpoint) error {
	cfg := e.dial.tls1
	if c.cfg.HTTP != HTTP1 {
		cfg = e.dial.tls2
	}
	nc, err := c.dialTCP(ctx, e.target.address)
	if err == nil && cfg != nil {
		nc, err = c.shakeHands(ctx, nc, cfg)
	}
	if err != nil {
		return err
	}
	defer func() { _ = nc.Close() }()
	switch k := c.cfg.Health; {
	case k.GRPC:
		return c.probeGRPC(ctx, e, nc)
	case k.TCP:
		return nil
	case c.cfg.HTTP != HTTP1:
		return c.probeHTTP2(ctx, e, nc)
	}
	return c.probeHTTP1(ctx, e, nc)
}

// checkAgent is what checks say who they are.
const checkAgent = "maru-check"

// checkHost is the Host field of checks: there is no client whose own could pass.
func (c *Cluster) checkHost(e *Endpoint) string {
	if c.cfg.Host == "client" || c.cfg.Host == "service" {
		return e.target.literal
	}
	return c.cfg.Host
}

func (c *Cluster) probeHTTP1(ctx context.Context, e *Endpoint, nc net.Conn) error {
	r := message.NewRequest()
	defer r.Release()
	r.Method, r.Proto, r.Scheme = "GET", message.HTTP11, e.target.scheme()
	r.Path, r.Query, r.HasQuery = strings.Cut(c.cfg.Health.HTTP, "?")
	r.RawPath, r.Authority = r.Path, e.target.literal
	if err := r.Header.Add("User-Agent", checkAgent); err != nil {
		return err
	}
	r.X.Began = c.env.Now()
	by, _ := ctx.Deadline()
	cancelled := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		r.X.Cancel(context.Cause(ctx))
		close(cancelled)
	})
	cn := http1.NewClientConn(nc, &c.h1cfg)
	resp, err := cn.RoundTrip(r, &http1.RoundTripOptions{
		Host: c.checkHost(e), Head: by, End: by, BodyIdle: c.cfg.Health.Timeout, OnIdle: func(*http1.ClientConn, bool) {},
	})
	if err == nil {
		err = c.expected(resp.Status)
		resp.Release()
	}
	if !stop() {
		<-cancelled // it must not meet the next user of the request
	}
	_ = cn.Close()
	return err
}

// expected tells whether a status is what the check wants.
func (c *Cluster) expected(status int) error {
	if low, high, _ := parseExpect(c.cfg.Health.Expect); status < low || status > high {
		return fmt.Errorf("it answered %d, not %s", status, c.cfg.Health.Expect)
	}
	return nil
}

// parseExpect reads a status such as 200 or a class such as 2xx.
func parseExpect(s string) (low, high int, err error) {
	if len(s) == 3 && s[1:] == "xx" && s[0] >= '1' && s[0] <= '5' {
		low = int(s[0]-'0') * 100
		return low, low + 99, nil
	}
	if low, err = strconv.Atoi(s); err != nil || low < 100 || low > 599 {
		return 0, 0, fmt.Errorf("%q is not a status", s)
	}
	return low, low, nil
}

// ask makes one exchange over HTTP/2 on nc.
func (c *Cluster) ask(ctx context.Context, e *Endpoint, nc net.Conn, req *http.Request) (*http.Response, error) {
	t := &http2.Transport{AllowHTTP: true, DisableCompression: true, MaxHeaderListSize: 1 << 16}
	cc, err := t.NewClientConn(nc)
	if err != nil {
		return nil, err
	}
	req.URL.Scheme, req.URL.Host, req.Host = e.target.scheme(), e.target.address, c.checkHost(e)
	req.Header.Set("User-Agent", checkAgent)
	return cc.RoundTrip(req.WithContext(ctx))
}

func (c *Cluster) probeHTTP2(ctx context.Context, e *Endpoint, nc net.Conn) error {
	u, err := url.ParseRequestURI(c.cfg.Health.HTTP)
	if err != nil {
		return err
	}
	res, err := c.ask(ctx, e, nc, &http.Request{Method: http.MethodGet, URL: u, Header: http.Header{}})
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	return c.expected(res.StatusCode)
}

// mostHealth is the longest answer of a gRPC health service that is read.
const mostHealth = 4 << 10

// probeGRPC asks grpc.health.v1.Health/Check (gRPC health checking protocol).
func (c *Cluster) probeGRPC(ctx context.Context, e *Endpoint, nc net.Conn) error {
	res, err := c.ask(ctx, e, nc, &http.Request{
		Method: http.MethodPost,
		URL:    &url.URL{Path: "/grpc.health.v1.Health/Check"},
		Header: http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}},
		Body:   io.NopCloser(bytes.NewReader(healthRequest(c.cfg.Health.Service))),
	})
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, mostHealth))
	if err != nil {
		return err
	}
	code, text := res.Trailer.Get("Grpc-Status"), res.Trailer.Get("Grpc-Message")
	if code == "" { // an error may come with the head alone
		code, text = res.Header.Get("Grpc-Status"), res.Header.Get("Grpc-Message")
	}
	switch {
	case res.StatusCode != http.StatusOK:
		return fmt.Errorf("it answered %d", res.StatusCode)
	case code != "0":
		return fmt.Errorf("gRPC status %.20q %.100q", code, text)
	}
	serving, err := parseHealth(body)
	if err == nil && !serving {
		err = errors.New("it is not serving")
	}
	return err
}

// healthRequest is a HealthCheckRequest with its length before it.
func healthRequest(service string) []byte {
	var m []byte
	if service != "" {
		m = append(m, 1<<3|2) // field 1, of a length
		m = binary.AppendUvarint(m, uint64(len(service)))
		m = append(m, service...)
	}
	out := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(m)))
	return append(out, m...)
}

var errHealth = errors.New("the answer is no HealthCheckResponse")

// parseHealth reads a HealthCheckResponse with its length before it: field 1 is
// the status, of which 1 means SERVING. Other fields are passed over.
func parseHealth(b []byte) (serving bool, err error) {
	if len(b) < 5 || b[0] != 0 || uint64(binary.BigEndian.Uint32(b[1:])) != uint64(len(b)-5) {
		return false, errHealth
	}
	for b = b[5:]; len(b) > 0; {
		key, n := binary.Uvarint(b)
		if n <= 0 {
			return false, errHealth
		}
		b = b[n:]
		v, n := uint64(0), 0
		switch key & 7 {
		case 0:
			if v, n = binary.Uvarint(b); n <= 0 {
				return false, errHealth
			}
		case 1:
			n = 8
		case 5:
			n = 4
		case 2:
			size, k := binary.Uvarint(b)
			if k <= 0 || size > uint64(len(b)-k) {
				return false, errHealth
			}
			n = k + int(size)
		default:
			return false, errHealth
		}
		if n > len(b) {
			return false, errHealth
		}
		b = b[n:]
		if key == 1<<3 {
			serving = v == 1
		}
	}
	return serving, nil
}
