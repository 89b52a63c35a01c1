package filter

import (
	"strings"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
	"github.com/maru-msa/maru/route"
)

// setPath makes path the path of r: collapsed to one leading slash, canonical,
// and checked again, because cutting and joining can give a form that the edge
// never saw ("%2" + "e", "/a" cut from "/a//evil").
func setPath(r *message.Request, path string) error {
	path = path[leadingSlashes(path):]
	if path == "" {
		path = "/"
	}
	p, err := canonical(&r.X, path)
	if err != nil {
		return err
	}
	r.Path = p
	return nil
}

// canonical gives the one form of a path, as the edge made it before the filters
// saw it, with one leading slash: "//host" is an address to a careless reader.
func canonical(x *message.Exchange, path string) (string, error) {
	p, _, err := route.CanonicalPath(x, path)
	if err != nil {
		return "", err //nolint:wrapcheck // a problem
	}
	return p[leadingSlashes(p):], nil
}

// literalPath checks a path written in the configuration and gives its canonical form.
func (f *faults) literalPath(field, path string) string {
	if path == "" || path[0] != '/' {
		f.at(field, "%q is not a path", path).WithFix("start it with a slash")
		return ""
	}
	var x message.Exchange
	p, err := canonical(&x, path)
	if err != nil {
		f.at(field, "%q: %s", path, problem.Of(err).Detail).WithFix("write the path as a client would send it, without query")
		return ""
	}
	if p != path {
		f.at(field, "%q is not in its canonical form", path).WithFix("write %s", p)
	}
	return strings.Clone(p)
}
