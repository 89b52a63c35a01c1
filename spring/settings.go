package spring

import (
	"slices"
	"strconv"
	"strings"

	"github.com/maru-msa/maru/config"
	"github.com/maru-msa/maru/diag"
)

// setting is one key with a value, of one place in one file.
type setting struct {
	key  string // as written
	text string
	at   diag.Position
	told bool // it is named in the output or in a finding
}

// node is a key of all files together: spring, cloud, gateway, routes, [0].
// Methods may be called on nil, which is a key that no file has.
type node struct {
	name   string // as written
	path   string // with the names of its parents
	at     diag.Position
	length int
	index  bool // a place in a list
	value  *setting
	kids   []*node
	byName map[string]*node // kids by their canonical names
	doc    int              // the document that gave its list entries
}

// settings are those of all files.
type settings struct {
	root    *node
	all     []*setting
	options Options
	doc     int
	// notes are settings that are set aside, with the reason.
	notes []note
	// report tells a fault of a text.
	report func(diag.Finding)
	active []string // profiles
}

// note says why something is not written.
type note struct {
	why  string
	from []*setting
}

// segment is one part of a key: a name, or a place in a list.
type segment struct {
	text  string
	index bool
}

// split reads a key: a.b[0].c['x.y'] or a.b[x.y].
func split(key string) []segment {
	var out []segment
	for key != "" {
		if key[0] == '.' {
			key = key[1:]
			continue
		}
		if key[0] == '[' {
			if end := strings.IndexByte(key, ']'); end > 0 {
				inner := strings.Trim(key[1:end], `"'`)
				n, err := strconv.Atoi(inner)
				out = append(out, segment{inner, err == nil && n >= 0 && n < maxIndex && strconv.Itoa(n) == inner})
				key = key[end+1:]
				continue
			}
			return append(out, segment{text: key})
		}
		end := strings.IndexAny(key, ".[")
		if end < 0 {
			end = len(key)
		}
		out = append(out, segment{text: key[:end]})
		key = key[end:]
	}
	return out
}

// maxIndex bounds list places, which properties may number as they like.
const maxIndex = 100_000

// canonical is a name as Spring compares it: in lower case, without dashes and
// underscores.
func canonical(name string) string {
	return strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(name))
}

// document is one document of one file, flat.
type document struct {
	list []flat
}

// flat is a setting with the place of each part of its key.
type flat struct {
	path []segment
	key  string
	at   []spot
	set  *setting
}

// spot is where a part of a key is written.
type spot struct {
	diag.Position

	length int
}

// collect reads all files.
func (s *settings) collect(files []File) {
	s.root = &node{}
	var docs []document
	for _, f := range files {
		docs = append(docs, s.read(f)...)
	}
	for i := range docs {
		for _, f := range docs[i].list {
			s.all = append(s.all, f.set)
		}
	}
	s.active = s.profiles(docs)
	for i := range docs {
		d := &docs[i]
		if why := s.inactive(d); why != "" {
			n := note{why: why}
			for _, f := range d.list {
				f.set.told = true
				n.from = append(n.from, f.set)
			}
			s.notes = append(s.notes, n)
			continue
		}
		s.doc++
		for _, f := range d.list {
			s.put(f)
		}
	}
}

func (s *settings) read(f File) []document {
	var out []document
	if strings.HasSuffix(f.Name, ".properties") {
		for _, pairs := range readProperties(f.Name, f.Text) {
			var d document
			for _, p := range pairs {
				path := split(p.key)
				at := slices.Repeat([]spot{{p.at, p.length}}, len(path))
				d.list = append(d.list, flat{path, p.key, at, &setting{key: p.key, text: p.value, at: p.at}})
			}
			out = append(out, d)
		}
		return out
	}
	trees, findings := config.ReadTrees(f.Name, f.Text)
	for _, x := range findings {
		s.report(x)
	}
	for _, t := range trees {
		var d document
		d.flatten(t, nil, nil)
		out = append(out, d)
	}
	return out
}

// flatten lists the scalars below a value.
func (d *document) flatten(t *config.Tree, path []segment, at []spot) {
	add := func(text string) {
		name := written(path)
		d.list = append(d.list, flat{path, name, at, &setting{key: name, text: text, at: t.Position}})
	}
	switch t.Kind {
	case config.TreeMapping:
		if len(t.Entries) == 0 {
			add("")
		}
		for _, e := range t.Entries {
			parts := split(e.Key.Text)
			if strings.HasPrefix(e.Key.Text, "/") { // a pattern as a key, without brackets
				parts = []segment{{text: e.Key.Text}}
			}
			here := slices.Repeat([]spot{{e.Key.Position, max(e.Key.Length, 1)}}, len(parts))
			d.flatten(e.Value, slices.Concat(path, parts), slices.Concat(at, here))
		}
	case config.TreeList:
		if len(t.Items) == 0 {
			add("")
		}
		for i, item := range t.Items {
			here := []spot{{item.Position, max(item.Length, 1)}}
			d.flatten(item, slices.Concat(path, []segment{{strconv.Itoa(i), true}}), slices.Concat(at, here))
		}
	default:
		add(t.Text)
	}
}

// written is a path as properties write it.
func written(path []segment) string {
	var b strings.Builder
	for i, s := range path {
		switch {
		case s.index || strings.ContainsAny(s.text, "./*[]"):
			b.WriteString("[" + s.text + "]")
		default:
			if i > 0 {
				b.WriteByte('.')
			}
			b.WriteString(s.text)
		}
	}
	return b.String()
}

// put adds a setting to the tree. A list of a later document takes the place of
// an earlier one, as a whole.
func (s *settings) put(f flat) {
	if len(f.path) == 0 {
		f.set.told = true
		s.report(diag.Finding{Position: f.set.at, Code: "shape", Text: "the file is no mapping of keys to values", Fix: "give an application.yml or a .properties file"})
		return
	}
	n := s.root
	for i, seg := range f.path {
		if seg.index && n.doc != s.doc {
			s.override(n, f.set)
			n.doc = s.doc
		}
		n = n.child(seg, f.at[i], written(f.path[:i+1]))
	}
	if n.value != nil {
		s.overridden(n.value, f.set)
	}
	last := f.at[len(f.at)-1]
	n.value, n.at, n.length = f.set, last.Position, last.length
}

// override drops the list entries of a node.
func (s *settings) override(n *node, by *setting) {
	var rest []*node
	for _, k := range n.kids {
		if !k.index {
			rest = append(rest, k)
			continue
		}
		k.each(func(old *setting) { s.overridden(old, by) })
		delete(n.byName, canonical(k.name))
	}
	n.kids = rest
}

func (s *settings) overridden(old, by *setting) {
	old.told = true
	s.notes = append(s.notes, note{"overridden at " + by.at.File + ":" + strconv.Itoa(by.at.Line), []*setting{old}})
}

func (n *node) child(seg segment, at spot, path string) *node {
	want := canonical(seg.text)
	if k := n.byName[want]; k != nil {
		return k
	}
	k := &node{name: seg.text, path: path, at: at.Position, length: at.length, index: seg.index}
	if n.byName == nil {
		n.byName = make(map[string]*node)
	}
	n.kids, n.byName[want] = append(n.kids, k), k
	return k
}

// get gives a node below, by names; nil when there is none.
func (n *node) get(names ...string) *node {
	for _, name := range names {
		if n == nil {
			return nil
		}
		n = n.byName[canonical(name)]
	}
	return n
}

// list gives the entries of a list by their number; for a single value with
// commas, one node each would be needed, so see importer.words.
func (n *node) list() []*node {
	if n == nil {
		return nil
	}
	var out []*node
	for _, k := range n.kids {
		if k.index {
			out = append(out, k)
		}
	}
	slices.SortStableFunc(out, func(a, b *node) int {
		x, _ := strconv.Atoi(a.name)
		y, _ := strconv.Atoi(b.name)
		return x - y
	})
	return out
}

// keys gives the entries of a mapping, in the order of the files.
func (n *node) keys() []*node {
	if n == nil {
		return nil
	}
	return n.kids
}

// each visits the settings at and below a node.
func (n *node) each(visit func(*setting)) {
	if n == nil {
		return
	}
	if n.value != nil {
		visit(n.value)
	}
	for _, k := range n.kids {
		k.each(visit)
	}
}

// profiles gives the active profiles: those asked for, else those that the
// documents without a condition name.
func (s *settings) profiles(docs []document) []string {
	if len(s.options.Profiles) > 0 {
		return s.options.Profiles
	}
	var out []string
	for i := range docs {
		d := &docs[i]
		if d.condition() != nil {
			continue
		}
		for _, f := range d.list {
			switch canonical(f.key) {
			case "spring.profiles.active":
				out = words(f.set.text)
			default:
				if strings.HasPrefix(canonical(f.key), "spring.profiles.active[") {
					out = append(out, f.set.text)
				}
			}
		}
	}
	return out
}

// condition gives the setting that says for which profiles a document is.
func (d *document) condition() *setting {
	for _, f := range d.list {
		switch canonical(f.key) {
		case "spring.config.activate.onprofile", "spring.profiles":
			return f.set
		}
	}
	return nil
}

// inactive says why a document does not count, or "".
func (s *settings) inactive(d *document) string {
	c := d.condition()
	if c == nil {
		return ""
	}
	active := s.active
	if len(active) == 0 {
		active = []string{"default"}
	}
	if accepts(c.text, active) {
		c.told = true
		s.notes = append(s.notes, note{"the document is for profile " + c.text + ", which is active", []*setting{c}})
		return ""
	}
	return "not read: it is for profile " + c.text + ", and active is " + strings.Join(active, ", ")
}

// accepts evaluates a profile expression: names, "," and "|" for or, "&" for
// and, "!" for not, parentheses.
func accepts(expr string, active []string) bool {
	p := profileExpr{rest: expr, active: active}
	return p.or()
}

type profileExpr struct {
	rest   string
	active []string
	depth  int
}

func (p *profileExpr) or() bool {
	out := p.and()
	for p.eat(",") || p.eat("|") {
		out = p.and() || out
	}
	return out
}

func (p *profileExpr) and() bool {
	out := p.term()
	for p.eat("&") {
		out = p.term() && out
	}
	return out
}

func (p *profileExpr) term() bool {
	const deepest = 32
	if p.depth++; p.depth > deepest {
		return false
	}
	defer func() { p.depth-- }()
	if p.eat("!") {
		return !p.term()
	}
	if p.eat("(") {
		out := p.or()
		p.eat(")")
		return out
	}
	p.rest = strings.TrimLeft(p.rest, " ")
	end := strings.IndexAny(p.rest, ",|&()! ")
	if end < 0 {
		end = len(p.rest)
	}
	name := p.rest[:end]
	p.rest = p.rest[end:]
	return slices.Contains(p.active, name)
}

func (p *profileExpr) eat(word string) bool {
	rest, ok := strings.CutPrefix(strings.TrimLeft(p.rest, " "), word)
	if ok {
		p.rest = rest
	}
	return ok
}

// words cuts a list with commas.
func words(text string) []string {
	var out []string
	for w := range strings.SplitSeq(text, ",") {
		if w = strings.TrimSpace(w); w != "" {
			out = append(out, w)
		}
	}
	return out
}

// filled is a text whose placeholders were replaced.
type filled struct {
	text     string
	missing  []string // that have no value and no default
	defaults []string // that were taken by their default
	steps    int
}

// Placeholders may name one another: these bound what comes of that.
const (
	maxFilled    = 64 << 10
	maxFillSteps = 1000
)

// fill replaces ${name} and ${name:default}.
func (s *settings) fill(text string) filled {
	var f filled
	f.text = s.expand(text, &f, 0)
	return f
}

func (s *settings) expand(text string, f *filled, depth int) string {
	const deepest = 16
	var b strings.Builder
	for {
		i := strings.Index(text, "${")
		if f.steps++; i < 0 || depth > deepest || f.steps > maxFillSteps {
			b.WriteString(text)
			return b.String()
		}
		end := closing(text[i:])
		if end < 0 {
			b.WriteString(text)
			return b.String()
		}
		b.WriteString(text[:i])
		inner := text[i+2 : i+end]
		text = text[i+end+1:]
		name, byDefault, has := strings.Cut(inner, ":")
		name = strings.TrimSpace(name)
		value, known := s.lookup(name)
		switch {
		case known:
			b.WriteString(s.expand(value, f, depth+1))
		case has:
			f.defaults = append(f.defaults, name)
			b.WriteString(s.expand(byDefault, f, depth+1))
		default:
			f.missing = append(f.missing, name)
			b.WriteString("${" + inner + "}")
		}
		if b.Len() > maxFilled {
			return b.String()[:maxFilled]
		}
	}
}

// closing gives the place of the brace that closes the one of "${".
func closing(text string) int {
	depth := 0
	for i := range len(text) {
		switch text[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

func (s *settings) lookup(name string) (string, bool) {
	for _, as := range []string{name, strings.ToLower(strings.ReplaceAll(name, "_", "."))} {
		if v, ok := s.options.Properties[as]; ok {
			return v, true
		}
		n := s.root
		for _, seg := range split(as) {
			n = n.get(seg.text)
		}
		if n != nil && n.value != nil && as == name {
			if !n.value.told {
				n.value.told = true
				s.notes = append(s.notes, note{"fills in ${" + name + "}", []*setting{n.value}})
			}
			return n.value.text, true
		}
	}
	return "", false
}

// lines are the line numbers of each file that settings stand on.
func (s *settings) lines() map[string]map[int]bool {
	out := make(map[string]map[int]bool)
	for _, x := range s.all {
		if out[x.at.File] == nil {
			out[x.at.File] = make(map[int]bool)
		}
		out[x.at.File][x.at.Line] = true
	}
	return out
}
