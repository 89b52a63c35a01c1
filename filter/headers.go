package filter

import (
	"strings"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// Headers changes fields of requests and responses. In each rule the order is
// remove, rename, copy, replace, set, add, default, dedupe. Framing, Host and
// hop-by-hop fields belong to the engines and are refused at load. Response rules
// hold for maru's own error answers too (set, add and default).
type Headers struct {
	// Request changes what the service sees (default nothing).
	Request HeaderRule `yaml:"request"`
	// Response changes what the client sees (default nothing); with status only
	// for those.
	Response HeaderRule `yaml:"response"`
	// ByStatus are more rules for responses, each for its statuses (default none).
	ByStatus []HeaderRule `yaml:"by-status"`
}

// HeaderRule is one set of changes.
type HeaderRule struct {
	// Status limits a response rule: "404", "5xx", "500-504" (default all).
	Status []string `yaml:"status"`
	// Remove deletes every line of these names; a * at the end stands for any rest.
	Remove []string `yaml:"remove"`
	// Rename moves the lines of one name to another, which loses what it had.
	Rename map[string]string `yaml:"rename"`
	// Copy appends the lines of one name to those of another.
	Copy map[string]string `yaml:"copy"`
	// Replace changes what matches inside the values of a field.
	Replace map[string]HeaderEdit `yaml:"replace"`
	// Set replaces a field; values may hold placeholders such as {client}, and an
	// empty value removes the field.
	Set map[string]string `yaml:"set"`
	// Add appends a line; values may hold placeholders.
	Add map[string]string `yaml:"add"`
	// Default sets a field that is not there; values may hold placeholders.
	Default map[string]string `yaml:"default"`
	// Dedupe leaves of the lines of a field the "first", the "last", or each value
	// once ("unique").
	Dedupe map[string]string `yaml:"dedupe"`
}

// HeaderEdit changes the values of a field.
type HeaderEdit struct {
	// Pattern is a regular expression (RE2); every match is replaced (required).
	Pattern string `yaml:"pattern"`
	// With takes its place: $1 and ${name} insert captures, $$ is a dollar (default nothing).
	With string `yaml:"with"`
}

// Filter is the constructor.
func (c *Headers) Filter(Env) (Filter, error) {
	var f faults
	if len(c.Request.Status) > 0 {
		f.at("request.status", "a request has no status").WithFix("move the rule to response or by-status")
	}
	req := f.rule("request", &c.Request)
	var resp []headerOps
	if !c.Response.empty() {
		resp = append(resp, f.rule("response", &c.Response))
	}
	for i := range c.ByStatus {
		path := at("by-status", i)
		if len(c.ByStatus[i].Status) == 0 {
			f.at(path+".status", "the rule names no status").WithFix("write one such as 5xx, or use response for all")
		}
		resp = append(resp, f.rule(path, &c.ByStatus[i]))
	}
	if c.Request.empty() && len(resp) == 0 && len(f) == 0 {
		f.at("", "headers has nothing to do").WithFix("write request or response with set, add, remove, rename, copy, replace, default or dedupe")
	}
	if err := f.join(); err != nil {
		return nil, err
	}
	return func(next Func) Func {
		return func(r *message.Request) (*message.Response, error) {
			if err := req.apply(r, &r.Header); err != nil {
				return nil, err
			}
			res, err := next(r)
			if err != nil {
				return nil, problemHeaders(resp, r, err)
			}
			for i := range resp {
				if !resp[i].covers(res.Status) {
					continue
				}
				if err := resp[i].apply(r, &res.Header); err != nil {
					res.Release()
					return nil, err
				}
			}
			return res, nil
		}
	}, nil
}

func (c *HeaderRule) empty() bool {
	return len(c.Status)+len(c.Remove)+len(c.Rename)+len(c.Copy)+len(c.Replace)+len(c.Set)+len(c.Add)+len(c.Default)+len(c.Dedupe) == 0
}

// headerOps is a compiled rule.
type headerOps struct {
	limited  bool
	statuses statusSet
	remove   []string
	families []string // what ended in "*"
	rename   [][2]string
	copies   [][2]string
	edits    []headerEdit
	set, add []headerValue
	missing  []headerValue // set where there is none
	dedupe   []headerDedupe
}

type headerValue struct {
	name     string
	id       message.ID
	constant string
	tmpl     *template // nil for a constant
}

func (f *faults) rule(path string, c *HeaderRule) headerOps {
	ops := headerOps{limited: len(c.Status) > 0}
	ops.statuses = f.statuses(path+".status", c.Status)
	for i, name := range c.Remove {
		where := at(path+".remove", i)
		if family, ok := strings.CutSuffix(name, "*"); ok {
			if family == "" {
				f.at(where, "* alone would remove every field").WithFix("name a beginning such as X-Internal-*")
			} else if !message.ValidToken(family) {
				f.at(where, "%q is not the beginning of a field name", family).WithFix("use letters, digits and dashes")
			}
			ops.families = append(ops.families, family)
		} else if f.field(where, name) {
			ops.remove = append(ops.remove, name)
		}
	}
	ops.rename = f.pairs(path+".rename", c.Rename)
	ops.copies = f.pairs(path+".copy", c.Copy)
	ops.edits = f.edits(path+".replace", c.Replace)
	ops.set = f.values(path+".set", c.Set)
	ops.add = f.values(path+".add", c.Add)
	ops.missing = f.values(path+".default", c.Default)
	ops.dedupe = f.dedupes(path+".dedupe", c.Dedupe)
	for _, v := range ops.add {
		switch v.id {
		case message.Authorization, message.ContentType, message.MaxForwards:
			f.add(diag.At(path+".add."+v.name, "a second %s makes a message that servers refuse", v.id).WithFix("use set"))
		default:
		}
	}
	return ops
}

// pairs reads names that stand for other names.
func (f *faults) pairs(path string, m map[string]string) [][2]string {
	var out [][2]string
	for _, from := range sortedKeys(m) {
		where, to := path+"."+from, m[from]
		if !f.field(where, from) || !f.field(where, to) {
			continue
		}
		if strings.EqualFold(from, to) {
			f.at(where, "both names are the same to HTTP").WithFix("remove it")
		}
		out = append(out, [2]string{from, to})
	}
	return out
}

func (f *faults) values(path string, m map[string]string) []headerValue {
	var out []headerValue
	for _, name := range sortedKeys(m) {
		where := path + "." + name
		if !f.field(where, name) {
			continue
		}
		v := headerValue{name: name, id: message.NameID(name), tmpl: f.template(where, m[name], formField, false)}
		if text, ok := v.tmpl.constant(); ok {
			f.value(where, text)
			v.constant, v.tmpl = text, nil
		}
		out = append(out, v)
	}
	return out
}

func (o *headerOps) covers(status int) bool { return !o.limited || o.statuses.has(status) }

func (o *headerOps) apply(r *message.Request, h *message.Header) error {
	for _, name := range o.remove {
		h.Del(name)
	}
	if len(o.families) > 0 {
		h.DelFunc(func(l *message.Field) bool { return o.inFamily(l) })
	}
	for i := range o.rename {
		rename(h, o.rename[i][0], o.rename[i][1])
	}
	for i := range o.copies {
		copyLines(h, o.copies[i][0], o.copies[i][1])
	}
	for i := range o.edits {
		o.edits[i].apply(r, h)
	}
	if err := o.write(r, h); err != nil {
		return err
	}
	for i := range o.dedupe {
		o.dedupe[i].apply(h)
	}
	return nil
}

// write sets, adds, and sets what is not there.
func (o *headerOps) write(r *message.Request, h *message.Header) error {
	for i := range o.set {
		v := &o.set[i]
		text, err := v.text(r)
		if err != nil {
			return err
		}
		if text == "" {
			h.Del(v.name)
		} else if err := h.Set(v.name, text); err != nil {
			return err
		}
	}
	for i := range o.add {
		v := &o.add[i]
		text, err := v.text(r)
		if err != nil {
			return err
		}
		if text == "" && v.tmpl != nil {
			continue
		}
		if err := h.Add(v.name, text); err != nil {
			return err
		}
	}
	for i := range o.missing {
		v := &o.missing[i]
		if _, there := h.Lookup(v.name); there {
			continue
		}
		text, err := v.text(r)
		if err != nil {
			return err
		}
		if text == "" {
			continue
		}
		if err := h.Add(v.name, text); err != nil {
			return err
		}
	}
	return nil
}

func (o *headerOps) inFamily(l *message.Field) bool {
	if fixedField(l.ID) {
		return false
	}
	for _, fam := range o.families {
		if len(l.Name) >= len(fam) && strings.EqualFold(l.Name[:len(fam)], fam) {
			return true
		}
	}
	return false
}

// rename moves the lines of one name to the end, under the other.
func rename(h *message.Header, from, to string) {
	var room [8]string
	list := h.Values(room[:0], from)
	if len(list) == 0 {
		return
	}
	h.Del(from)
	h.Del(to)
	id := message.NameID(to)
	for _, v := range list {
		h.Append(message.Field{Name: to, Value: v, ID: id})
	}
}

func (v *headerValue) text(r *message.Request) (string, error) {
	if v.tmpl == nil {
		return v.constant, nil
	}
	var room [512]byte
	b, err := v.tmpl.append(room[:0], r, nil)
	if err != nil {
		return "", err
	}
	return r.X.String(trimSpace(b)), nil
}

// trimSpace takes away white space at the ends, which no field value may have.
func trimSpace(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// problemHeaders puts the fields of the response rules on an error's answer.
func problemHeaders(rules []headerOps, r *message.Request, err error) error {
	status := problem.Of(err).Status
	var fields []problem.Field
	for i := range rules {
		if !rules[i].covers(status) {
			continue
		}
		for _, list := range [][]headerValue{rules[i].set, rules[i].add, rules[i].missing} {
			for j := range list {
				if text, bad := list[j].text(r); bad == nil && text != "" {
					fields = append(fields, problem.Field{Name: list[j].name, Value: text})
				}
			}
		}
	}
	if len(fields) == 0 {
		return err
	}
	return problem.With(err, fields...)
}
