package telemetry

import (
	"errors"
	"fmt"
	"os"
	"sync"
)

// Target is where the access log goes: standard output, standard error, a file,
// or nowhere. A file is opened anew by [Target.Open], after a log rotation or a
// change of the configuration. The zero value drops everything.
type Target struct {
	mu   sync.Mutex
	name string
	file *os.File
}

// Open makes name the target: "stdout", "stderr", "off" or the path of a file,
// which is appended to. On an error the target stays what it was.
func (t *Target) Open(name string) error {
	var f *os.File
	switch name {
	case "off":
	case "stdout":
		f = os.Stdout
	case "stderr":
		f = os.Stderr
	default:
		var err error
		if f, err = os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640); err != nil { //nolint:gosec // the operator names the file, a group may read it
			return fmt.Errorf("open the access log: %w", err)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	_ = t.close() // whatever its last line met, there is nothing more to do
	t.name, t.file = name, f
	return nil
}

// Name is what Open was told last.
func (t *Target) Name() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.name
}

// Write writes whole lines. It holds no lock meanwhile, so that a stuck reader
// of standard output never keeps Open waiting.
func (t *Target) Write(p []byte) (int, error) {
	f := t.current()
	if f == nil {
		return len(p), nil
	}
	n, err := f.Write(p)
	if next := t.current(); errors.Is(err, os.ErrClosed) && next != nil && next != f {
		return next.Write(p) // it was opened anew in between
	}
	return n, err
}

func (t *Target) current() *os.File {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.file
}

// Close closes the file; what is written later is dropped.
func (t *Target) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	err := t.close()
	t.name, t.file = "off", nil
	return err
}

func (t *Target) close() error {
	if t.file == nil || t.file == os.Stdout || t.file == os.Stderr {
		return nil
	}
	return t.file.Close()
}
