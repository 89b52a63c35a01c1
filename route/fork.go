package route

import (
	"github.com/maru-msa/maru/message"
)

// fork divides a long list of entries by the value that they want of one header,
// so that a thousand tenants on one path cost a look-up and not a thousand
// comparisons.
type fork struct {
	name    string // in lower case
	id      message.ID
	byValue map[string]span // entries that want this value exactly
	others  span            // entries that don't ask for an exact value of it
}

// forkAbove is the length up to which entries are tried one after the other.
const forkAbove = 16

// newFork divides a list by the header that most of its entries want an exact
// value of; nil when that would not shorten it.
func (ix *index) newFork(list span) *fork {
	entries := ix.list[list.from:list.to]
	if len(entries) <= forkAbove {
		return nil
	}
	counts := make(map[string]int)
	most := ""
	for _, e := range entries {
		for i := range ix.entries[e].rule.headers {
			if t := &ix.entries[e].rule.headers[i]; t.op == opExact {
				if counts[t.name]++; most == "" || counts[t.name] > counts[most] {
					most = t.name
				}
			}
		}
	}
	if counts[most] <= forkAbove {
		return nil
	}
	byValue := make(map[string][]int32)
	var others []int32
	for _, e := range entries { // in order of precedence, and so are the parts
		if value, ok := ix.entries[e].rule.wants(most); ok {
			byValue[value] = append(byValue[value], e)
		} else {
			others = append(others, e)
		}
	}
	f := &fork{name: most, id: message.NameID(most), byValue: make(map[string]span, len(byValue)), others: ix.note(others)}
	for value, part := range byValue {
		f.byValue[value] = ix.note(part)
	}
	return f
}

// note appends entries to the list.
func (ix *index) note(entries []int32) span {
	from := len(ix.list)
	ix.list = append(ix.list, entries...)
	return span{int32(from), int32(len(ix.list))}
}

// wants gives the exact value that a rule asks for in a header.
func (r *rule) wants(header string) (string, bool) {
	for i := range r.headers {
		if t := &r.headers[i]; t.name == header && t.op == opExact {
			return t.want, true
		}
	}
	return "", false
}

// fork tries the entries that want a value which the request has, then the others.
func (s *search) fork(f *fork) {
	fields := s.r.Header.Fields()
	for i := range fields {
		if sameField(&fields[i], f.id, f.name) {
			if part, ok := f.byValue[fields[i].Value]; ok {
				s.entries(part, nil)
			}
		}
	}
	s.entries(f.others, nil)
}
