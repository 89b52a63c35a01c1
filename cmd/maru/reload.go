package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/maru-msa/maru/admin"
	"github.com/maru-msa/maru/config"
	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/edge"
)

// reload makes the newest configuration live, or leaves the running one; by
// says what asked for it. How it went is one line in the log and is kept in
// the status.
func (g *gateway) reload(by string) admin.Reload {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.reloadLocked(by)
}

// reloadLocked is reload for who holds g.mu.
func (g *gateway) reloadLocked(by string) admin.Reload {
	// The collector would take a third of the time. It waits for a moment in which
	// the heap grows by what a configuration needs, which the file's limits bound,
	// and runs at once after it: a gateway at work allocates too little to start it.
	percent := debug.SetGCPercent(-1)
	defer func() {
		debug.SetGCPercent(percent)
		go runtime.GC()
	}()
	r := admin.Reload{At: time.Now(), By: by}
	if g.status.Draining() {
		r.Err = errors.New("this process is about to end")
		return r
	}
	file, findings := g.load()
	r.Hash = hashOf(file.Source.Text)
	var rt *edge.Runtime
	check := config.Checker{Brief: by != "start", Build: func(f *config.File) (err error) {
		rt, err = edge.Build(f.Config, g.envOf(f), g.server.Runtime())
		return err
	}}
	r.Findings = check.Check(file, findings)
	if g.file == nil {
		g.file = file // what findings of the first load are printed with
	}
	if errs, _ := diag.Count(r.Findings); errs == 0 && rt != nil {
		r.Err = g.swap(rt, file)
		if r.Err == nil {
			r.Version = rt.Version
		}
	}
	r.Took = time.Since(r.At)
	g.status.Loaded(r)
	g.tell(&r)
	if !r.Refused() && by != "start" {
		g.proveLater(file, findings, r.Version)
	}
	return r
}

// afterwards is how long a configuration is live before the proofs run that it
// did not wait for; a further change puts them off.
const afterwards = time.Second

// proveLater looks for routes that take no request, which takes longer than a
// change may take to be live. What it finds are warnings: they are shown by the
// admin API and told once.
func (g *gateway) proveLater(file *config.File, loaded []diag.Finding, version int) {
	if g.proving != nil {
		g.proving.Stop()
	}
	g.proving = time.AfterFunc(afterwards, func() {
		all := config.Checker{Build: func(*config.File) error { return nil }}.Check(file, loaded)
		g.status.Warn(version, all)
		if len(all) > 0 {
			g.env.Log.Warn("the live configuration has warnings", "version", version, "warnings", len(all), "first", all[0].String())
		}
	})
}

// envOf is what the file says about the house.
func (g *gateway) envOf(f *config.File) edge.Env {
	env := g.env
	env.Zone = f.Zone
	if f.SecretFile == "" {
		return env
	}
	// Check has read the file too, and tells when it can't be.
	if secret, err := os.ReadFile(f.SecretFile); err == nil {
		env.Key = []byte(strings.TrimSpace(string(secret)))
	}
	return env
}

// swap makes rt live, together with what the file says besides.
func (g *gateway) swap(rt *edge.Runtime, file *config.File) error {
	if err := g.follow(file); err != nil {
		return err
	}
	if !g.plain {
		g.recorder.Declare(rt.RouteNames(), rt.ServiceNames())
	}
	if err := g.server.Swap(rt); err != nil {
		return errors.Join(err, g.follow(g.file))
	}
	g.file = file
	g.live.Store(file)
	return nil
}

// follow applies the settings of the file that are not the edge's.
func (g *gateway) follow(file *config.File) error {
	if err := g.level.UnmarshalText([]byte(file.Log.Level)); err != nil {
		return err
	}
	if err := g.desk.follow(&file.Admin); err != nil {
		return err
	}
	if err := g.registrar.follow(file.Registry); err != nil {
		return err
	}
	g.turbine.Configure(file.Turbine)
	if g.plain || file.Log.Access == g.target.Name() {
		return nil
	}
	if err := g.target.Open(file.Log.Access); err != nil {
		return err
	}
	g.recorder.Log.Mute(file.Log.Access == "off")
	return nil
}

// reopen opens the access log again, after its file was moved away.
func (g *gateway) reopen() {
	if g.plain {
		return
	}
	if err := g.target.Open(g.target.Name()); err != nil {
		g.env.Log.Error("the access log stays where it was", "error", err)
	}
}

// tell writes the log line of a reload.
func (g *gateway) tell(r *admin.Reload) {
	took := slog.Duration("took", r.Took.Round(time.Microsecond))
	if !r.Refused() {
		g.env.Log.Info("configuration live", "version", r.Version, "hash", r.Hash, "by", r.By, took)
		return
	}
	if r.By == "start" {
		return // it is printed in full
	}
	errs, _ := diag.Count(r.Findings)
	line := []any{"by", r.By, "errors", errs, took}
	if i := slices.IndexFunc(r.Findings, func(f diag.Finding) bool { return f.Severity == diag.Error }); i >= 0 {
		line = append(line, "first", r.Findings[i].String())
	}
	if r.Err != nil {
		line = append(line, "error", r.Err)
	}
	g.env.Log.Error("reload refused; the running configuration stays", line...)
}

// fileChanged loads the file again, unless that was done already: it is told of
// the file as it is when the watching begins, and somebody may have been quicker,
// or be at it.
func (g *gateway) fileChanged() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if text, err := os.ReadFile(g.watch); err == nil && hashOf(text) == g.status.Last().Hash {
		return
	}
	g.reloadLocked("file")
}

// namedFiles are those that the live configuration was built from besides its own.
func (g *gateway) namedFiles() []edge.File { return g.server.Runtime().Files() }

// namedFileChanged loads the file again because another one that it names has changed.
func (g *gateway) namedFileChanged(name string) {
	g.env.Log.Info("a file that the configuration names has changed", "file", name)
	g.reload("file")
}

// hashOf names the text of a file in a few digits.
func hashOf(text []byte) string {
	if len(text) == 0 {
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:6])
}
