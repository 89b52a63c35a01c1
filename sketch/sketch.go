// Package sketch writes a maru.yaml that is made of something else: the
// configuration of another gateway, or a contract.
//
// The flow: an importer builds a tree of [Block], a line of YAML each with what
// stands below it, and says where in its input each comes from. [File.Prove]
// writes the tree, checks the text as maru check does, and turns what is refused
// into comments, with a finding at the place in the input, until nothing is
// refused. So the text always loads, and nothing disappears.
//
// [Value] is a value in flow style, quoted as maru reads it; [Object] reads a
// mapping of the input and tells which of its keys nobody took.
package sketch

import (
	"slices"
	"strconv"
	"strings"

	"github.com/maru-msa/maru/config"
	"github.com/maru-msa/maru/diag"
)

// Block is one line of the maru.yaml with what stands below it.
type Block struct {
	// Text is the line without its indent: "users:", "- GET /x", "budget: 2s".
	Text string
	// Above is a comment in front of it, Behind one at its end ("" for none).
	Above, Behind string
	// Off is why it is written as a comment, with all that is below; "" for not.
	Off string
	// Kind counts it in the tally: "view", "service"; "" for what is not counted.
	Kind string
	// At is where it comes from, for findings.
	At diag.Position
	// Kids stand below it, one step further to the right.
	Kids []*Block
	// Needs are blocks without which it can't stand.
	Needs []*Block
	// Group makes it disappear when no kid is left; Spare when nobody needs it.
	Group, Spare bool
	// Plain makes it a comment by intent, without a reason behind it.
	Plain bool

	quiet bool // off for want of kids or users
}

// Add puts a block below and gives it back.
func (b *Block) Add(kid *Block) *Block {
	if kid.At.File == "" {
		kid.At = b.At
	}
	b.Kids = append(b.Kids, kid)
	return kid
}

// empty tells whether there is nothing to write, not even a comment.
func (b *Block) empty() bool {
	return b.Group && !slices.ContainsFunc(b.Kids, func(k *Block) bool { return !k.empty() })
}

// Line puts a line of a key and its value below.
func (b *Block) Line(key string, v Value) *Block {
	return b.Add(&Block{Text: Quoted(key) + ": " + v.String()})
}

// File is a maru.yaml in the making.
type File struct {
	// Head are comments at the top.
	Head []string
	// Blocks are its top-level keys; those without kids that are written, and with
	// Group, disappear.
	Blocks []*Block
	// Notes are comments at the end.
	Notes []string

	owners []*Block
	b      strings.Builder
}

// Section gives the block of a top-level key, a new one at the end if need be.
func (f *File) Section(key string) *Block {
	for _, b := range f.Blocks {
		if b.Text == key+":" {
			return b
		}
	}
	b := &Block{Text: key + ":", Group: true}
	f.Blocks = append(f.Blocks, b)
	return b
}

// Result is what an importer made.
type Result struct {
	// YAML is the maru.yaml; it passes maru check.
	YAML []byte
	// Findings are what has no equal or needs a look, in the order of the input.
	// An error is something that is missing in the YAML.
	Findings []diag.Finding
	// Tally counts what was written, by kind in the order of the file.
	Tally []Count
}

// Count is how many of a kind were written.
type Count struct {
	Kind string
	N    int
}

// Prove writes the file so that maru check takes it, and adds what it refuses to
// the findings.
func (f *File) Prove(findings []diag.Finding) Result {
	var tally []Count
	const most = 100 // each round takes something away
	for round := 0; ; round++ {
		f.settle()
		tally = f.write()
		_, found := config.CheckReader("maru.yaml", strings.NewReader(f.b.String()))
		more, changed := f.judge(found)
		findings = append(findings, more...)
		if !changed {
			break
		}
		if round == most {
			for _, b := range f.Blocks {
				b.Off = "see the findings"
			}
			tally = f.write()
			break
		}
	}
	diag.Sort(findings)
	return Result{YAML: []byte(f.b.String()), Findings: findings, Tally: tally}
}

// judge turns what was refused into comments.
func (f *File) judge(found []diag.Finding) (out []diag.Finding, changed bool) {
	for i := range found {
		x := &found[i]
		if x.Severity != diag.Error {
			continue
		}
		if x.Line < 1 || x.Line > len(f.owners) || f.owners[x.Line-1] == nil {
			for _, b := range f.Blocks {
				changed = changed || b.Off == ""
				b.Off = "see the findings"
			}
			out = append(out, diag.Finding{Code: "refused", Text: Comment("maru does not take what this becomes: " + x.Text), Fix: x.Fix})
			continue
		}
		b := f.owners[x.Line-1]
		if b.Off != "" {
			continue
		}
		b.Off, changed = "maru does not take it: "+x.Text, true
		out = append(out, diag.Finding{Position: b.At, Code: "refused", Text: Comment("maru does not take what this becomes: " + x.Text), Fix: x.Fix})
	}
	return out, changed
}

// settle takes away what lost what it needs, and what nobody needs any more.
func (f *File) settle() {
	for changed := true; changed; {
		changed = false
		needed := make(map[*Block]bool)
		f.each(func(b *Block, off bool) {
			for _, n := range b.Needs {
				needed[n] = needed[n] || !off
				if n.Off != "" && b.Off == "" {
					b.Off, changed = "what it needs is not written", true
				}
			}
		})
		f.each(func(b *Block, off bool) {
			switch {
			case b.Off != "" || off:
			case b.Spare && !needed[b]:
				b.Off, changed = "nothing that is written needs it", true
			case b.Group && !slices.ContainsFunc(b.Kids, func(k *Block) bool { return k.Off == "" }):
				b.Off, b.quiet, changed = "empty", true, true
			}
		})
	}
}

// each calls fn for all blocks; off tells that it, or one around it, is a comment.
func (f *File) each(fn func(b *Block, off bool)) {
	var walk func(b *Block, off bool)
	walk = func(b *Block, off bool) {
		off = off || b.Off != ""
		fn(b, off)
		for _, k := range b.Kids {
			walk(k, off)
		}
	}
	for _, b := range f.Blocks {
		walk(b, false)
	}
}

// write writes the text and counts.
func (f *File) write() (tally []Count) {
	f.b.Reset()
	f.owners = f.owners[:0]
	for _, l := range f.Head {
		f.line(nil, 0, -1, strings.TrimRight("# "+Comment(l), " "))
	}
	for _, b := range f.Blocks {
		if b.empty() {
			continue
		}
		f.line(nil, 0, -1, "")
		f.block(b, 0, -1, &tally)
	}
	if len(f.Notes) > 0 {
		f.line(nil, 0, -1, "")
		for _, l := range f.Notes {
			f.line(nil, 0, -1, strings.TrimRight("# "+Comment(l), " "))
		}
	}
	return tally
}

// block writes a block; off is the column of the comment around it, -1 for none.
func (f *File) block(b *Block, indent, off int, tally *[]Count) {
	if b.empty() {
		return
	}
	above := Comment(b.Above)
	if b.Off != "" && !b.quiet && !b.Plain {
		above = joined(above, "not written: "+Comment(b.Off))
	}
	if above != "" {
		f.line(nil, indent, off, "# "+above)
	}
	if b.Off != "" && off < 0 && !b.quiet {
		off = indent
	}
	text := b.Text
	if b.Behind != "" {
		text += " # " + Comment(b.Behind)
	}
	if b.quiet && off < 0 {
		f.line(nil, indent, indent, text)
	} else {
		f.line(b, indent, off, text)
	}
	if off < 0 && b.Kind != "" && !b.quiet {
		counted(tally, b.Kind)
	}
	for _, k := range b.Kids {
		f.block(k, indent+2, off, tally)
	}
}

func joined(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

func counted(tally *[]Count, kind string) {
	for i := range *tally {
		if (*tally)[i].Kind == kind {
			(*tally)[i].N++
			return
		}
	}
	*tally = append(*tally, Count{kind, 1})
}

// line writes one line, as a comment from column off on when that is not -1.
func (f *File) line(b *Block, indent, off int, text string) {
	if off >= 0 {
		f.b.WriteString(strings.Repeat(" ", off) + "# ")
		indent -= off
		b = nil
	}
	f.b.WriteString(strings.Repeat(" ", indent) + text + "\n")
	f.owners = append(f.owners, b)
}

// Lines names a place of an input in a comment: "krakend.json:12-34".
func Lines(from diag.Position, to int) string {
	s := Comment(from.File) + ":" + strconv.Itoa(from.Line)
	if to > from.Line {
		s += "-" + strconv.Itoa(to)
	}
	return s
}
