package route

import (
	"regexp/syntax"
	"slices"
	"strings"
)

// answer is how sure a solver is: of a solution, of none, or of neither.
type answer uint8

const (
	yes answer = iota
	no
	unknown
)

// Alphabets that examples are made of, the plainest octets first. Those of paths
// leave out what gives a path further readings.
const (
	segmentAlphabet = "1a0bcdefghijklmnopqrstuvwxyz23456789-_~ABCDEFGHIJKLMNOPQRSTUVWXYZ.!$&'()*+,=:@"
	pathAlphabet    = segmentAlphabet + "/"
	valueAlphabet   = segmentAlphabet + "/ ;?#%<>[]{}|^`\"\\"
)

// lab finds texts that regular expressions take. It keeps what it worked out,
// and gives up when its steps are used: a table of many expressions must not hold
// up a change for longer than its ties are worth.
type lab struct {
	steps    int
	automata map[string]*automaton
}

// maxSteps are the steps of a lab; one takes about a microsecond.
const maxSteps = 200_000

func newLab() *lab { return &lab{steps: maxSteps, automata: make(map[string]*automaton)} }

// spent tells that the lab has given up.
func (l *lab) spent() bool { return l.steps <= 0 }

// automaton is the program of a regular expression. Its texts are whole ones:
// the expression is anchored at both ends.
type automaton struct {
	prog *syntax.Prog
	next map[place][]uint32 // what ready gave
}

// place is an instruction, at the start of a text or inside.
type place struct {
	pc    uint32
	start bool
}

// automaton gives the program of an expression; false for one that is wrong.
func (l *lab) automaton(expr string) (*automaton, bool) {
	if a := l.automata[expr]; a != nil {
		return a, true
	}
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, false
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		return nil, false
	}
	a := &automaton{prog, make(map[place][]uint32)}
	l.automata[expr] = a
	l.steps -= len(prog.Inst)
	return a, true
}

// ready lists the instructions that wait for an octet, or are the match, which
// pc leads to without one. Assertions are taken as true but for those of the
// start; whoever uses the text tries it on the real expression.
func (a *automaton) ready(pc uint32, start bool) []uint32 {
	out, known := a.next[place{pc, start}]
	if known {
		return out
	}
	seen := make(map[uint32]bool)
	first := pc
	for todo := []uint32{pc}; len(todo) > 0; {
		pc, todo = todo[len(todo)-1], todo[:len(todo)-1]
		if seen[pc] {
			continue
		}
		seen[pc] = true
		switch in := &a.prog.Inst[pc]; in.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			todo = append(todo, in.Arg, in.Out)
		case syntax.InstCapture, syntax.InstNop:
			todo = append(todo, in.Out)
		case syntax.InstEmptyWidth:
			if start || syntax.EmptyOp(in.Arg)&syntax.EmptyBeginText == 0 {
				todo = append(todo, in.Out)
			}
		case syntax.InstFail:
		default:
			out = append(out, pc)
		}
	}
	a.next[place{first, start}] = out
	return out
}

// maxPairs bounds the search for a common text.
const maxPairs = 20_000

// meeting is a search for a text that two expressions take whole: breadth first
// over pairs of places in their programs, so that it finds a shortest one.
type meeting struct {
	x, y  *automaton
	queue []step
	seen  map[pair]bool
}

// pair is a place in each program.
type pair struct{ x, y uint32 }

// step is how a pair was reached: from which step, by which octet.
type step struct {
	at   pair
	from int
	char byte
}

// reach notes all pairs that two places lead to without an octet.
func (m *meeting) reach(px, py uint32, from int, char byte) {
	ys := m.y.ready(py, from < 0)
	for _, i := range m.x.ready(px, from < 0) {
		for _, j := range ys {
			if p := (pair{i, j}); !m.seen[p] {
				m.seen[p] = true
				m.queue = append(m.queue, step{p, from, char})
			}
		}
	}
}

// advance follows every octet of the alphabet that both places of step i take.
// Octets that lead to the same pair count once, so the plainest one stands for all.
func (m *meeting) advance(i int, in, jn *syntax.Inst, alphabet string) {
	tried := make(map[pair]bool, 1)
	for k := range len(alphabet) {
		c, next := rune(alphabet[k]), pair{in.Out, jn.Out}
		if !tried[next] && in.MatchRune(c) && jn.MatchRune(c) {
			tried[next] = true
			m.reach(next.x, next.y, i, alphabet[k])
		}
	}
}

// text is what led to step i.
func (m *meeting) text(i int) string {
	var b []byte
	for ; m.queue[i].from >= 0; i = m.queue[i].from {
		b = append(b, m.queue[i].char)
	}
	slices.Reverse(b)
	return string(b)
}

// common finds a shortest text that both expressions take whole, made of the
// alphabet.
func (l *lab) common(a, b, alphabet string) (string, answer) {
	if l.spent() {
		return "", unknown
	}
	x, okA := l.automaton(a)
	y, okB := l.automaton(b)
	if !okA || !okB {
		return "", unknown
	}
	m := meeting{x: x, y: y, seen: make(map[pair]bool)}
	m.reach(uint32(x.prog.Start), uint32(y.prog.Start), -1, 0)
	for i := 0; i < len(m.queue); i++ {
		if l.steps--; i > maxPairs || l.spent() {
			return "", unknown
		}
		in, jn := &x.prog.Inst[m.queue[i].at.x], &y.prog.Inst[m.queue[i].at.y]
		switch endX, endY := in.Op == syntax.InstMatch, jn.Op == syntax.InstMatch; {
		case endX && endY:
			return m.text(i), yes
		case !endX && !endY:
			m.advance(i, in, jn, alphabet)
		}
	}
	return "", no
}

// everything tells whether an expression takes every segment (or, with slash,
// every path): it is one of the usual ways to write so.
func everything(expr string, slash bool) bool {
	expr = strings.TrimSuffix(strings.TrimPrefix(expr, "^"), "$")
	switch expr {
	case ".*", ".+":
		return true
	case "[^/]+", "[^/]*":
		return !slash
	case "/.*":
		return slash
	}
	return false
}
