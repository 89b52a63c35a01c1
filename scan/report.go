package scan

import (
	"cmp"
	"slices"
	"strconv"
	"sync"
)

// MaxViolations is how many violations a Report holds; more are only counted.
const MaxViolations = 20

// Violation is a keyword that does not hold. It never carries the value.
type Violation struct {
	// Pointer is the place in the text (RFC 6901, not percent-encoded). Folded is the
	// same with * for each array index. Both are cut after maxPointer bytes.
	Pointer, Folded string
	// Name is the missing member, if one is missing from the object at Pointer.
	Name string
	// Schema is the Place of the schema, Keyword its keyword.
	Schema, Keyword string
	// Want continues the sentence "The value …" for people.
	Want string
	// Offset is where the value begins, in bytes.
	Offset int64
}

// maxPointer is the most bytes of a pointer; what is deeper is left out.
const maxPointer = 1024

// Report collects the violations of one text. Reports come from a pool.
type Report struct {
	list []Violation
	more int
}

var reports = sync.Pool{New: func() any { return new(Report) }} //nolint:gochecknoglobals // a pool is shared by its nature

// NewReport takes an empty Report from the pool.
func NewReport() *Report { return reports.Get().(*Report) } //nolint:errcheck // the pool makes nothing else

// Release gives the Report back.
func (r *Report) Release() {
	r.Reset()
	reports.Put(r)
}

// Reset empties the Report.
func (r *Report) Reset() {
	clear(r.list)
	r.list, r.more = r.list[:0], 0
}

// Valid tells whether nothing was reported.
func (r *Report) Valid() bool { return len(r.list) == 0 }

// Violations are those that are kept, by place. The slice is the Report's own.
func (r *Report) Violations() []Violation { return r.list }

// More is how many were counted beyond those.
func (r *Report) More() int { return r.more }

// sort orders the violations by place: a missing member is found at the end of
// its object only.
func (r *Report) sort() {
	slices.SortStableFunc(r.list, func(a, b Violation) int { return cmp.Compare(a.Offset, b.Offset) })
}

// violate notes that a keyword does not hold for the value that begins at
// offset and lies below depth open arrays and objects.
func (m *machine) violate(depth int, offset int64, v Violation) {
	if len(m.report.list) >= MaxViolations {
		m.report.more++
		return
	}
	pointer, folded := m.pointer(depth)
	v.Pointer, v.Folded, v.Offset = pointer+v.Pointer, folded+v.Pointer, offset
	m.report.list = append(m.report.list, v)
}

// pointer is the place below depth open arrays and objects.
func (m *machine) pointer(depth int) (pointer, folded string) {
	var exact, star []byte
	var memory [maxStepBytes]byte
	for d := 1; d <= depth && len(exact) < maxPointer; d++ {
		exact, star = append(exact, '/'), append(star, '/')
		f := &m.stack[d]
		if f.kind == Array {
			exact = strconv.AppendInt(exact, int64(f.count-1), 10)
			star = append(star, '*')
			continue
		}
		var text []byte
		if f.followed {
			text = f.last.text(&memory)
		} else {
			text = m.text(m.names[m.watches[d].name])
		}
		for _, c := range text {
			switch c {
			case '~':
				exact, star = append(exact, "~0"...), append(star, "~0"...)
			case '/':
				exact, star = append(exact, "~1"...), append(star, "~1"...)
			default:
				exact, star = append(exact, c), append(star, c)
			}
		}
	}
	return string(exact[:min(len(exact), maxPointer)]), string(star[:min(len(star), maxPointer)])
}
