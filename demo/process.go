package demo

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is one child.
type process struct {
	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser // a line is a [Trouble], its end the child's sign to end
	log   *tail
	said  chan string   // the first line of its standard output
	done  chan struct{} // closed when it has ended; err is set before
	err   error
}

// How long a child may take.
const (
	startTime = 15 * time.Second
	stopTime  = 8 * time.Second
)

// start starts a child. The calling thread must live as long as the child: on
// Linux, the child is killed with it.
func start(name string, cmd *exec.Cmd) (*process, error) {
	p := &process{name: name, cmd: cmd, log: new(tail), said: make(chan string, 1), done: make(chan struct{})}
	attach(cmd)
	cmd.Stderr = p.log
	cmd.WaitDelay = time.Second
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	p.stdin = stdin
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		defer close(p.done)
		lines := bufio.NewReader(stdout)
		if line, err := lines.ReadString('\n'); err == nil {
			p.said <- strings.TrimSpace(line)
		}
		_, _ = io.Copy(p.log, lines)
		p.err = cmd.Wait()
	}()
	return p, nil
}

// url waits for the address that the child says.
func (p *process) url(ctx context.Context) (string, error) {
	ctx, stop := context.WithTimeout(ctx, startTime)
	defer stop()
	select {
	case line := <-p.said:
		return line, nil
	case <-p.done:
		return "", p.ended()
	case <-ctx.Done():
		return "", fmt.Errorf("%s did not say its address: %w%s", p.name, context.Cause(ctx), p.log.last())
	}
}

// healthy waits until url answers with 200.
func (p *process) healthy(ctx context.Context, client *http.Client, url string) error {
	ctx, stop := context.WithTimeout(ctx, startTime)
	defer stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := answers(ctx, client, url)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return p.ended()
		case <-ctx.Done():
			return fmt.Errorf("%s is not healthy: %w%s", p.name, err, p.log.last())
		case <-tick.C:
		}
	}
}

// answers tells whether url answers with 200.
func answers(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, res.Body)
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, res.Status)
	}
	return nil
}

// ended says how a child ended by itself, with the last that it said. It may be
// called once the child is done.
func (p *process) ended() error {
	how := "without an error"
	if p.err != nil {
		how = p.err.Error()
	}
	return fmt.Errorf("%s (pid %d) ended: %s%s", p.name, p.cmd.Process.Pid, how, p.log.last())
}

// stop ends the child: by closing its input, and when that is not enough by
// force. One that was stopped goes on first.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGCONT)
	_ = p.stdin.Close()
	timer := time.NewTimer(stopTime)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
	}
	err := p.cmd.Process.Kill()
	<-p.done
	return errors.Join(fmt.Errorf("%s did not end within %s and was killed", p.name, stopTime), err)
}

// tail keeps the last lines of what is written to it, and passes lines on while
// somebody listens.
type tail struct {
	mu   sync.Mutex
	buf  []byte
	part []byte            // a line that has not ended yet
	tell func(line string) // nil while nobody listens
}

// listen passes every line from now on to tell, until tell is nil.
func (t *tail) listen(tell func(line string)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tell, t.part = tell, nil
}

const (
	tailBytes = 8 << 10
	tailLines = 8
)

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if over := len(t.buf) - tailBytes; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	if t.tell == nil {
		return len(b), nil
	}
	t.part = append(t.part, b...)
	for {
		line, rest, whole := bytes.Cut(t.part, []byte{'\n'})
		if !whole {
			break
		}
		t.tell(string(line))
		t.part = rest
	}
	if len(t.part) > tailBytes { // that is no line
		t.part = nil
	}
	return len(b), nil
}

// last gives the last lines, each indented on a line of its own; "" when there
// are none.
func (t *tail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := bytes.TrimSpace(t.buf)
	if len(text) == 0 {
		return ""
	}
	lines := strings.Split(string(text), "\n")
	lines = lines[max(0, len(lines)-tailLines):]
	return "\n  | " + strings.Join(lines, "\n  | ")
}
