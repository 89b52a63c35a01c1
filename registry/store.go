package registry

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// The last good copy is one file of lines, "CRC JSON", each the newest state of
// one instance; of an instance that came twice the last line counts.
const (
	copyName     = "registry.log"
	syncEvery    = 100 * time.Millisecond
	rewriteEvery = 10 * time.Minute
	rewriteSize  = 64 << 20
	maxLine      = 256 << 10
)

// stored is one line of the copy.
type stored struct {
	App      string          `json:"app"`
	ID       string          `json:"id"`
	Override string          `json:"override,omitempty"`
	Instance json.RawMessage `json:"instance,omitempty"` // none: it is gone
}

// keeper writes the copy. Only its own goroutine uses it.
type keeper struct {
	g         *Registry
	dir       string
	file      *os.File
	size      int64
	whole     int64 // its size when it was last written anew
	rewritten time.Duration
}

// openCopy opens the copy under dir and loads what it holds into the registry.
func (g *Registry) openCopy(dir string) (*keeper, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the registry's data folder: %w", err)
	}
	name := filepath.Join(dir, copyName)
	g.mu.RLock()
	known := maps.Clone(g.records)
	g.mu.RUnlock()
	if err := g.load(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("load the registry's copy: %w", err)
	}
	if stale, err := filepath.Glob(filepath.Join(dir, copyName+".*")); err == nil {
		for _, name := range stale { // half written when a process before us was killed
			_ = os.Remove(name)
		}
	}
	k := &keeper{g: g, dir: dir}
	if err := k.open(); err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.altered = make(map[key]struct{})
	for name := range known { // what came another way may not be in the file
		g.altered[name] = struct{}{}
	}
	return k, nil
}

func (k *keeper) open() error {
	f, err := os.OpenFile(filepath.Join(k.dir, copyName), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the registry's copy: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("open the registry's copy: %w", err), f.Close())
	}
	k.file, k.size, k.whole, k.rewritten = f, info.Size(), info.Size(), k.g.env.Elapsed()
	return nil
}

// load reads the copy. A line that is not whole ends it: what comes after can't
// be trusted, and is cut off. Every lease begins anew, so that nobody is evicted
// for the time that we were away.
func (g *Registry) load(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0) //nolint:gosec // the operator names the folder
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	newest := make(map[key]stored)
	in := bufio.NewReaderSize(f, maxLine)
	var good int64
	for {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			break
		}
		s, ok := parseLine(line)
		if err != nil || !ok {
			g.totals.damaged.Add(1)
			g.env.Log.Warn("the registry's copy is damaged; it is cut there", "file", name, "at", good)
			if err := f.Truncate(good); err != nil {
				return err
			}
			break
		}
		good += int64(len(line))
		newest[key{s.App, s.ID}] = s
	}
	for k, s := range newest {
		if s.Instance != nil {
			g.revive(k, s)
		}
	}
	return nil
}

// parseLine reads a line of the copy; false when it is damaged.
func parseLine(line []byte) (stored, bool) {
	var s stored
	if len(line) < 10 || line[8] != ' ' || line[len(line)-1] != '\n' {
		return s, false
	}
	sum, err := strconv.ParseUint(string(line[:8]), 16, 32)
	body := line[9 : len(line)-1]
	if err != nil || uint32(sum) != crc32.ChecksumIEEE(body) || json.Unmarshal(body, &s) != nil {
		return s, false
	}
	return s, true
}

// revive takes an instance of the copy in as it was, with a new lease.
func (g *Registry) revive(k key, s stored) {
	p := new(posted)
	wall := g.wall()
	if json.Unmarshal(s.Instance, p) != nil {
		return
	}
	in := p.instance(wall)
	in.App, in.ID = k.app, k.id
	in.clamp()
	if in.check("") != nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.records[k] != nil || len(g.records) >= g.cfg.Load().MaxInstances {
		return
	}
	if value, ok := parseStatus(s.Override); ok && s.Override != "" {
		g.overrides[k] = &override{status: value}
	}
	g.put(nil, in, g.newLease(in, nil, g.env.Elapsed(), wall), Added)
	g.expected += 60 / float64(in.RenewalSecs)
}

// line is the state of one instance as a line.
func (g *Registry) line(k key) ([]byte, error) {
	g.mu.RLock()
	rec, o := g.records[k], g.overrides[k]
	g.mu.RUnlock()
	s := stored{App: k.app, ID: k.id}
	if rec != nil {
		s.Instance = appendJSON(nil, rec.Instance, rec.lease.wall.Load(), style{})
		if o != nil {
			s.Override = o.status.String()
		}
	}
	body, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	line := fmt.Appendf(make([]byte, 0, len(body)+10), "%08x ", crc32.ChecksumIEEE(body))
	return append(append(line, body...), '\n'), nil
}

// run writes what changed until ctx ends, and then what is left.
func (k *keeper) run(ctx context.Context) {
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	for failed := false; ; {
		ended := false
		select {
		case <-ctx.Done():
			ended = true
		case <-tick.C:
		}
		err := k.flush()
		if err == nil && !ended && (k.size > max(rewriteSize, 2*k.whole) || k.g.env.Elapsed()-k.rewritten > rewriteEvery) {
			err = k.rewrite()
		}
		if err != nil && !failed {
			k.g.env.Log.Error("the registry's copy can't be written; memory goes on", "error", err)
		}
		failed = err != nil
		if ended {
			_ = k.file.Close()
			return
		}
	}
}

// flush appends the newest state of all that changed. What could not be written
// stays noted.
func (k *keeper) flush() error {
	g := k.g
	g.mu.Lock()
	altered := g.altered
	if len(altered) > 0 {
		g.altered = make(map[key]struct{})
	}
	g.mu.Unlock()
	if len(altered) == 0 {
		return nil
	}
	var text []byte
	for name := range altered {
		line, err := g.line(name)
		if err != nil {
			return err
		}
		text = append(text, line...)
	}
	n, err := k.file.Write(text)
	k.size += int64(n)
	if err == nil {
		err = k.file.Sync()
	}
	if err != nil {
		g.mu.Lock()
		for name := range altered {
			g.altered[name] = struct{}{}
		}
		g.mu.Unlock()
	}
	return err
}

// rewrite replaces the file by one with the present state only.
func (k *keeper) rewrite() error {
	k.rewritten = k.g.env.Elapsed()
	f, err := os.CreateTemp(k.dir, copyName+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already when all went well
	if err := errors.Join(k.g.writeAll(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(k.dir, copyName)); err != nil {
		return err
	}
	_ = k.file.Close()
	return k.open()
}

// writeAll writes the present state of every instance.
func (g *Registry) writeAll(w io.Writer) error {
	g.mu.RLock()
	keys := make([]key, 0, len(g.records))
	for k := range g.records {
		keys = append(keys, k)
	}
	g.mu.RUnlock()
	out := bufio.NewWriter(w)
	for _, k := range keys {
		line, err := g.line(k)
		if err != nil {
			return err
		}
		if _, err := out.Write(line); err != nil {
			return err
		}
	}
	return out.Flush()
}
