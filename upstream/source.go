package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// newSource makes the source of the definition; nil when the endpoints are in it.
func newSource(c *Cluster) Source {
	switch {
	case c.cfg.DNS != nil:
		return &dnsSource{cfg: *c.cfg.DNS, tls: c.cfg.TLS != nil, failed: c.sourceFailed, float: c.env.Float}
	case c.cfg.File != "":
		return &fileSource{file: c.cfg.File, failed: c.sourceFailed}
	case c.cfg.Registry != nil && len(c.cfg.Registry.servers()) > 0:
		remotes := c.env.Remotes
		if remotes == nil {
			remotes = new(Remotes)
		}
		return &eurekaSource{name: strings.ToUpper(c.cfg.Registry.Name), cluster: c, remotes: remotes, wake: make(chan struct{}, 1)}
	case c.cfg.Registry != nil:
		return &registrySource{cfg: *c.cfg.Registry, registry: c.env.Registry}
	}
	return nil
}

const (
	// maxFile is the largest endpoint file.
	maxFile = 4 << 20
	// settle joins a burst of changes, such as truncate and write.
	settle = 50 * time.Millisecond
	// reread is how often the file is read anyway: some file systems tell of
	// nothing.
	reread = 30 * time.Second
)

// fileSource reads endpoints from a file and follows its changes. It watches
// the folder, since editors and Kubernetes replace files by renaming.
type fileSource struct {
	file   string
	failed func(error)
}

// Run reads the file now and after each change. A file that can't be read or
// holds a fault is reported and changes nothing.
func (s *fileSource) Run(ctx context.Context, set func([]Addr) error) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watching %s: %w", s.file, err)
	}
	defer func() { _ = w.Close() }()
	if err := w.Add(filepath.Dir(s.file)); err != nil {
		return fmt.Errorf("watching the folder of %s: %w", s.file, err)
	}
	var last []byte
	load := func() {
		data, err := readLimited(s.file)
		if err == nil && (last == nil || !bytes.Equal(data, last)) {
			var addrs []Addr
			if addrs, err = parseEndpoints(data); err == nil {
				err = set(addrs)
			}
			if err == nil {
				last = data
			}
		}
		if err != nil {
			s.failed(fmt.Errorf("%s: %w", s.file, err))
		}
	}
	load()
	timer := time.NewTimer(reread)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case ev, ok := <-w.Events:
			if !ok {
				return errors.New("the watch ended")
			}
			// Kubernetes swaps a link named ..data, which our file goes through.
			name := filepath.Base(ev.Name)
			if name == filepath.Base(s.file) || strings.HasPrefix(name, "..") {
				timer.Reset(settle)
			}
		case err := <-w.Errors:
			s.failed(fmt.Errorf("watching %s: %w", s.file, err))
		case <-timer.C:
			load()
			timer.Reset(reread)
		}
	}
}

func readLimited(file string) ([]byte, error) {
	f, err := os.Open(file) //nolint:gosec // the operator's file
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("larger than %d bytes", maxFile)
	}
	return data, err
}

// parseEndpoints reads a JSON array of URLs or of {url, zone, weight, meta}, or
// plain text with one URL a line, where # begins a comment. It checks every
// entry and reports the first bad one with its place.
func parseEndpoints(data []byte) ([]Addr, error) {
	data = bytes.TrimSpace(data)
	var entries []EndpointConfig
	var err error
	if len(data) > 0 && data[0] == '[' {
		entries, err = parseJSONEndpoints(data)
	} else {
		entries = parsePlainEndpoints(string(data))
	}
	if err != nil {
		return nil, err
	}
	if len(entries) > maxEndpoints {
		return nil, fmt.Errorf("%d endpoints are more than %d", len(entries), maxEndpoints)
	}
	addrs := make([]Addr, 0, len(entries))
	for i, e := range entries {
		if _, err := parseTarget(e.URL); err != nil {
			return nil, fmt.Errorf("endpoint %d: %w", i+1, err)
		}
		if e.Weight < 0 || e.Weight > maxWeight {
			return nil, fmt.Errorf("endpoint %d: weight %d is not between 1 and %d", i+1, e.Weight, maxWeight)
		}
		addrs = append(addrs, Addr(e))
	}
	return addrs, nil
}

func parseJSONEndpoints(data []byte) ([]EndpointConfig, error) {
	var raw []json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, fmt.Errorf("not a JSON array: %w", err)
	}
	entries := make([]EndpointConfig, len(raw))
	for i, r := range raw {
		if r[0] == '"' {
			_ = json.Unmarshal(r, &entries[i].URL) // valid JSON already
			continue
		}
		// plain keeps the decoder from taking UnmarshalText.
		type plain EndpointConfig
		d := json.NewDecoder(bytes.NewReader(r))
		d.DisallowUnknownFields()
		if err := d.Decode((*plain)(&entries[i])); err != nil {
			return nil, fmt.Errorf("endpoint %d: %w", i+1, err)
		}
	}
	return entries, nil
}

func parsePlainEndpoints(text string) []EndpointConfig {
	var entries []EndpointConfig
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line != "" {
			entries = append(entries, EndpointConfig{URL: line})
		}
	}
	return entries
}

// joinHostPort makes a URL of what DNS knows.
func joinHostPort(tls bool, host, port string) string {
	scheme := "http://"
	if tls {
		scheme = "https://"
	}
	return scheme + net.JoinHostPort(host, port)
}
