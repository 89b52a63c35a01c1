package config

import (
	"context"
	"os"
	"time"

	"github.com/maru-msa/maru/edge"
)

// NamedFiles are the files that a configuration names: contracts, protocols, trusted
// documents. Run tells when one of them changes. It asks for their times instead of
// being told, which works on every file system: a change of theirs is not as urgent
// as one of the configuration itself.
type NamedFiles struct {
	// List gives those of the live configuration. A file that is not there is no
	// fault; a folder changes with what it holds.
	List func() []edge.File
	// Changed is told of a file that is another one than what was read of it.
	Changed func(name string)
	// Every is how often they are looked at; a change must be as old, so that
	// nobody is in the middle of it. 0 means a second.
	Every time.Duration
}

// Run looks until ctx ends; it returns nil then.
func (n NamedFiles) Run(ctx context.Context) error {
	if n.Every == 0 {
		n.Every = time.Second
	}
	seen := make(map[string]time.Time)
	tick := time.NewTicker(n.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			if name := n.look(seen, now); name != "" {
				n.Changed(name)
			}
		}
	}
}

// look gives a file that has changed, or "". What it has seen of each file is kept
// in seen, so that a change which made nothing live is not told again and again.
func (n NamedFiles) look(seen map[string]time.Time, now time.Time) (changed string) {
	for _, f := range n.List() {
		info, err := os.Stat(f.Name)
		if err != nil {
			continue // it is being replaced, perhaps
		}
		at := info.ModTime()
		if at.Equal(f.Modified) || at.Equal(seen[f.Name]) || now.Sub(at) < n.Every {
			continue
		}
		seen[f.Name] = at
		changed = f.Name
	}
	return changed
}
