package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/maru-msa/maru/demo"
)

// demoCommand runs the example estate behind a gateway.
type demoCommand struct {
	Port         *int     `help:"Port of the gateway on 127.0.0.1; 0 takes a free one (default 8080, or a free one when it is taken)." placeholder:"PORT"`
	AdminPort    *int     `name:"admin-port" help:"Port of the admin API on 127.0.0.1; 0 takes a free one (default 7070, or a free one when it is taken)." placeholder:"PORT"`
	RegistryPort *int     `name:"registry-port" help:"Port of the registry on 127.0.0.1; 0 takes a free one (default 8761, or a free one when it is taken)." placeholder:"PORT"`
	Load         loadRate `help:"Requests a second of the load that is kept up, such as 200/s; 0 is none." default:"50/s" placeholder:"RATE"`
	Data         string   `help:"Keep databases, maru.yaml and access log in this folder (default: a temporary one that is removed)." placeholder:"DIR"`
	Chaos        bool     `help:"Kill, hang, slow and break instances on a script while the load runs, and show what users see of it."`
	Pace         float64  `help:"With --chaos: play the script this many times as fast." default:"1" placeholder:"TIMES"`
	Once         bool     `help:"Start, check everything through the gateway, print the result, stop; with --chaos, play the script once instead. Exit code 0: all is well; 1: not."`
	JSON         bool     `name:"json" help:"With --once: print the result as JSON."`
	Plain        bool     `help:"Show whole lines without colour, as where there is no terminal."`
	PrintConfig  bool     `name:"print-config" help:"Print the gateway's maru.yaml to standard output; all else goes to standard error."`
	ConfigOut    string   `name:"config-out" help:"Write the gateway's maru.yaml to this file as well." placeholder:"FILE"`
}

// Help is shown by maru demo --help.
func (demoCommand) Help() string {
	return `A reverse-auction food platform: customers ask, restaurants bid, the lowest bid wins. Five services, nine processes
with a database for each service, know nothing of the gateway in front of them; they register, and it finds them. Everything runs on loopback and
ends with Ctrl-C.

Examples:
  maru demo
  maru demo --chaos
  maru demo --once
  maru demo --load 200/s --port 9090`
}

// The ports that the demo takes when they are free and nobody chose.
const (
	demoPort         = 8080
	demoAdminPort    = 7070
	demoRegistryPort = 8761
)

// loadRate is a number of requests a second.
type loadRate float64

const mostLoad = 2000

// UnmarshalText reads "50/s" or "50".
func (r *loadRate) UnmarshalText(text []byte) error {
	v, err := strconv.ParseFloat(strings.TrimSuffix(string(text), "/s"), 64)
	if err != nil || !(v >= 0 && v <= mostLoad) {
		return fmt.Errorf("%q is not a rate from 0 to %d/s, such as 50/s", text, mostLoad)
	}
	*r = loadRate(v)
	return nil
}

// Validate checks what no single flag can.
func (c *demoCommand) Validate() error {
	if c.JSON && !c.Once {
		return errors.New("--json is the form of --once's result: add --once")
	}
	if c.Chaos && c.Load == 0 {
		return errors.New("--chaos shows what a load sees: give --load more than 0")
	}
	if !(c.Pace >= 0.1 && c.Pace <= 20) {
		return fmt.Errorf("--pace %v: a number from 0.1 to 20", c.Pace)
	}
	return nil
}

// Run runs the demo until Ctrl-C, or once.
func (c *demoCommand) Run() error {
	signals, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(signals, stop) // a second Ctrl-C ends us at once, and the children with us
	ctx, fail := context.WithCancelCause(signals)
	defer fail(nil)
	out := os.Stdout
	if c.PrintConfig || c.JSON {
		out = os.Stderr
	}
	show := newScreen(out)
	show.quiet = c.JSON
	if c.Plain {
		show.terminal, show.color = false, false
	}
	estate, err := c.estate(ctx, show)
	if err != nil {
		return err
	}
	if c.Data == "" {
		defer func() { _ = os.RemoveAll(estate.Dir) }()
	}
	estate.Healthy = show.healthy
	if !c.Once { // the check provokes what the gateway complains of
		estate.Said = show.said
	}
	estate.Back = show.back
	estate.Ended = func(name string, err error) {
		show.event(err.Error())
		if name == "gateway" {
			fail(errors.New("the gateway ended"))
		}
	}
	show.title()
	err = estate.Run(ctx, func(ctx context.Context, s demo.Site) error {
		if err := c.config(s); err != nil {
			return err
		}
		switch {
		case c.Once && c.Chaos:
			return c.onceChaos(ctx, show, s)
		case c.Once:
			return c.once(ctx, show, s)
		}
		c.keep(ctx, show, s)
		return nil
	})
	show.endLine()
	switch cause := context.Cause(ctx); {
	case signals.Err() != nil: // we were told to stop, and did
		return nil
	case err == nil && cause != nil:
		return cause
	}
	return err
}

// estate prepares the processes: folder, ports, and this binary as their program.
func (c *demoCommand) estate(ctx context.Context, show *screen) (*demo.Estate, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program, which is also the services': %w", err)
	}
	port, err := choosePort(ctx, show, c.Port, demoPort, "--port")
	if err != nil {
		return nil, err
	}
	adminPort, err := choosePort(ctx, show, c.AdminPort, demoAdminPort, "--admin-port")
	if err != nil {
		return nil, err
	}
	registryPort, err := choosePort(ctx, show, c.RegistryPort, demoRegistryPort, "--registry-port")
	if err != nil {
		return nil, err
	}
	dir := c.Data
	if dir == "" {
		dir, err = os.MkdirTemp("", "maru-demo-")
	} else if dir, err = filepath.Abs(dir); err == nil {
		err = os.MkdirAll(dir, 0o755) //nolint:gosec // nothing in it is secret
	}
	if err != nil {
		return nil, fmt.Errorf("make the demo's folder: %w", err)
	}
	return &demo.Estate{
		Dir: dir, Port: port, AdminPort: adminPort, RegistryPort: registryPort,
		Service: func(o demo.Options) *exec.Cmd {
			return exec.Command(self, "demo-part", "--service", o.Name, "--instance", o.Instance, "--dir", o.Dir, //nolint:gosec,noctx // ends with its input
				"--registry", o.Registry, "--address", o.Address)
		},
		Gateway: func(file string) *exec.Cmd {
			return exec.Command(self, "demo-part", "--gateway", file) //nolint:gosec,noctx // ends with its input
		},
	}, nil
}

// choosePort takes the port that was asked for or says that it is taken; when
// none was asked for, the usual one, or else any that is free.
func choosePort(ctx context.Context, show *screen, asked *int, usual int, flag string) (int, error) {
	switch {
	case asked == nil && demo.PortFree(ctx, usual):
		return usual, nil
	case asked == nil:
		show.note(fmt.Sprintf("port %d is taken by another program, so a free one is used; choose one with %s", usual, flag))
		return 0, nil
	case *asked < 0 || *asked > 65535:
		return 0, fmt.Errorf("%s %d: a port is a number from 0 to 65535", flag, *asked)
	case *asked != 0 && !demo.PortFree(ctx, *asked):
		return 0, fmt.Errorf("port %d is taken by another program; choose another with %s, or %s 0 for any that is free", *asked, flag, flag)
	}
	return *asked, nil
}

// config gives the gateway's file to who asked for it.
func (c *demoCommand) config(s demo.Site) error {
	text := demo.Config(s)
	if c.PrintConfig {
		if _, err := os.Stdout.Write(text); err != nil {
			return fmt.Errorf("print the configuration: %w", err)
		}
	}
	if c.ConfigOut == "" {
		return nil
	}
	if err := os.WriteFile(c.ConfigOut, text, 0o644); err != nil { //nolint:gosec // it holds no secret
		return fmt.Errorf("write the configuration: %w", err)
	}
	return nil
}

// demoClient calls the gateway as many clients would.
func demoClient(s demo.Site, seen func(string, time.Duration, error)) (c *demo.Client, done func()) {
	t := &http.Transport{MaxIdleConnsPerHost: 64}
	return &demo.Client{Base: s.Gateway, HTTP: &http.Client{Transport: t, Timeout: 10 * time.Second}, Seen: seen}, t.CloseIdleConnections
}

// once checks everything and prints the result.
func (c *demoCommand) once(ctx context.Context, show *screen, s demo.Site) error {
	client, done := demoClient(s, nil)
	defer done()
	began := time.Now()
	checks := []demo.Check{}
	show.running(s)
	failed := demo.Walk(ctx, client, func(k demo.Check) {
		checks = append(checks, k)
		show.check(k)
	})
	took := time.Since(began)
	if c.JSON {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		if err := enc.Encode(struct {
			OK     bool         `json:"ok"`
			Failed int          `json:"failed"`
			Millis int64        `json:"took_ms"`
			Checks []demo.Check `json:"checks"`
		}{failed == 0, failed, took.Milliseconds(), checks}); err != nil {
			return fmt.Errorf("print the result: %w", err)
		}
	}
	show.verdict(len(checks), failed, took)
	if failed > 0 {
		return exitError(1)
	}
	return nil
}

// keep shows where everything is and keeps the load up until ctx ends.
func (c *demoCommand) keep(ctx context.Context, show *screen, s demo.Site) {
	show.site(s)
	var meter demo.Meter
	client, done := demoClient(s, meter.Seen)
	defer done()
	began := time.Now()
	var work sync.WaitGroup
	defer work.Wait()
	chaos := c.chaos(show, &s, &meter)
	if chaos != nil {
		work.Go(func() { c.rounds(ctx, show, chaos) })
	}
	if c.Load > 0 {
		work.Go(func() { show.live(ctx, began, &meter, chaos) })
	}
	load := demo.Load{Client: client, Rate: float64(c.Load)}
	_ = load.Run(ctx) // it ends with ctx and in no other way
	show.stopping(&meter, time.Since(began))
}

// demoPartCommand is one process of the demo: a service, or the gateway. It ends
// when its standard input does, and so with the process that started it.
type demoPartCommand struct {
	Service  string `help:"Service to run." xor:"part" required:""`
	Gateway  string `help:"Configuration file to serve." xor:"part" required:"" placeholder:"FILE"`
	Instance string `help:"Name of the instance."`
	Dir      string `help:"Folder of the database."`
	Registry string `help:"URL of the registry."`
	Address  string `help:"Address of the service; empty for a free port."`
}

// Run runs the part.
func (c *demoPartCommand) Run() error {
	if c.Gateway != "" {
		go func() {
			_, _ = os.Stdin.Read(make([]byte, 1)) // nothing is ever written to it: it ends
			_ = syscall.Kill(os.Getpid(), syscall.SIGINT)
		}()
		serve := serveCommand{Config: c.Gateway, DrainLimit: 3 * time.Second, Quiet: true}
		return serve.Run()
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return demo.Serve(ctx, demo.Options{
		Name: c.Service, Instance: c.Instance, Dir: c.Dir, Registry: c.Registry, Address: c.Address,
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}, os.Stdin, os.Stdout)
}
