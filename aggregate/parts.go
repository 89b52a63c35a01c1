package aggregate

import (
	"strconv"
	"strings"
	"time"

	"github.com/maru-msa/maru/problem"
)

// code says why a part has no value. The words are a closed set: clients, logs
// and metrics see the same ones.
type code uint8

const (
	codeOK code = iota
	codeTimeout
	codeUnavailable
	codeFailed
	codeRefused
	codeUnauthorized
	codeNotFound
	codeInvalid
	codeMismatch
	codeUnpaired
	codeTooLarge
	codeLimit
	codeNoTime
	codeLaggard
	codeInvalidKey
	codeAfter // an earlier call failed, so this one was not made
)

// String is the word.
func (c code) String() string {
	return [...]string{
		"", "timeout", "unavailable", "failed", "refused", "unauthorized", "not-found", "invalid", "mismatch",
		"unpaired", "too-large", "limit", "no-time", "laggard", "invalid-key", "not-called",
	}[c]
}

// failure is why a row of a level has no value: the code, and the status of the
// service's answer where it counts.
type failure struct {
	code   code
	status uint16
}

// note is a part that failed, for the client.
type note struct {
	part   string // its path in the answer, without indexes
	code   code
	policy policyKind
	n      int
	age    time.Duration // of the value that stands in; noAge without one
	path   []step        // of the first one
}

// noAge is for what stands in without having been there before.
const noAge time.Duration = -1

// problem is what a client gets when a required part failed. The service's own
// body never gets out.
func (f failure) problem(part string) *problem.Error {
	var p *problem.Error
	switch f.code {
	case codeTimeout, codeLaggard, codeNoTime:
		p = problem.New(504, "part_timeout", "a required part did not answer in time")
	case codeUnavailable:
		p = problem.New(503, "part_unavailable", "a required part can't be reached now")
	case codeNotFound:
		p = problem.New(404, "part_not_found", "a required part does not exist")
	case codeUnauthorized:
		p = problem.New(int(f.status), "part_unauthorized", "a required part was refused to this caller")
	case codeInvalidKey:
		p = problem.New(400, "part_invalid_key", "a required part can't be asked for with this value")
	case codeRefused:
		p = problem.New(502, "part_refused", "a required part refused the gateway's call")
		switch f.status {
		case 400, 404, 409, 410, 412, 422, 429:
			if f.status != 400 {
				p.Status = int(f.status)
			}
		}
	case codeLimit:
		p = problem.New(502, "part_limit", "a required part is larger than its bound")
	default:
		p = problem.New(502, "part_failed", "a required part failed")
	}
	p.Members = []problem.Member{{Name: "part", JSON: quoteJSON(part)}}
	return p
}

// maxNotes is how many parts Maru-Partial names.
const maxNotes = 20

// partialHeader writes the notes as a Structured Fields list (RFC 9651 §3.1).
func partialHeaderValue(notes []note) string {
	var b strings.Builder
	for i, n := range notes {
		if i == maxNotes {
			b.WriteString(", more;n=" + strconv.Itoa(len(notes)-i))
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(`"` + n.part + `";code=` + n.code.String() + ";policy=" + policy{kind: n.policy}.word())
		if n.n > 1 {
			b.WriteString(";n=" + strconv.Itoa(n.n))
		}
		if n.age >= 0 {
			b.WriteString(";age=" + strconv.Itoa(int(n.age/time.Second)))
		}
	}
	return b.String()
}

// step is one part of a path in the answer: a name, or an index.
type step struct {
	name  string
	index int
}

// pathOf writes a path with dots, with or without the indexes of lists.
func pathOf(trail []step, indexes bool) string {
	var b strings.Builder
	for _, s := range trail {
		switch {
		case s.name != "":
			b.WriteString("." + s.name)
		case indexes:
			b.WriteString("." + strconv.Itoa(s.index))
		}
	}
	return strings.TrimPrefix(b.String(), ".")
}
