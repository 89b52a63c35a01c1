package aggregate

import (
	"slices"
	"strconv"
	"strings"
)

// This file compiles what is done to a list before its children are fetched.

// hasPost tells whether something is done to a list before it is shown.
func hasPost(s *Selection) bool {
	return s.Where != "" || len(s.Args) > 0 || slices.ContainsFunc(s.Directives, func(d Directive) bool { return d.Name != "include" && d.Name != "skip" })
}

// localLimit applies first and skip here when the call can't.
func (c *compiler) localLimit(lv *level, call *call, args map[string]Value) {
	if v, ok := args["first"]; ok && lv.list {
		if n, err := strconv.Atoi(v.JSON); err == nil {
			lv.bound, lv.bounded = max(n, 0), true
		}
		lv.post.limit = v
	}
	if v, ok := args["skip"]; ok && lv.list && !c.takes(call, "skip") {
		lv.post.skip = v
	}
}

// directives compiles what is done to a list before its children are fetched.
func (c *compiler) directives(lv *level, s *Selection) {
	if s.Where != "" {
		c.where(lv, s)
	}
	for i := range s.Args {
		if lv.fetch == nil && lv.list {
			switch a := &s.Args[i]; a.Name {
			case "first":
				lv.post.limit = a.Value
				if n, err := strconv.Atoi(a.Value.JSON); err == nil {
					lv.bound, lv.bounded = max(n, 0), true
				}
			case "skip":
				lv.post.skip = a.Value
			}
		}
	}
	for i := range s.Directives {
		d := &s.Directives[i]
		switch d.Name {
		case "include", "skip":
			continue
		case "sort", "limit", "first", "last":
		default:
			c.fail(d.At, "there is no directive @%s", d.Name).fix = "known are @sort, @limit, @first, @last, @include and @skip"
			continue
		}
		if !lv.list {
			c.fail(d.At, "@%s is for lists", d.Name)
			continue
		}
		c.listDirective(lv, d)
	}
}

func (c *compiler) listDirective(lv *level, d *Directive) {
	switch d.Name {
	case "first", "last":
		lv.post.first, lv.post.last = d.Name == "first", d.Name == "last"
		lv.bound, lv.bounded = 1, true
	case "limit":
		v, ok := d.arg("n")
		if !ok {
			c.fail(d.At, "@limit needs n").fix = "write @limit(n: 10)"
			return
		}
		c.value(v, d.At)
		if n, err := strconv.Atoi(v.JSON); err == nil {
			lv.bound, lv.bounded = max(n, 0), true
		}
		lv.post.limit = v
	case "sort":
		v, ok := d.arg("by")
		if !ok || len(v.JSON) < 2 || v.JSON[0] != '"' {
			c.fail(d.At, "@sort needs by").fix = `write @sort(by: "-price,id")`
			return
		}
		c.sort(lv, d, v.JSON[1:len(v.JSON)-1])
	}
}

func (c *compiler) sort(lv *level, d *Directive, by string) {
	for name := range strings.SplitSeq(by, ",") {
		name, desc := strings.CutPrefix(strings.TrimSpace(name), "-")
		var f *field
		if lv.typ != nil {
			f = lv.typ.fields[name]
		}
		if f == nil || f.link != nil {
			c.fail(d.At, "%q is not a value of the elements to sort by", name).fix = "name a field that is no link"
			continue
		}
		_, at := member(lv.in.build, lv.elem, f.path)
		lv.post.sort = append(lv.post.sort, sortKey{at, desc})
	}
}
