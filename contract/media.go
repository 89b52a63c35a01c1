package contract

import (
	"errors"
	"strings"

	"github.com/maru-msa/maru/scan"
)

// bodyKind is how far a body can be checked.
type bodyKind uint8

const (
	opaque   bodyKind = iota // not beyond its type
	jsonBody                 // whole
	formBody                 // whole, of requests
)

// Media is what a contract says of a body of one type. The zero Media says nothing.
type Media struct {
	// Type is the media type or range, in lower case: "application/json", "image/*".
	Type     string
	kind     bodyKind
	programs [2]*scan.Program // by direction; nil: no schema
	form     *form            // of a formBody
}

// Checked tells whether bodies of this type can be checked, requests or answers.
func (m *Media) Checked(answer bool) bool { return m.kind != opaque && m.Program(answer) != nil }

// Streams tells whether bodies can be checked as they go by: by a scanner with the
// Program, in any chunks.
func (m *Media) Streams(answer bool) bool {
	return m.kind == jsonBody && m.Checked(answer) && !m.Program(answer).NeedsBody()
}

// Program is what judges bodies; nil when nothing does.
func (m *Media) Program(answer bool) *scan.Program {
	if answer {
		return m.programs[toClient]
	}
	return m.programs[toService]
}

// Check judges a whole body. On valid ones it allocates nothing.
func (m *Media) Check(body []byte, answer bool, v *Verdict) {
	p := m.Program(answer)
	if p == nil {
		return
	}
	if m.kind == formBody {
		m.form.check(body, p, v)
		return
	}
	v.report.Reset()
	if err := p.Scan(body, v.tape, v.report); err != nil {
		v.Syntactic(err)
		return
	}
	if !v.report.Valid() {
		v.Report(v.report, "body", "")
	}
}

// Syntactic notes that the body is no JSON.
func (v *Verdict) Syntactic(err error) {
	if fault, ok := errors.AsType[*scan.Error](err); ok {
		v.syntax = fault
	}
}

// isJSON tells whether bodies of a media type are JSON texts.
func isJSON(kind string) bool {
	return kind == "application/json" || strings.HasSuffix(kind, "+json")
}

// choose gives the entry for a media type: the type itself, then its suffix,
// then type/*, then */* (§8).
func choose(list []*Media, kind string) *Media {
	kind, _, _ = strings.Cut(kind, ";")
	kind = strings.Trim(kind, " \t")
	best, rank := (*Media)(nil), 0
	for _, m := range list {
		if r := m.fits(kind); r > rank {
			best, rank = m, r
		}
	}
	return best
}

// fits ranks how well the entry fits a media type; 0 is not at all.
func (m *Media) fits(kind string) int {
	if strings.EqualFold(m.Type, kind) {
		return 4
	}
	slash := strings.IndexByte(kind, '/')
	plus := strings.LastIndexByte(kind, '+')
	if plus > slash && slash > 0 && strings.EqualFold(m.Type[:min(len(m.Type), slash+1)], kind[:slash+1]) &&
		strings.EqualFold(m.Type[min(len(m.Type), slash+1):], kind[plus+1:]) {
		return 3
	}
	if slash > 0 && len(m.Type) == slash+2 && m.Type[slash+1] == '*' && strings.EqualFold(m.Type[:slash+1], kind[:slash+1]) {
		return 2
	}
	if m.Type == "*/*" {
		return 1
	}
	return 0
}
