package admin

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"time"
)

// profiles puts the profiles of runtime/pprof under the paths that go tool
// pprof expects. net/http/pprof would do, but importing it also puts them on
// http.DefaultServeMux, whoever serves that.
func profiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/{$}", listProfiles)
	mux.HandleFunc("GET /debug/pprof/profile", timed("cpu.pprof", pprof.StartCPUProfile, pprof.StopCPUProfile, 30*time.Second))
	mux.HandleFunc("GET /debug/pprof/trace", timed("trace.out", trace.Start, trace.Stop, time.Second))
	mux.HandleFunc("GET /debug/pprof/{name}", profile)
}

func listProfiles(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	for _, p := range pprof.Profiles() {
		_, _ = fmt.Fprintf(w, "%8d  %s\n", p.Count(), p.Name())
	}
	_, _ = fmt.Fprint(w, "          profile?seconds=30\n          trace?seconds=1\n")
}

// profile writes one of the named profiles.
func profile(w http.ResponseWriter, r *http.Request) {
	p := pprof.Lookup(r.PathValue("name"))
	if p == nil {
		refuse(w, http.StatusNotFound, fmt.Sprintf("there is no profile %q", r.PathValue("name")))
		return
	}
	debug, _ := strconv.Atoi(r.FormValue("debug")) // anything else is 0
	if debug > 0 {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	} else {
		download(w, r.PathValue("name")+".pprof")
	}
	_ = p.WriteTo(w, debug) // the caller is gone
}

const longestProfile = 2 * time.Minute

// timed records for the time that the request asks for.
func timed(name string, start func(io.Writer) error, stop func(), usual time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		d := usual
		if s := r.FormValue("seconds"); s != "" {
			sec, err := strconv.ParseFloat(s, 64)
			if err != nil || sec <= 0 || sec > longestProfile.Seconds() {
				refuse(w, http.StatusBadRequest, fmt.Sprintf("seconds=%s is not a number up to %g", s, longestProfile.Seconds()))
				return
			}
			d = time.Duration(sec * float64(time.Second))
		}
		download(w, name)
		if err := start(w); err != nil {
			w.Header().Del("Content-Disposition")
			refuse(w, http.StatusConflict, errors.Join(errors.New("a profile is being taken already"), err).Error())
			return
		}
		defer stop()
		select {
		case <-time.After(d):
		case <-r.Context().Done():
		}
	}
}

func download(w http.ResponseWriter, name string) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	w.Header().Set("X-Content-Type-Options", "nosniff")
}
