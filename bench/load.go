package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// outcome is what a load saw.
type outcome struct {
	requests int
	failed   int
	took     time.Duration
	p50, p99 time.Duration // zero when the load does not tell
}

// wrk plays a closed loop of HTTP/1.1 requests; flags are further ones of its own.
func wrk(ctx context.Context, url string, conns int, d time.Duration, flags ...string) (outcome, error) {
	argv := append([]string{"-t1", "-c" + strconv.Itoa(conns), fmt.Sprintf("-d%ds", max(1, int(d.Seconds()))), "--latency"}, flags...)
	text, err := output(ctx, "wrk", append(argv, url)...)
	if err != nil {
		return outcome{}, err
	}
	return parseWrk(text)
}

// parseWrk reads wrk's report.
func parseWrk(text string) (outcome, error) {
	var o outcome
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		switch {
		case len(f) >= 4 && f[1] == "requests" && f[2] == "in":
			o.requests, _ = strconv.Atoi(f[0])
			o.took, _ = time.ParseDuration(strings.TrimSuffix(f[3], ","))
		case len(f) >= 2 && f[0] == "50%":
			o.p50, _ = time.ParseDuration(f[1])
		case len(f) >= 2 && f[0] == "99%":
			o.p99, _ = time.ParseDuration(f[1])
		case strings.Contains(line, "Non-2xx"):
			n, _ := strconv.Atoi(f[len(f)-1])
			o.failed += n
		case strings.Contains(line, "Socket errors:"):
			for _, word := range f {
				n, _ := strconv.Atoi(strings.TrimSuffix(word, ","))
				o.failed += n
			}
		}
	}
	if o.requests == 0 || o.took == 0 {
		return o, fmt.Errorf("wrk made no request: %s", text)
	}
	return o, nil
}

// h2load plays HTTP/2 (or, at a fixed rate, HTTP/1.1) requests. rate is per
// second over all clients, 0 means a closed loop.
func h2load(ctx context.Context, dir, url string, clients, streams, requests, rate int, flags ...string) (outcome, error) {
	log := filepath.Join(dir, "h2load.log")
	_ = os.Remove(log)
	argv := []string{
		"-t1", "-c" + strconv.Itoa(clients), "-m" + strconv.Itoa(streams), "-n" + strconv.Itoa(requests),
		"--log-file=" + log,
	}
	if rate > 0 {
		argv = append(argv, "--rps="+strconv.Itoa(max(1, rate/clients)))
	}
	began := time.Now()
	text, err := output(ctx, "h2load", append(append(argv, flags...), url)...)
	if err != nil {
		return outcome{}, err
	}
	o := outcome{took: time.Since(began)}
	rows, err := os.ReadFile(log) //nolint:gosec // our own folder
	if err != nil {
		return o, fmt.Errorf("read the load's log: %w", err)
	}
	return o, o.fill(rows, text)
}

// fill reads the rows "start status microseconds" of h2load.
func (o *outcome) fill(rows []byte, text string) error {
	var times []int
	for line := range bytes.Lines(rows) {
		f := strings.Fields(string(line))
		if len(f) < 3 {
			continue
		}
		us, err := strconv.Atoi(f[2])
		if err != nil {
			return fmt.Errorf("read the load's log: %w", err)
		}
		times = append(times, us)
		if f[1] != "200" {
			o.failed++
		}
	}
	if len(times) == 0 {
		return fmt.Errorf("h2load made no request: %s", text)
	}
	slices.Sort(times)
	o.requests = len(times)
	o.p50 = time.Duration(times[len(times)/2]) * time.Microsecond
	o.p99 = time.Duration(times[len(times)*99/100]) * time.Microsecond
	return nil
}

func output(ctx context.Context, name string, argv ...string) (string, error) {
	var out, fault bytes.Buffer
	cmd := exec.CommandContext(ctx, name, argv...)
	cmd.Stdout, cmd.Stderr = &out, &fault
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("run %s %s: %w: %s", name, strings.Join(argv, " "), err, fault.String())
	}
	return out.String(), nil
}

// idleHold opens n connections, makes one request on each, and keeps them open
// until the returned function is called.
func idleHold(ctx context.Context, address string, n int) (release func(), err error) {
	conns := make([]net.Conn, 0, n)
	release = func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}
	buf := make([]byte, 4<<10)
	var d net.Dialer
	for range n {
		c, err := d.DialContext(ctx, "tcp", address)
		if err != nil {
			return release, fmt.Errorf("open connection %d: %w", len(conns), err)
		}
		conns = append(conns, c)
		if _, err := io.WriteString(c, "GET /1k HTTP/1.1\r\nHost: bench.local\r\n\r\n"); err != nil {
			return release, fmt.Errorf("use connection %d: %w", len(conns), err)
		}
		for got := 0; got < 1024; {
			m, err := c.Read(buf)
			if err != nil {
				return release, fmt.Errorf("use connection %d: %w", len(conns), err)
			}
			got += m
		}
	}
	return release, nil
}

// echoFrame is a masked WebSocket text frame of 64 bytes; the service sends the
// same payload back without a mask (RFC 6455 §5.2).
func echoFrame(payload int) (sent []byte, back int) {
	f := append([]byte{0x81, 0x80 | byte(payload), 0, 0, 0, 0}, bytes.Repeat([]byte("w"), payload)...)
	return f, 2 + payload
}

// webSockets plays echo over n WebSockets and counts round trips.
func webSockets(ctx context.Context, address string, n int, d time.Duration) (outcome, error) {
	var total atomic.Int64
	var wait sync.WaitGroup
	errs := make(chan error, n)
	ctx, stop := context.WithTimeout(ctx, d)
	defer stop()
	began := time.Now()
	for range n {
		wait.Go(func() {
			if err := oneWebSocket(ctx, address, &total); err != nil {
				errs <- err
			}
		})
	}
	wait.Wait()
	close(errs)
	o := outcome{requests: int(total.Load()), took: time.Since(began), failed: len(errs)}
	if o.requests == 0 {
		return o, errors.Join(errors.New("no WebSocket message came back"), <-errs)
	}
	return o, nil
}

func oneWebSocket(ctx context.Context, address string, total *atomic.Int64) error {
	var dial net.Dialer
	c, err := dial.DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("open a WebSocket: %w", err)
	}
	defer c.Close() //nolint:errcheck // at the end
	_, err = io.WriteString(c, "GET /ws HTTP/1.1\r\nHost: bench.local\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	if err != nil {
		return fmt.Errorf("open a WebSocket: %w", err)
	}
	buf := make([]byte, 4<<10)
	head, err := readHead(c, buf)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(head, "HTTP/1.1 101 ") {
		return fmt.Errorf("open a WebSocket: %q", head)
	}
	frame, back := echoFrame(64)
	for ctx.Err() == nil {
		if _, err := c.Write(frame); err != nil {
			return fmt.Errorf("send a message: %w", err)
		}
		if _, err := io.ReadFull(c, buf[:back]); err != nil {
			return fmt.Errorf("receive a message: %w", err)
		}
		total.Add(1)
	}
	return nil
}

// readHead reads up to the empty line; nothing follows it before we speak.
func readHead(c net.Conn, buf []byte) (string, error) {
	for n := 0; n < len(buf); {
		m, err := c.Read(buf[n:])
		if err != nil {
			return "", fmt.Errorf("read head: %w", err)
		}
		if n += m; bytes.Contains(buf[:n], []byte("\r\n\r\n")) {
			return string(buf[:n]), nil
		}
	}
	return "", errors.New("read head: too long")
}
