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
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		log.Warn("certificate files are only looked at once a minute", "error", err)
	} else {
		defer func() { _ = notify.Close() }()
		events, faults = notify.Events, notify.Errors
		follow(notify, files)
		changed() // what changed between reading the files and watching them
	}
	look := time.NewTicker(filesLook)
	defer look.Stop()
	settled := time.NewTimer(time.Hour)
	settled.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-events:
			settled.Reset(filesSettle)
			continue
		case <-faults: //nolint:errcheck // an overflow: look
		case <-look.C:
		case <-settled.C:
		}
		if notify != nil {
			follow(notify, files) // links may lead elsewhere now
		}
		changed()
	}
}

// follow watches the folder of every file and of every link on the way to it.
func follow(notify *fsnotify.Watcher, files []string) {
	want := make(map[string]bool)
	for _, path := range files {
		const mostLinks = 16
		for range mostLinks {
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
		if at, err := filepath.EvalSymlinks(path); err == nil {
			want[filepath.Dir(at)] = true
		}
	}
	for folder := range want {
		_ = notify.Add(folder) // one that is gone comes back with the next look
	}
	for _, folder := range notify.WatchList() {
		if !want[folder] {
			_ = notify.Remove(folder) // it may be gone already
		}
	}
}
