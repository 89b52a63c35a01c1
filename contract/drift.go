package contract

import (
	"cmp"
	"encoding/hex"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// maxRows bounds the rows of a Drift; the one that was seen longest ago goes first.
const maxRows = 10_000

// Reason is why a message was not checked.
type Reason uint8

// The reasons.
const (
	NoOperation Reason = iota // the contract does not know the path
	NoSchema                  // it says nothing of such a body
	Encoded                   // the body has a content coding
	TooLarge                  // the body is larger than what is held
	NotStreamed               // it can be checked as a whole only, and streams
	NotWhole                  // the body ended before its end
	numReasons
)

// String is the label of the metric.
func (r Reason) String() string {
	return [...]string{"operation", "schema", "encoding", "size", "stream", "aborted"}[r]
}

// Drift keeps what messages break, and counts what was checked. It survives
// reloads. The zero value is ready.
type Drift struct {
	mu     sync.Mutex
	rows   map[rowKey]*Row
	meters map[[2]string]*Meter
}

// rowKey names a row.
type rowKey struct {
	service, operation, direction, media string
	status                               int
	schema, keyword, pointer             string
}

// Row is one way in which messages break the contract, as the API shows it.
type Row struct {
	Service   string    `json:"service"`
	Operation string    `json:"operation"`
	Direction string    `json:"direction"` // request or response
	Status    int       `json:"status,omitempty"`
	Media     string    `json:"media_type,omitempty"`
	In        string    `json:"in"`
	Name      string    `json:"name,omitempty"`
	Pointer   string    `json:"pointer"` // * stands for each index of an array
	Schema    string    `json:"schema,omitempty"`
	Keyword   string    `json:"keyword"`
	Want      string    `json:"detail"`
	Count     uint64    `json:"count"`
	First     time.Time `json:"first"`
	Last      time.Time `json:"last"`
	Trace     string    `json:"trace_id,omitempty"`
}

// Meter counts for one operation of a service.
type Meter struct {
	Service, Operation string

	checked   [2]atomic.Uint64
	unchecked [2][numReasons]atomic.Uint64
	mu        sync.Mutex
	broken    [2]map[string]uint64 // by keyword
}

// Counts are a Meter's numbers for requests or answers.
type Counts struct {
	Service, Operation, Direction string
	Checked                       uint64
	Unchecked                     map[string]uint64 // by reason
	Violations                    map[string]uint64 // by keyword
}

// Meter gives the meter of an operation; the operations of contracts bound them.
func (d *Drift) Meter(service, operation string) *Meter {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := [2]string{service, operation}
	m := d.meters[key]
	if m == nil {
		if d.meters == nil {
			d.meters = make(map[[2]string]*Meter)
		}
		m = &Meter{Service: service, Operation: operation}
		d.meters[key] = m
	}
	return m
}

// way is the index of a direction.
func way(answer bool) int {
	if answer {
		return 1
	}
	return 0
}

// Checked counts a message that was checked.
func (m *Meter) Checked(answer bool) { m.checked[way(answer)].Add(1) }

// Unchecked counts one that was not.
func (m *Meter) Unchecked(answer bool, why Reason) { m.unchecked[way(answer)][why].Add(1) }

// directionWord names a direction.
func directionWord(answer bool) string {
	if answer {
		return "response"
	}
	return "request"
}

// Message is what is known of a message that broke its contract.
type Message struct {
	Answer bool
	Status int
	Media  string
	Trace  [16]byte // zero when there is none
	At     time.Time
}

// Record keeps what a message breaks. Nothing of the arguments is kept but copies.
func (d *Drift) Record(m *Meter, x Message, violations []Violation) { //nolint:gocritic // off the plain path
	m.mu.Lock()
	for i := range violations {
		if m.broken[way(x.Answer)] == nil {
			m.broken[way(x.Answer)] = make(map[string]uint64)
		}
		m.broken[way(x.Answer)][violations[i].Keyword]++
	}
	m.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range violations {
		d.row(m, &x, &violations[i])
	}
}

// row counts one violation.
func (d *Drift) row(m *Meter, x *Message, v *Violation) {
	key := rowKey{m.Service, m.Operation, directionWord(x.Answer), x.Media, x.Status, v.Schema, v.Keyword, v.Folded + " " + v.Name}
	r := d.rows[key]
	if r == nil {
		if len(d.rows) >= maxRows {
			d.evict()
		}
		if d.rows == nil {
			d.rows = make(map[rowKey]*Row)
		}
		r = &Row{
			Service: m.Service, Operation: m.Operation, Direction: key.direction, Status: x.Status, Media: x.Media, In: v.In, Name: v.Name,
			Pointer: v.Folded, Schema: v.Schema, Keyword: v.Keyword, Want: v.Want, First: x.At,
		}
		d.rows[key] = r
	}
	r.Count++
	r.Last = x.At
	if x.Trace != [16]byte{} {
		r.Trace = hex.EncodeToString(x.Trace[:])
	}
}

// evict drops the tenth of the rows that was seen longest ago.
func (d *Drift) evict() {
	keys := slices.SortedFunc(maps.Keys(d.rows), func(a, b rowKey) int { return d.rows[a].Last.Compare(d.rows[b].Last) })
	for _, key := range keys[:maxRows/10] {
		delete(d.rows, key)
	}
}

// Rows are what was broken, the latest first.
func (d *Drift) Rows() []Row {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]Row, 0, len(d.rows))
	for _, r := range d.rows {
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b Row) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Pointer, b.Pointer), cmp.Compare(a.Keyword, b.Keyword))
	})
	return out
}

// Counts are what was counted, by service, operation and direction.
func (d *Drift) Counts() []Counts {
	d.mu.Lock()
	meters := slices.Collect(maps.Values(d.meters))
	d.mu.Unlock()
	slices.SortFunc(meters, func(a, b *Meter) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Operation, b.Operation))
	})
	var out []Counts
	for _, m := range meters {
		for _, answer := range []bool{false, true} {
			c := Counts{Service: m.Service, Operation: m.Operation, Direction: directionWord(answer), Checked: m.checked[way(answer)].Load()}
			for why := range numReasons {
				if n := m.unchecked[way(answer)][why].Load(); n > 0 {
					if c.Unchecked == nil {
						c.Unchecked = make(map[string]uint64)
					}
					c.Unchecked[why.String()] = n
				}
			}
			m.mu.Lock()
			c.Violations = maps.Clone(m.broken[way(answer)])
			m.mu.Unlock()
			out = append(out, c)
		}
	}
	return out
}
