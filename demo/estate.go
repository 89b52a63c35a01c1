package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Estate is the demo as processes: six services and the gateway in front, all
// children of the calling program.
type Estate struct {
	// Dir holds databases, maru.yaml and the access log; it must exist.
	Dir string
	// Port and AdminPort are the gateway's, on loopback; 0 takes a free one.
	Port, AdminPort int
	// Service gives the command that runs [Serve] for a service, Gateway the one
	// that serves a configuration file. Both must end when their standard input
	// does.
	Service func(o Options) *exec.Cmd
	Gateway func(file string) *exec.Cmd
	// Healthy is told of each part once it answers, Said of each line that one
	// logs while all run, Ended of one that ended while it should run; the error
	// holds its last log lines. They are called one at a time; nil means nobody
	// listens.
	Healthy func(p Part)
	Said    func(name, line string)
	Ended   func(name string, err error)

	mu sync.Mutex // Healthy, Said, Ended
}

// Part is one running process.
type Part struct {
	// Name is the instance: "restaurant-2", or "gateway".
	Name string
	// Service is what it is an instance of; "" for the gateway.
	Service string
	// URL is its address.
	URL string
	// PID is its process id.
	PID int
	// Took is the time from its start until it was healthy.
	Took time.Duration
}

// Site is a running estate.
type Site struct {
	// Gateway and Admin are the URLs of the gateway and of its operator's API.
	Gateway, Admin string
	// Config is the gateway's file, Access its log of exchanges.
	Config, Access string
	// Parts are the services' processes, in the order of [Instances], and the
	// gateway last.
	Parts []Part
}

// Instance is one process to start.
type Instance struct{ Service, Name string }

// Instances lists the processes of the services.
func Instances() []Instance {
	return []Instance{
		{"member", "member"},
		{"location", "location"},
		{"restaurant", "restaurant-1"},
		{"restaurant", "restaurant-2"},
		{"auction", "auction"},
		{"reward", "reward"},
	}
}

// Run starts everything, calls use once all parts are healthy, and stops
// everything when use returns. It returns when no process is left. A part that
// fails at the start is an error with the last lines of its log.
func (e *Estate) Run(ctx context.Context, use func(ctx context.Context, s Site) error) error {
	// The children are tied to the thread that starts them (Pdeathsig).
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r := &run{Estate: e, client: &http.Client{Timeout: 2 * time.Second, Transport: new(http.Transport)}}
	defer r.client.CloseIdleConnections()
	site, err := r.start(ctx)
	if err == nil {
		watching, done := context.WithCancel(ctx)
		var alive sync.WaitGroup
		for _, p := range r.processes {
			alive.Go(func() { r.watch(watching, p) })
		}
		err = use(ctx, site)
		done()
		alive.Wait()
	}
	return errors.Join(err, r.stop())
}

// run is one run of an Estate.
type run struct {
	*Estate
	client    *http.Client
	processes []*process
}

// start starts the services side by side, then the gateway.
func (r *run) start(ctx context.Context) (Site, error) {
	instances := Instances()
	s := Site{
		Config: filepath.Join(r.Dir, "maru.yaml"),
		Access: filepath.Join(r.Dir, "access.log"),
		Parts:  make([]Part, len(instances), len(instances)+1),
	}
	errs := make([]error, len(instances))
	var starting sync.WaitGroup
	for i, in := range instances {
		began := time.Now()
		p, err := start(in.Name, r.Service(Options{Name: in.Service, Instance: in.Name, Dir: r.Dir}))
		if err != nil {
			errs[i] = err
			break
		}
		r.processes = append(r.processes, p)
		starting.Go(func() {
			s.Parts[i], errs[i] = r.await(ctx, p, in.Service, began)
		})
	}
	starting.Wait()
	if err := errors.Join(errs...); err != nil {
		return s, err
	}
	return s, r.open(ctx, &s)
}

// await waits until a service is healthy.
func (r *run) await(ctx context.Context, p *process, service string, began time.Time) (Part, error) {
	url, err := p.url(ctx)
	if err != nil {
		return Part{}, err
	}
	if err := p.healthy(ctx, r.client, url+"/health"); err != nil {
		return Part{}, err
	}
	part := Part{Name: p.name, Service: service, URL: url, PID: p.cmd.Process.Pid, Took: time.Since(began)}
	r.tell(part)
	return part, nil
}

// open writes the gateway's file and starts the gateway.
func (r *run) open(ctx context.Context, s *Site) error {
	port, err := freePort(ctx, r.Port)
	if err != nil {
		return err
	}
	adminPort, err := freePort(ctx, r.AdminPort)
	if err != nil {
		return err
	}
	s.Gateway = "http://127.0.0.1:" + strconv.Itoa(port)
	s.Admin = "http://127.0.0.1:" + strconv.Itoa(adminPort)
	if err := os.WriteFile(s.Config, Config(*s), 0o644); err != nil { //nolint:gosec // it holds no secret
		return fmt.Errorf("write the gateway's configuration: %w", err)
	}
	began := time.Now()
	p, err := start("gateway", r.Gateway(s.Config))
	if err != nil {
		return err
	}
	r.processes = append(r.processes, p)
	if err := p.healthy(ctx, r.client, s.Gateway+"/"); err != nil {
		return err
	}
	part := Part{Name: "gateway", URL: s.Gateway, PID: p.cmd.Process.Pid, Took: time.Since(began)}
	s.Parts = append(s.Parts, part)
	r.tell(part)
	return nil
}

func (r *run) tell(p Part) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Healthy != nil {
		r.Healthy(p)
	}
}

// watch tells what a process logs, and when it ends before it should.
func (r *run) watch(ctx context.Context, p *process) {
	p.log.listen(func(line string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.Said != nil {
			r.Said(p.name, line)
		}
	})
	defer p.log.listen(nil)
	select {
	case <-ctx.Done():
		return
	case <-p.done:
	}
	why := p.ended()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Ended != nil {
		r.Ended(p.name, why)
	}
}

// stop ends the gateway, so that nothing comes in any more, then the services
// side by side.
func (r *run) stop() error {
	errs := make([]error, len(r.processes))
	last := len(r.processes)
	if last > len(Instances()) {
		last--
		errs[last] = r.processes[last].stop()
	}
	var stopping sync.WaitGroup
	for i, p := range slices.All(r.processes[:last]) {
		stopping.Go(func() { errs[i] = p.stop() })
	}
	stopping.Wait()
	return errors.Join(errs...)
}

// PortTakenError is the error of a port that another program has.
type PortTakenError struct {
	Port int
	Err  error
}

func (e *PortTakenError) Error() string {
	return fmt.Sprintf("port %d of 127.0.0.1 is taken: %v", e.Port, e.Err)
}

// Unwrap gives what the system said.
func (e *PortTakenError) Unwrap() error { return e.Err }

// freePort checks that a loopback port is free; 0 finds one.
func freePort(ctx context.Context, port int) (int, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		if sys, ok := errors.AsType[*os.SyscallError](err); ok {
			err = sys.Err
		}
		return 0, &PortTakenError{Port: port, Err: err}
	}
	if a, ok := ln.Addr().(*net.TCPAddr); ok {
		port = a.Port
	}
	return port, ln.Close()
}

// PortFree tells whether a loopback port can be had.
func PortFree(ctx context.Context, port int) bool {
	_, err := freePort(ctx, port)
	return err == nil
}
