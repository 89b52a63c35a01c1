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
	"strconv"
	"strings"
	"sync"
	"time"
)

// Estate is the demo as processes: the gateway with its registry, and the
// instances of the services, all children of the calling program.
type Estate struct {
	// Dir holds databases, maru.yaml and the access log; it must exist.
	Dir string
	// Port, AdminPort and RegistryPort are the gateway's, on loopback; 0 takes a
	// free one.
	Port, AdminPort, RegistryPort int
	// Service gives the command that runs [Serve] for a service, Gateway the one
	// that serves a configuration file. Both must end when their standard input
	// does.
	Service func(o Options) *exec.Cmd
	Gateway func(file string) *exec.Cmd
	// Healthy is told of each part once it answers, Said of each line that one
	// logs while all run, Ended of one that ended while it should run, with its
	// last log lines, and Back of a service that was started again after that.
	// They are called one at a time; nil means nobody listens.
	Healthy func(p Part)
	Said    func(name, line string)
	Ended   func(name string, err error)
	Back    func(p Part)

	mu sync.Mutex // Healthy, Said, Ended, Back
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
	// Gateway and Admin are the URLs of the gateway and of its operator's API,
	// Registry that of its registry for clients.
	Gateway, Admin, Registry string
	// Config is the gateway's file, Access its log of exchanges.
	Config, Access string
	// Parts are the services' processes, in the order of [Instances], and the
	// gateway last, as they were started first.
	Parts []Part

	run *run
}

// Instance is one process to start.
type Instance struct{ Service, Name string }

// Instances lists the processes of the services.
func Instances() []Instance {
	return []Instance{
		{"member", "member"},
		{"location", "location-1"},
		{"location", "location-2"},
		{"restaurant", "restaurant-1"},
		{"restaurant", "restaurant-2"},
		{"restaurant", "restaurant-3"},
		{"auction", "auction-1"},
		{"auction", "auction-2"},
		{"reward", "reward"},
	}
}

// Run starts everything, calls use once all parts are healthy, and stops
// everything when use returns. It returns when no process is left. A part that
// fails at the start is an error with the last lines of its log; a service that
// ends later is started again.
func (e *Estate) Run(ctx context.Context, use func(ctx context.Context, s Site) error) error {
	// The children are tied to the thread that starts them (Pdeathsig).
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r := &run{
		Estate: e, client: &http.Client{Timeout: 2 * time.Second, Transport: new(http.Transport)},
		onThread: make(chan func()), processes: make(map[string]*process),
	}
	defer r.client.CloseIdleConnections()
	site, err := r.start(ctx)
	if err == nil {
		watching, done := context.WithCancel(ctx)
		var alive sync.WaitGroup
		for _, part := range site.Parts {
			alive.Go(func() { r.keep(watching, part, site.Registry) })
		}
		used := make(chan error, 1)
		go func() { used <- use(ctx, site) }()
		err = r.serve(used)
		done()
		alive.Wait()
	}
	return errors.Join(err, r.stop())
}

// run is one run of an Estate.
type run struct {
	*Estate
	client   *http.Client
	onThread chan func() // what must be done on the thread that starts processes

	procMu    sync.Mutex
	processes map[string]*process // by part, the latest of each
}

// serve does what must be done on this thread until the estate is not used any
// more.
func (r *run) serve(used <-chan error) error {
	for {
		select {
		case f := <-r.onThread:
			f()
		case err := <-used:
			return err
		}
	}
}

// find gives the process of a part that runs now, or nil.
func (r *run) find(part string) *process {
	r.procMu.Lock()
	defer r.procMu.Unlock()
	return r.processes[part]
}

// spawn starts the process of a part. It must run on the estate's thread.
func (r *run) spawn(part string, cmd *exec.Cmd) (*process, error) {
	p, err := start(part, cmd)
	if err != nil {
		return nil, err
	}
	r.procMu.Lock()
	defer r.procMu.Unlock()
	r.processes[part] = p
	return p, nil
}

// start starts the gateway, whose registry the services need, then the services
// side by side.
func (r *run) start(ctx context.Context) (Site, error) {
	s := Site{Config: filepath.Join(r.Dir, "maru.yaml"), Access: filepath.Join(r.Dir, "access.log"), run: r}
	gateway, err := r.open(ctx, &s)
	if err != nil {
		return s, err
	}
	instances := Instances()
	s.Parts = make([]Part, len(instances), len(instances)+1)
	errs := make([]error, len(instances))
	var starting sync.WaitGroup
	for i, in := range instances {
		began := time.Now()
		p, err := r.spawn(in.Name, r.Service(Options{Name: in.Service, Instance: in.Name, Dir: r.Dir, Registry: s.Registry}))
		if err != nil {
			errs[i] = err
			break
		}
		starting.Go(func() {
			if s.Parts[i], errs[i] = r.await(ctx, p, in, s.Registry, began); errs[i] == nil {
				r.tell(r.Healthy, s.Parts[i])
			}
		})
	}
	starting.Wait()
	s.Parts = append(s.Parts, gateway)
	return s, errors.Join(errs...)
}

// await waits until a service is healthy and registered.
func (r *run) await(ctx context.Context, p *process, in Instance, registry string, began time.Time) (Part, error) {
	url, err := p.url(ctx)
	if err != nil {
		return Part{}, err
	}
	if err := p.healthy(ctx, r.client, url+"/health"); err != nil {
		return Part{}, err
	}
	if err := p.healthy(ctx, r.client, registry+"/apps/"+strings.ToUpper(in.Service)+"/"+in.Name); err != nil {
		return Part{}, fmt.Errorf("the registry does not know it: %w", err)
	}
	return Part{Name: in.Name, Service: in.Service, URL: url, PID: p.cmd.Process.Pid, Took: time.Since(began)}, nil
}

// open writes the gateway's file and starts the gateway.
func (r *run) open(ctx context.Context, s *Site) (Part, error) {
	for _, l := range []struct {
		url  *string
		port int
		path string
	}{{&s.Gateway, r.Port, ""}, {&s.Admin, r.AdminPort, ""}, {&s.Registry, r.RegistryPort, "/eureka"}} {
		port, err := freePort(ctx, l.port)
		if err != nil {
			return Part{}, err
		}
		*l.url = "http://127.0.0.1:" + strconv.Itoa(port) + l.path
	}
	if err := os.WriteFile(s.Config, Config(*s), 0o644); err != nil { //nolint:gosec // it holds no secret
		return Part{}, fmt.Errorf("write the gateway's configuration: %w", err)
	}
	began := time.Now()
	p, err := r.spawn(gatewayPart, r.Gateway(s.Config))
	if err != nil {
		return Part{}, err
	}
	if err := p.healthy(ctx, r.client, s.Gateway+"/"); err != nil {
		return Part{}, err
	}
	part := Part{Name: gatewayPart, URL: s.Gateway, PID: p.cmd.Process.Pid, Took: time.Since(began)}
	r.tell(r.Healthy, part)
	return part, nil
}

// gatewayPart is the gateway's name among the parts.
const gatewayPart = "gateway"

func (r *run) tell(whom func(Part), p Part) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if whom != nil {
		whom(p)
	}
}

// How long a service that ended stays away: doubled each time, from the first
// on, unless it ran for a while.
const (
	restartWait = 500 * time.Millisecond
	longestWait = 8 * time.Second
	ranWell     = 20 * time.Second
)

// keep tells what a part logs and when it ends before it should, and starts a
// service that ended again, at the same address. The gateway's end is the
// caller's to judge.
func (r *run) keep(ctx context.Context, part Part, registry string) {
	for wait := restartWait; ; wait = min(2*wait, longestWait) {
		began := time.Now()
		why := r.watch(ctx, r.find(part.Name))
		if why == nil {
			return
		}
		r.mu.Lock()
		if r.Ended != nil {
			r.Ended(part.Name, why)
		}
		r.mu.Unlock()
		if part.Service == "" {
			return
		}
		if time.Since(began) > ranWell {
			wait = restartWait
		}
		pause := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
		r.again(ctx, part, registry)
	}
}

// watch tells what a process logs, until it ends or ctx does; only in the first
// case it gives the reason.
func (r *run) watch(ctx context.Context, p *process) error {
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
		return nil
	case <-p.done:
		return p.ended()
	}
}

// again starts a service that ended. What goes wrong is seen by who watches it:
// the process ends, and is started again.
func (r *run) again(ctx context.Context, part Part, registry string) {
	o := Options{
		Name: part.Service, Instance: part.Name, Dir: r.Dir, Registry: registry, Address: strings.TrimPrefix(part.URL, "http://"),
	}
	began, started := time.Now(), make(chan error, 1)
	select {
	case <-ctx.Done():
		return
	case r.onThread <- func() {
		_, err := r.spawn(part.Name, r.Service(o))
		started <- err
	}:
	}
	if err := <-started; err != nil {
		return
	}
	if now, err := r.await(ctx, r.find(part.Name), Instance{part.Service, part.Name}, registry, began); err == nil {
		r.tell(r.Back, now)
	}
}

// stop ends the gateway, so that nothing comes in any more, then the services
// side by side.
func (r *run) stop() error {
	r.procMu.Lock()
	defer r.procMu.Unlock()
	var errs []error
	if gateway := r.processes[gatewayPart]; gateway != nil {
		errs = append(errs, gateway.stop())
		delete(r.processes, gatewayPart)
	}
	ended := make(chan error, len(r.processes))
	for _, p := range r.processes {
		go func() { ended <- p.stop() }()
	}
	for range r.processes {
		errs = append(errs, <-ended)
	}
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
