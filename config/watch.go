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
	// quiet is how long nothing may happen before a change is taken up.
	quiet = 2 * time.Millisecond
	// settle joins bursts: so long a change waits at most for quiet, and at
	// least after the one before it. Where it can't be known whether a writer is
	// still at work, every change waits as long.
	settle = 50 * time.Millisecond
	// slowWriter is how long a file may be open for writing before what it
	// holds is taken as it is.
	slowWriter = time.Second
	// lookAgain is how often the file is looked at without being told, for
	// file systems that tell nothing, such as NFS.
	lookAgain = 5 * time.Second
)

// Watch calls changed once when it has begun to look, since the file may have
// changed before, and then after each change of the file's content, from one
// goroutine, until ctx ends; it returns nil then. It sees writes in place, editors that
// replace the file, and a Kubernetes volume, whose files are symbolic links
// through a folder link that is replaced. A file that is missing or empty is in
// the middle of a change: the content that follows is what counts.
func Watch(ctx context.Context, path string, changed func()) error {
	return watcher{quiet: quiet, settle: settle, lookAgain: lookAgain}.run(ctx, path, changed)
}

type watcher struct {
	quiet, settle, lookAgain time.Duration

	ready func() // for tests: called when changes are seen from now on
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
	b := burst{watcher: w, path: path}
	changed()
	if w.ready != nil {
		w.ready()
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-notify.Events:
			if !ok {
				return fmt.Errorf("watch %s: the notifier stopped", path)
			}
			if !s.concerns(e) {
				continue
			}
			b.event(time.Now())
			continue
		case _, ok := <-notify.Errors: // an overflow: look
			if !ok {
				return fmt.Errorf("watch %s: the notifier stopped", path)
			}
		case <-tick.C:
		case <-b.due:
			if b.unfinished(time.Now()) {
				continue
			}
		}
		b.over(time.Now())
		s.follow()
		if now, whole := s.look(); whole && now != last {
			last = now
			changed()
		}
	}
}

// burst joins events into changes.
type burst struct {
	watcher

	path  string
	due   <-chan time.Time // when the change is taken up; nil without one
	first time.Time        // the first event of the change
	last  time.Time        // when the one before was taken up
}

// event notes that something happened: the change waits until it is quiet.
func (b *burst) event(now time.Time) {
	if b.due == nil {
		b.first = now
	}
	wait := min(b.quiet, b.first.Add(b.settle).Sub(now))
	b.due = time.After(max(wait, b.last.Add(b.settle).Sub(now)))
}

// unfinished tells whether the file is still being written, and waits on then.
func (b *burst) unfinished(now time.Time) bool {
	wait := b.quiet
	switch yes, known := beingWritten(b.path); {
	case !known:
		wait = b.first.Add(b.settle).Sub(now)
	case !yes, now.Sub(b.first) > slowWriter:
		return false
	}
	if wait <= 0 {
		return false
	}
	b.due = time.After(wait)
	return true
}

func (b *burst) over(now time.Time) { b.due, b.last = nil, now }

// sight looks at a file.
type sight struct {
	path    string
	seed    maphash.Seed
	notify  *fsnotify.Watcher
	folders map[string]bool
	files   map[string]bool // the path, and what it leads to link by link
}

// concerns tells whether an event may change what the path holds: anything but
// writing to a neighbour, such as a log file in the same folder.
func (s *sight) concerns(e fsnotify.Event) bool {
	return e.Op&^(fsnotify.Write|fsnotify.Chmod) != 0 || s.files[filepath.Clean(e.Name)]
}

// follow watches the folders that a change can happen in: that of the path, and
// those of every link on the way to the file itself. Folders, not the file,
// because a replaced file is another file.
func (s *sight) follow() {
	want := make(map[string]bool)
	s.files = make(map[string]bool)
	const mostLinks = 16
	for path, n := s.path, 0; n < mostLinks; n++ {
		want[filepath.Dir(path)] = true
		s.files[filepath.Clean(path)] = true
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
		s.files[target] = true
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
