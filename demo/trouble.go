package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"syscall"
	"time"
)

// Trouble is what can befall an instance.
type Trouble string

// The troubles. Kill and Hang come from outside; the others a service has when
// it is told to, as one that is ill would.
const (
	// Kill ends the process at once; the estate starts it again.
	Kill Trouble = "kill"
	// Hang stops the process: the system still accepts connections for it, and
	// nobody answers.
	Hang Trouble = "hang"
	// Slow makes every answer take half a second longer.
	Slow Trouble = "slow"
	// Fail makes every answer a 503.
	Fail Trouble = "fail"
	// Refuse closes the port and all connections.
	Refuse Trouble = "refuse"
	// None is the end of all others.
	None Trouble = ""
)

const slowBy = 500 * time.Millisecond

// Happens says what an instance in trouble does, as in "auction-1 hangs".
func (t Trouble) Happens() string {
	switch t {
	case Kill:
		return "is killed"
	case Hang:
		return "hangs"
	case Slow:
		return "is slow"
	case Fail:
		return "answers 503"
	case Refuse:
		return "refuses connections"
	case None:
	}
	return "is well"
}

// trouble lets the service have a trouble, or none.
func (d *door) trouble(ctx context.Context, t Trouble) error {
	switch t {
	case Slow, Fail, Refuse, None:
	default:
		return fmt.Errorf("there is no trouble %q", t)
	}
	d.mu.Lock()
	d.now = t
	d.mu.Unlock()
	if t == Refuse {
		return d.shut()
	}
	return d.open(ctx)
}

// ServeHTTP lets a request in, or what the trouble leaves of it.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	now := d.now
	d.mu.Unlock()
	switch now {
	case Fail:
		d.service.write(w, http.StatusServiceUnavailable, Failure{Error: d.service.name + " is not well"})
		return
	case Slow:
		timer := time.NewTimer(slowBy)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	case Kill, Hang, Refuse, None:
	}
	d.service.ServeHTTP(w, r)
}

// Befall lets an instance have a trouble until [Site.Heal].
func (s *Site) Befall(instance string, t Trouble) error {
	return s.run.befall(instance, t)
}

// Heal ends the trouble of an instance. One that was killed needs none: the
// estate starts it again.
func (s *Site) Heal(instance string) error {
	return s.run.befall(instance, None)
}

func (r *run) befall(instance string, t Trouble) error {
	p := r.find(instance)
	if p == nil {
		return fmt.Errorf("there is no instance %q", instance)
	}
	var err error
	switch t {
	case Kill:
		err = p.cmd.Process.Kill()
	case Hang:
		err = p.cmd.Process.Signal(syscall.SIGSTOP)
	case None:
		err = errors.Join(p.cmd.Process.Signal(syscall.SIGCONT), p.tell(None))
	case Slow, Fail, Refuse:
		err = p.tell(t)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", instance, t.Happens(), err)
	}
	return nil
}

// tell gives a service its trouble.
func (p *process) tell(t Trouble) error {
	_, err := fmt.Fprintln(p.stdin, t)
	return err
}
