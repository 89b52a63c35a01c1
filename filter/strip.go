package filter

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// Strip cuts the beginning of the path before the service sees it. A path that
// does not have it gives 404: what was not cut is never forwarded.
// Short forms: a number of segments, or a literal path.
type Strip struct {
	// Segments is how many leading segments are cut (no default; this or prefix).
	Segments int `yaml:"segments"`
	// Prefix is a literal path that is cut, on whole segments (no default; this or segments).
	Prefix string `yaml:"prefix"`
}

// UnmarshalText reads "1" or "/api".
func (c *Strip) UnmarshalText(text []byte) error {
	if n, err := strconv.Atoi(string(text)); err == nil {
		c.Segments = n
		return nil
	}
	if len(text) == 0 || text[0] != '/' {
		return fmt.Errorf("%q is neither a number of segments nor a path; write strip: 1 or strip: /api", text)
	}
	c.Prefix = string(text)
	return nil
}

// Filter is the constructor.
func (c *Strip) Filter(Env) (Filter, error) {
	var f faults
	prefix := ""
	switch {
	case c.Prefix != "" && c.Segments != 0:
		f.at("segments", "segments and prefix exclude each other").WithFix("keep one of them")
	case c.Prefix != "":
		prefix = strings.TrimRight(f.literalPath("prefix", c.Prefix), "/")
		if prefix == "" && len(f) == 0 {
			f.at("prefix", "there is nothing to cut").WithFix("remove the filter, or name a path such as /api")
		}
	case c.Segments < 1:
		f.at("segments", "strip needs a number of segments from 1 on, or a prefix").WithFix("write strip: 1 or strip: /api")
	}
	if err := f.join(); err != nil {
		return nil, err
	}
	segments := c.Segments
	return func(next Func) Func {
		return func(r *message.Request) (*message.Response, error) {
			n := cutSegments(r.Path, segments)
			if prefix != "" {
				n = cutPrefix(r.Path, prefix)
			}
			if n < 0 {
				return nil, problem.New(404, "strip", "the path does not have the part that this route cuts")
			}
			// X-Forwarded-Prefix ends up in links: "//a" would name a host there.
			cut := r.Path[leadingSlashes(r.Path[:n]):n]
			if err := setPath(r, r.Path[n:]); err != nil {
				return nil, err
			}
			if r.X.Stripped != "" { // a strip before this one
				b := append(r.X.Scratch(len(r.X.Stripped)+len(cut)), r.X.Stripped...)
				cut = message.View(append(b, cut...))
			}
			r.X.Stripped = cut
			return next(r)
		}
	}, nil
}

// cutSegments gives the length of the first n segments, or -1 when there are
// fewer. Empty segments do not count: "//a" and "/a" lose the same.
func cutSegments(path string, n int) int {
	i := 0
	for range n {
		for i < len(path) && path[i] == '/' {
			i++
		}
		if i == len(path) {
			return -1
		}
		for i < len(path) && path[i] != '/' {
			i++
		}
	}
	return i
}

// leadingSlashes tells how many slashes too many a path begins with.
func leadingSlashes(path string) int {
	i := 0
	for i+1 < len(path) && path[i] == '/' && path[i+1] == '/' {
		i++
	}
	return i
}

func cutPrefix(path, prefix string) int {
	if strings.HasPrefix(path, prefix) && (len(path) == len(prefix) || path[len(prefix)] == '/') {
		return len(prefix)
	}
	return -1
}
