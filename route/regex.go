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

// automaton is the program of a regular expression. Its texts are whole ones:
// the expression is anchored at both ends.
type automaton struct{ prog *syntax.Prog }

func newAutomaton(expr string) (*automaton, bool) {
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, false
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		return nil, false
	}
	return &automaton{prog}, true
}

// ready lists the instructions that wait for an octet, or are the match, which
// pc leads to without one. Assertions are taken as true but for those of the
// start; whoever uses the text tries it on the real expression.
func (a *automaton) ready(pc uint32, start bool) []uint32 {
	var out []uint32
	seen := make(map[uint32]bool)
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
	return out
}

// maxPairs bounds the search for a common text.
const maxPairs = 20_000

// common finds a shortest text that both expressions take whole, made of the
// alphabet: a search over pairs of places in their two programs.
func common(a, b, alphabet string) (string, answer) { //nolint:gocognit // one search with one queue
	x, okA := newAutomaton(a)
	y, okB := newAutomaton(b)
	if !okA || !okB {
		return "", unknown
	}
	type pair struct{ x, y uint32 }
	type step struct {
		at   pair
		from int
		char byte
	}
	var queue []step
	seen := make(map[pair]bool)
	reach := func(px, py uint32, from int, char byte) {
		ys := y.ready(py, from < 0)
		for _, i := range x.ready(px, from < 0) {
			for _, j := range ys {
				if p := (pair{i, j}); !seen[p] {
					seen[p] = true
					queue = append(queue, step{p, from, char})
				}
			}
		}
	}
	reach(uint32(x.prog.Start), uint32(y.prog.Start), -1, 0)
	for i := 0; i < len(queue); i++ {
		if i > maxPairs {
			return "", unknown
		}
		in, jn := &x.prog.Inst[queue[i].at.x], &y.prog.Inst[queue[i].at.y]
		if in.Op == syntax.InstMatch && jn.Op == syntax.InstMatch {
			var text []byte
			for k := i; queue[k].from >= 0; k = queue[k].from {
				text = append(text, queue[k].char)
			}
			slices.Reverse(text)
			return string(text), yes
		}
		if in.Op == syntax.InstMatch || jn.Op == syntax.InstMatch {
			continue
		}
		tried := make(map[[2]uint32]bool, 1)
		for k := range len(alphabet) {
			c := rune(alphabet[k])
			if in.MatchRune(c) && jn.MatchRune(c) && !tried[[2]uint32{in.Out, jn.Out}] {
				tried[[2]uint32{in.Out, jn.Out}] = true
				reach(in.Out, jn.Out, i, alphabet[k])
			}
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
