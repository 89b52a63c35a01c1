package edge

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// filesSettle lets the writes of one change come together: a certificate and
	// its key are two files.
	filesSettle = 200 * time.Millisecond
	// filesLook is how often the files are looked at without being told, for file
	// systems that tell nothing.
	filesLook = time.Minute
)

// watchFiles calls changed when one of the files may have changed, until ctx
// ends. It watches folders, because a renamed file and a replaced symbolic link
// (a Kubernetes volume) are events of their folder.
func watchFiles(ctx context.Context, files []string, log *slog.Logger, changed func()) {
	var events chan fsnotify.Event
	var faults chan error
	var ours map[string]bool
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		log.Warn("certificate files are only looked at once a minute", "error", err)
	} else {
		defer func() { _ = notify.Close() }()
		events, faults = notify.Events, notify.Errors
		ours = follow(notify, files)
		changed() // what changed between reading the files and watching them
	}
	look := time.NewTicker(filesLook)
	defer look.Stop()
	var settled <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-events:
			// A log in the same folder is written to all the time; what replaces a
			// file or a link is told as another event.
			if e.Op&^(fsnotify.Write|fsnotify.Chmod) == 0 && !ours[filepath.Clean(e.Name)] {
				continue
			}
			if settled == nil {
				settled = time.After(filesSettle)
			}
			continue
		case err := <-faults: // an overflow: look
			log.Debug("watching certificate files", "error", err)
		case <-look.C:
		case <-settled:
		}
		settled = nil
		if notify != nil {
			ours = follow(notify, files) // links may lead elsewhere now
		}
		changed()
	}
}

// follow watches the folder of every file and of every link on the way to it,
// and gives the names of all of these.
func follow(notify *fsnotify.Watcher, files []string) map[string]bool {
	ours := make(map[string]bool)
	for _, path := range files {
		const mostLinks = 16
		for range mostLinks {
			ours[filepath.Clean(path)] = true
			next, err := os.Readlink(path)
			if err != nil {
				break
			}
			if !filepath.IsAbs(next) {
				next = filepath.Join(filepath.Dir(path), next)
			}
			path = next
		}
		if at, err := filepath.EvalSymlinks(path); err == nil {
			ours[at] = true
		}
	}
	want := make(map[string]bool)
	for path := range ours {
		want[filepath.Dir(path)] = true
		_ = notify.Add(filepath.Dir(path)) // one that is gone comes back with the next look
	}
	for _, folder := range notify.WatchList() {
		if !want[folder] {
			_ = notify.Remove(folder) // it may be gone already
		}
	}
	return ours
}
