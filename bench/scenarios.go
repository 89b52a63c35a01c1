package main

import (
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// scenario is one kind of traffic.
type scenario struct {
	name, what string
	// variant of the configuration; those other than "plain" are maru's alone
	// and compared with its own plain one.
	variant string
	// unit of what is counted.
	unit string
	load func(ctx context.Context, b *bench, at ports) (outcome, error)
	// memory scenarios report resident memory instead of CPU.
	memory bool
}

func scenarios() []scenario {
	h1 := func(conns int, path string, fields ...string) func(context.Context, *bench, ports) (outcome, error) {
		return func(ctx context.Context, b *bench, at ports) (outcome, error) {
			var flags []string
			for _, f := range fields {
				flags = append(flags, "-H", f)
			}
			return wrk(ctx, "http://"+at.plain+path, conns, b.duration, flags...)
		}
	}
	return []scenario{
		{name: "plain-64", what: "HTTP/1.1, 1 KB, keep-alive, 64 connections", load: h1(64, "/1k")},
		{name: "plain-512", what: "HTTP/1.1, 1 KB, keep-alive, 512 connections", load: h1(512, "/1k")},
		{name: "new-connection", what: "HTTP/1.1, 1 KB, a new connection for each request", load: h1(64, "/1k", "Connection: close")},
		{name: "body-64k", what: "HTTP/1.1, 64 KB bodies, 32 connections", load: h1(32, "/64k")},
		{name: "body-8m", what: "HTTP/1.1, 8 MB bodies, 8 connections", load: h1(8, "/8m"), unit: "8 MB"},
		{name: "tls", what: "TLS 1.3, HTTP/1.1, 1 KB, keep-alive, 64 connections", load: func(ctx context.Context, b *bench, at ports) (outcome, error) {
			return wrk(ctx, "https://"+at.tls+"/1k", 64, b.duration)
		}},
		{name: "h2", what: "TLS 1.3, HTTP/2, 1 KB, 16 connections of 8 streams", load: func(ctx context.Context, b *bench, at ports) (outcome, error) {
			return h2load(ctx, b.out, "https://"+at.tls+"/1k", 16, 8, int(10_000*b.duration.Seconds()), 0)
		}},
		{name: "rate", what: "HTTP/1.1, 1 KB, 16 connections, 4,000 requests/s", load: func(ctx context.Context, b *bench, at ports) (outcome, error) {
			return h2load(ctx, b.out, "http://"+at.plain+"/1k", 16, 1, int(4000*b.duration.Seconds()), 4000, "--h1")
		}},
		{name: "routes-10k", what: "as plain-64, with 10,000 routes", variant: "routes", load: h1(64, "/1k")},
		{
			name: "bare", what: "as plain-64, with breaker, limit, retries and their budget off (1 / ratio is what they cost)",
			variant: "bare", load: h1(64, "/1k"),
		},
		{
			name: "filters", what: "as plain-64, with headers, CORS, request id, access log and metrics", variant: "filters",
			load: h1(64, "/1k", "Origin: https://app.example"),
		},
		{
			name: "validate", what: "10 KB of JSON posted and given back, 64 connections: requests and 1 % of the answers checked against a contract",
			variant: "validate", load: postOrders,
		},
		{name: "validate-all", what: "the same, and all answers checked", variant: "validate-all", load: postOrders},
		{name: "websocket", what: "WebSocket echo of 64 bytes, 64 connections", unit: "message", load: func(ctx context.Context, b *bench, at ports) (outcome, error) {
			return webSockets(ctx, at.plain, 64, b.duration)
		}},
		{name: "idle-10k", what: "10,000 idle connections after one request each", memory: true, load: func(ctx context.Context, _ *bench, at ports) (outcome, error) {
			release, err := idleHold(ctx, at.plain, idleConns)
			if err != nil {
				release()
				return outcome{}, err
			}
			time.AfterFunc(2*time.Second, release)
			time.Sleep(time.Second)
			return outcome{requests: idleConns, took: time.Second}, nil
		}},
	}
}

const idleConns = 10_000

// bench is one run.
type bench struct {
	*settings
	backend         *backend
	cert, key, both string
	rivals          []proxy
}

// prepare builds maru, finds the others and starts the backend.
func (b *bench) prepare(ctx context.Context) error {
	if b.maru == "" {
		b.maru = filepath.Join(b.out, "maru")
		if _, err := output(ctx, "go", "build", "-o", b.maru, "./cmd/maru"); err != nil {
			return err
		}
	}
	for _, tool := range []string{"wrk", "h2load", "nginx"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is not installed (apt-get install nginx wrk nghttp2-client haproxy caddy): %w", tool, err)
		}
	}
	for _, p := range proxies(b.maru) {
		if len(b.proxies) > 0 && !slices.Contains(b.proxies, p.name) {
			continue
		}
		if _, err := exec.LookPath(p.binary); err != nil {
			fmt.Println(p.name, "is not installed: left out")
			continue
		}
		b.rivals = append(b.rivals, p)
	}
	var err error
	if b.cert, b.key, b.both, err = certificate(b.out); err != nil {
		return err
	}
	if err = prepareOrders(b.out); err != nil {
		return err
	}
	b.backend, err = startBackend(ctx, b.out)
	return err
}

func (b *bench) close() {
	if b.backend != nil {
		b.backend.close()
	}
}

// runner is a started proxy in a scenario, with what its rounds gave.
type runner struct {
	name string
	proc *process
	at   ports

	perRequest []time.Duration
	rate       []float64
	p50, p99   []time.Duration
	memory     int64
	failed     int
}

// result is what a scenario gave.
type result struct {
	scenario scenario
	runners  []*runner
}

// play runs one scenario in interleaved rounds.
func (b *bench) play(ctx context.Context, sc scenario) (result, error) {
	r := result{scenario: sc}
	defer func() {
		for _, p := range r.runners {
			p.proc.stop()
		}
	}()
	if err := b.enter(ctx, &r); err != nil {
		return r, err
	}
	rounds := b.rounds
	if sc.memory {
		rounds = 1
	}
	for round := range rounds + 1 {
		for _, p := range r.runners {
			if err := p.turn(ctx, b, sc, round > 0 || sc.memory); err != nil {
				return r, fmt.Errorf("%s: %w", p.name, err)
			}
			if sc.memory {
				time.Sleep(2 * time.Second)
			}
		}
		if sc.memory {
			break
		}
	}
	return r, nil
}

// enter starts the rivals of a scenario: all of them plain, or maru alone, plain
// and as the scenario's variant.
func (b *bench) enter(ctx context.Context, r *result) error {
	variant := r.scenario.variant
	for _, p := range b.rivals {
		if variant != "" && p.name != "maru" {
			continue
		}
		if err := b.add(ctx, r, p, p.name, "plain"); err != nil {
			return err
		}
		if variant == "" {
			continue
		}
		if err := b.add(ctx, r, p, p.name+" "+variant, variant); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) add(ctx context.Context, r *result, p proxy, name, variant string) error {
	proc, at, err := b.launch(ctx, p, variant)
	if err != nil {
		return err
	}
	r.runners = append(r.runners, &runner{name: name, proc: proc, at: at})
	return nil
}

// turn loads one proxy once; the first round warms up and is not counted.
func (p *runner) turn(ctx context.Context, b *bench, sc scenario, count bool) error {
	before, err := p.proc.usage()
	if err != nil {
		return err
	}
	o, err := sc.load(ctx, b, p.at)
	if err != nil {
		return err
	}
	after, err := p.proc.usage()
	if err != nil {
		return err
	}
	p.memory = after.peak
	if sc.memory {
		p.memory = after.rss
	}
	if !count {
		return nil
	}
	p.failed += o.failed
	p.perRequest = append(p.perRequest, (after.cpu-before.cpu)/time.Duration(o.requests))
	p.rate = append(p.rate, float64(o.requests)/o.took.Seconds())
	p.p50, p.p99 = append(p.p50, o.p50), append(p.p99, o.p99)
	return nil
}

func median[T cmp.Ordered](all []T) T {
	if len(all) == 0 {
		var zero T
		return zero
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}
