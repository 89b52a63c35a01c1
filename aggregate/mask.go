package aggregate

import (
	"maps"
	"strings"

	"github.com/maru-msa/maru/problem"
)

// maxMask is the longest ?fields=.
const maxMask = 1 << 10

// wish is a tree of wanted members.
type wish struct {
	names []string
	sub   map[string]*wish
}

func (w *wish) add(name string) *wish {
	if w.sub == nil {
		w.sub = make(map[string]*wish)
	}
	s := w.sub[name]
	if s == nil {
		s = new(wish)
		w.sub[name] = s
		w.names = append(w.names, name)
	}
	return s
}

// parseFields reads "name,auctions{id,total}" and "name,auctions.id".
func parseFields(text string) (*wish, error) {
	if len(text) > maxMask {
		return nil, problem.New(400, "fields", "fields is longer than 1 KiB")
	}
	top := new(wish)
	stack := []*wish{top}
	bad := problem.New(400, "fields", "fields is not a list such as name,auctions{id}")
	at := top
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case nameStart(c):
			n := i + 1
			for n < len(text) && nameByte(text[n]) {
				n++
			}
			at = at.add(text[i:n])
			i = n
			continue
		case c == '.' && at != stack[len(stack)-1]:
		case c == '{' && at != stack[len(stack)-1] && len(stack) < maxNesting:
			stack = append(stack, at)
		case c == ',' || c == ' ':
			at = stack[len(stack)-1]
		case c == '}' && len(stack) > 1:
			stack = stack[:len(stack)-1]
			if at = stack[len(stack)-1]; i+1 < len(text) && text[i+1] != ',' && text[i+1] != '}' {
				return nil, bad
			}
		default:
			return nil, bad
		}
		i++
	}
	if len(stack) != 1 || len(top.names) == 0 {
		return nil, bad
	}
	return top, nil
}

// mask gives the plan for the wanted members only: what nobody wants is not
// fetched.
func (v *View) mask(p *Plan, fields string) (*Plan, error) {
	key := p.Client + "\x00" + fields
	v.mu.Lock()
	found := v.masked[key]
	v.mu.Unlock()
	if found != nil {
		return found, nil
	}
	w, err := parseFields(fields)
	if err != nil {
		return nil, err
	}
	masked, err := v.maskedPlan(p, w)
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.maskAge) >= maxMasked {
		delete(v.masked, v.maskAge[0])
		v.maskAge = v.maskAge[1:]
	}
	key = strings.Clone(key)
	if v.masked[key] == nil {
		v.masked[key] = masked
		v.maskAge = append(v.maskAge, key)
	}
	return masked, nil
}

func (v *View) maskedPlan(p *Plan, w *wish) (*Plan, error) {
	if p.merge != nil {
		return nil, problem.New(400, "fields", "this view is a merge of whole answers; it has no fields to choose from")
	}
	sel, err := v.prune(v.sel[p.Client], w, nil)
	if err != nil {
		return nil, err
	}
	op := v.operation(p.Client, sel)
	masked, faults := v.graph.compile(op)
	if masked == nil {
		return nil, problem.New(400, "fields", faults[0].text)
	}
	v.settle(masked)
	return masked, nil
}

// prune keeps what is wanted of a selection. What is lifted shows its members in
// its place, and so do fragments.
func (v *View) prune(sel []Selection, w *wish, left map[string]bool) ([]Selection, error) {
	outer := left == nil
	if outer {
		left = make(map[string]bool)
		for _, name := range w.names {
			left[name] = true
		}
	}
	known := make(map[string]bool)
	out, err := v.keep(sel, w, left, known)
	if err != nil {
		return nil, err
	}
	if outer {
		for _, name := range w.names {
			if left[name] {
				return nil, problem.New(400, "fields", "there is no field "+name+"; "+nearest(name, maps.Keys(known)))
			}
		}
	}
	return out, nil
}

func (v *View) keep(sel []Selection, w *wish, left, known map[string]bool) ([]Selection, error) {
	var out []Selection
	for i := range sel {
		s := sel[i]
		if s.Lift || s.Spread {
			sub := s.Sub
			if len(sub) == 0 {
				sub = v.graph.fragments[s.Name]
				s = Selection{Spread: true, Directives: s.Directives, At: s.At}
			}
			kept, err := v.keep(sub, w, left, known)
			if err != nil {
				return nil, err
			}
			if s.Sub = kept; len(kept) > 0 {
				out = append(out, s)
			}
			continue
		}
		known[s.Out()] = true
		want := w.sub[s.Out()]
		if want == nil {
			continue
		}
		delete(left, s.Out())
		if err := v.below(&s, want); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// below keeps what is wanted of a member's own fields.
func (v *View) below(s *Selection, want *wish) error {
	if len(want.names) == 0 {
		return nil
	}
	if len(s.Sub) == 0 {
		return problem.New(400, "fields", s.Out()+" has no fields to choose from")
	}
	sub, err := v.prune(s.Sub, want, nil)
	if err != nil {
		return err
	}
	s.Sub = sub
	return nil
}
