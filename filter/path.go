package filter

import (
	"strings"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
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

// canonical gives the one form of a path: hex digits upper-case, unreserved
// octets decoded (RFC 3986 §6.2.2), then dot segments removed (§5.2.4). A path
// that has this form already is returned as it is.
func canonical(x *message.Exchange, path string) (string, error) {
	if path == "" || path[0] != '/' {
		return "", problem.New(400, "path_syntax", "the path does not start with a slash")
	}
	if isCanonical(path) {
		return path, nil
	}
	out, err := decodeUnreserved(x.Scratch(len(path)), path)
	if err != nil {
		return "", err
	}
	if out, err = removeDots(out); err != nil {
		return "", err
	}
	return message.View(out), nil
}

func isCanonical(path string) bool {
	for i := range len(path) {
		switch c := path[i]; {
		case c <= 0x20 || c >= 0x7F || c == '\\' || c == '?' || c == '#' || c == '%':
			return false
		case c == '/' && i+1 < len(path) && path[i+1] == '.':
			return false
		}
	}
	return !strings.HasPrefix(path, "//")
}

func decodeUnreserved(dst []byte, path string) ([]byte, error) {
	const digits = "0123456789ABCDEF"
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c <= 0x20 || c >= 0x7F || c == '\\' || c == '?' || c == '#' {
			return nil, problem.New(400, "path_octet", "the path holds an octet that must be percent-encoded")
		}
		if c != '%' {
			dst = append(dst, c)
			continue
		}
		if i+2 >= len(path) {
			return nil, problem.New(400, "percent", "a percent sign without two hex digits")
		}
		hi, lo := unhex(path[i+1]), unhex(path[i+2])
		if hi > 15 || lo > 15 {
			return nil, problem.New(400, "percent", "a percent sign without two hex digits")
		}
		i += 2
		v := hi<<4 | lo
		switch {
		case v < 0x20 || v == 0x7F:
			return nil, problem.New(400, "percent_control", "the path holds an encoded control character")
		case unreserved(v):
			dst = append(dst, v)
		default:
			dst = append(dst, '%', digits[hi], digits[lo])
		}
	}
	return dst, nil
}

// removeDots works in place: the result is never longer.
func removeDots(p []byte) ([]byte, error) {
	out := p[:0]
	for i := 0; i < len(p); {
		end := i + 1 // p[i] is a slash
		for end < len(p) && p[end] != '/' {
			end++
		}
		last := end == len(p)
		switch seg := p[i+1 : end]; {
		case len(seg) == 1 && seg[0] == '.':
			if last {
				out = append(out, '/')
			}
		case len(seg) == 2 && seg[0] == '.' && seg[1] == '.':
			if len(out) == 0 {
				return nil, problem.New(400, "path_above_root", "the path leads above its root")
			}
			for out[len(out)-1] != '/' {
				out = out[:len(out)-1]
			}
			out = out[:len(out)-1]
			if last {
				out = append(out, '/')
			}
		default:
			out = append(out, p[i:end]...)
		}
		i = end
	}
	for len(out) > 1 && out[0] == '/' && out[1] == '/' {
		out = out[1:]
	}
	if len(out) == 0 {
		out = append(out, '/')
	}
	return out, nil
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
