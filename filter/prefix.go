package filter

import (
	"strings"

	"github.com/maru-msa/maru/message"
)

// Prefix adds a literal path in front of the path. Short form: the path.
type Prefix struct {
	// Path is what is added (required); it starts with a slash.
	Path string `yaml:"path"`
}

// UnmarshalText reads the path.
func (c *Prefix) UnmarshalText(text []byte) error {
	c.Path = string(text)
	return nil
}

// Filter is the constructor.
func (c *Prefix) Filter(Env) (Filter, error) {
	var f faults
	prefix := f.literalPath("path", c.Path)
	if len(f) == 0 && strings.HasSuffix(prefix, "/") {
		if prefix == "/" {
			f.at("path", "there is nothing to add").WithFix("remove the filter, or name a path such as /v1")
		} else {
			f.at("path", "the path ends with a slash, which would stand twice").WithFix("write %s", strings.TrimRight(prefix, "/"))
		}
	}
	if err := f.join(); err != nil {
		return nil, err
	}
	return func(next Func) Func {
		return func(r *message.Request) (*message.Response, error) {
			b := append(r.X.Scratch(len(prefix)+len(r.Path)), prefix...)
			if err := setPath(r, message.View(append(b, r.Path...))); err != nil {
				return nil, err
			}
			return next(r)
		}
	}, nil
}
