package config

import (
	"context"
	"fmt"
	"hash/maphash"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is how long a change may take to be whole: writes of one burst
	// (an editor's truncate, write and rename; many files of one mount) count
	// as one change.
	settle = 50 * time.Millisecond
	// lookAgain is how often the file is looked at without being told, for
	// file systems that tell nothing, such as NFS.
	lookAgain = 5 * time.Second
)

// Watch calls changed after each change of a file's content, from one goroutine,
// until ctx ends; it returns nil then. It sees writes in place, editors that
// replace the file, and a Kubernetes volume, whose files are symbolic links
// through a folder link that is replaced. A file that is missing or empty is in
// the middle of a change: the content that follows is what counts.
func Watch(ctx context.Context, path string, changed func()) error {
	return watcher{settle: settle, lookAgain: lookAgain}.run(ctx, path, changed)
}

type watcher struct {
	settle, lookAgain time.Duration
	ready             func() // for tests: called when changes are seen from now on
}

func (w watcher) run(ctx context.Context, path string, changed func()) error {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %s: %w", path, err)
	}
	defer notify.Close() //nolint:errcheck // nothing was written
	s := sight{path: path, seed: maphash.MakeSeed(), notify: notify, folders: make(map[string]bool)}
	s.follow()
	last, _ := s.look()
	tick := time.NewTicker(w.lookAgain)
	defer tick.Stop()
	var pending <-chan time.Time
	if w.ready != nil {
		w.ready()
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-notify.Events:
			if !ok {
				return fmt.Errorf("watch %s: the notifier stopped", path)
			}
			if pending == nil {
				pending = time.After(w.settle)
			}
			continue
		case _, ok := <-notify.Errors: // an overflow: look
			if !ok {
				return fmt.Errorf("watch %s: the notifier stopped", path)
			}
		case <-tick.C:
		case <-pending:
		}
		pending = nil
		s.follow()
		if now, whole := s.look(); whole && now != last {
			last = now
			changed()
		}
	}
}

// sight looks at a file.
type sight struct {
	path    string
	seed    maphash.Seed
	notify  *fsnotify.Watcher
	folders map[string]bool
}

// follow watches the folders that a change can happen in: that of the path, and
// those of every link on the way to the file itself. Folders, not the file,
// because a replaced file is another file.
func (s *sight) follow() {
	want := make(map[string]bool)
	const mostLinks = 16
	for path, n := s.path, 0; n < mostLinks; n++ {
		want[filepath.Dir(path)] = true
		next, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(next) {
			next = filepath.Join(filepath.Dir(path), next)
		}
		path = next
	}
	if target, err := filepath.EvalSymlinks(s.path); err == nil {
		want[filepath.Dir(target)] = true
	}
	for folder := range want {
		// A folder that was removed and made again has lost its watch; adding
		// one that is watched changes nothing.
		if err := s.notify.Add(folder); err == nil {
			s.folders[folder] = true
		}
	}
	for folder := range s.folders {
		if !want[folder] {
			_ = s.notify.Remove(folder) // it may be gone already
			delete(s.folders, folder)
		}
	}
}

// look gives a hash of the content; not whole means missing, empty or unreadable.
func (s *sight) look() (hash uint64, whole bool) {
	text, err := readFile(s.path)
	if err != nil || len(text) == 0 {
		return 0, false
	}
	return maphash.Bytes(s.seed, text), true
}
