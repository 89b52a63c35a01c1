package http1

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// mutator changes messages the way smuggling attempts do: whole lines and single
// octets are swapped, repeated, dropped and re-cased, messages are spliced, and
// octets that parsers disagree about are put in.
type mutator struct {
	*rand.Rand
	seeds [][]byte
}

// add takes a head with several bodies as seeds; a good one counts more, so that
// many mutants are still accepted.
func (m *mutator) add(head string, good bool) {
	weight := 1
	if good {
		weight = 8
	}
	for range weight {
		for _, body := range seedBodies {
			m.seeds = append(m.seeds, []byte(head+body))
		}
	}
}

func (m *mutator) message() []byte {
	in := bytes.Clone(m.seeds[m.IntN(len(m.seeds))])
	for range 1 + m.IntN(3) {
		if len(in) == 0 {
			break
		}
		if m.IntN(2) == 0 {
			in = m.line(in)
		} else {
			in = m.octet(in)
		}
	}
	return in
}

func (m *mutator) line(in []byte) []byte {
	lines := bytes.SplitAfter(in, []byte("\n"))
	i, j := m.IntN(len(lines)), m.IntN(len(lines))
	switch m.IntN(5) {
	case 0:
		lines[i], lines[j] = lines[j], lines[i]
	case 1:
		lines = append(lines[:i:i], append([][]byte{lines[j]}, lines[i:]...)...)
	case 2:
		lines = append(lines[:i:i], lines[i+1:]...)
	case 3:
		lines[i] = bytes.ToUpper(lines[i])
	case 4:
		other := bytes.SplitAfter(m.seeds[m.IntN(len(m.seeds))], []byte("\n"))
		k := m.IntN(len(other))
		if m.IntN(2) == 0 {
			lines = append(lines[:i:i], other[k:]...)
		} else {
			lines = append(lines[:i:i], append([][]byte{other[k]}, lines[i:]...)...)
		}
	}
	return bytes.Join(lines, nil)
}

func (m *mutator) octet(in []byte) []byte {
	const odd = "\x00\x0b\x0c\x85\xa0;,_ \t\r\n:0%\"\\/?#@.-\x7f\x01\xff"
	i, j := m.IntN(len(in)), m.IntN(len(in))
	switch m.IntN(6) {
	case 0:
		in[i], in[j] = in[j], in[i]
	case 1:
		in = append(in[:i:i], append([]byte{in[j]}, in[i:]...)...)
	case 2:
		in = append(in[:i:i], in[i+1:]...)
	case 3:
		in[i] ^= 0x20
	case 4:
		in = append(in[:i:i], append([]byte{odd[m.IntN(len(odd))]}, in[i:]...)...)
	case 5:
		in[i] = odd[m.IntN(len(odd))]
	}
	return in
}

const mutations = 20_000

func newMutator(seed uint64) *mutator {
	return &mutator{Rand: rand.New(rand.NewPCG(seed, 9112))}
}

// tell shows the message that a property failed on.
func tell(t *testing.T, in *[]byte) {
	t.Helper()
	if t.Failed() {
		t.Logf("message %q", *in)
	}
}

// Every property of the fuzz targets, on mutated rows of all tables.
func TestMutatedRequests(t *testing.T) {
	t.Parallel()
	m := newMutator(1)
	for _, rows := range [][]requestRow{requestLineRows(), targetRows(), fieldRows(), hostRows(), lengthRows(), connectionRows()} {
		for _, row := range rows {
			m.add(row.in, row.reason == "")
		}
	}
	var last []byte
	defer tell(t, &last)
	for i := range mutations {
		in := m.message()
		last = in
		agreeOnRequest(t, in)
		agreeOnRoundTrip(t, in)
		if i%4 == 0 {
			agreeOnSplit(t, in, uint8(m.IntN(256)))
		}
		next := m.seeds[m.IntN(len(m.seeds))]
		agreeOnPipeline(t, append(append(in, 0xFE), next...))
	}
}

func TestMutatedResponses(t *testing.T) {
	t.Parallel()
	m := newMutator(2)
	for _, rows := range [][]responseRow{statusRows(), responseLengthRows(), responseFieldRows()[:10]} {
		for _, row := range rows {
			m.add(row.in, row.reason == "")
		}
	}
	var last []byte
	defer tell(t, &last)
	for range mutations {
		in, head := m.message(), m.IntN(4) == 0
		last = in
		agreeOnResponse(t, in, head)
		agreeOnResponseRoundTrip(t, in, head)
	}
}

func TestMutatedChunks(t *testing.T) {
	t.Parallel()
	m := newMutator(3)
	for _, row := range append(chunkRows(), trailerRows()...) {
		if len(row.in) < 1024 {
			m.seeds = append(m.seeds, []byte(row.in))
		}
	}
	var last []byte
	defer tell(t, &last)
	for range mutations {
		in := m.message()
		last = in
		agreeOnChunked(t, in, uint8(m.IntN(256)))
	}
}
