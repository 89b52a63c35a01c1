package contract

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/maru-msa/maru/diag"
)

// Bounds of a contract's files.
const (
	maxFile  = 8 << 20
	maxFiles = 64
)

// Options say how a contract is read. The zero value reads JSON with the
// defaults of Config.
type Options struct {
	Config

	// Decode reads files that are not JSON; nil means that there are none.
	Decode Decode
	// Known are texts of JSON Schemas that references may name by URL.
	Known map[string][]byte
	// Folder is put before the names of files in findings and sources.
	Folder string
	// Sources gets the texts of the files by name, for printing findings; nil means
	// that nobody wants them.
	Sources map[string][]byte
	// Style looks at the contract as one of several; nil means that nobody does.
	Style *Style
	// Fallback leaves every schema to the reference validator: for tests that
	// compare.
	Fallback bool
}

// Contract is a loaded contract. It is immutable.
type Contract struct {
	// File is its name, Dialect what it is: "OpenAPI 3.1.0", "JSON Schema".
	File, Dialect string
	// Base is put before the paths of the operations.
	Base string
	// Files are all that were read, with the folder before their names.
	Files []string
	// Operations of an OpenAPI document, in the order of the file.
	Operations []*Operation
	// Body is what a bare JSON Schema compiles to; nil otherwise.
	Body *Media

	coverage []Coverage
}

// Coverage says where a schema goes to the reference validator, and why.
type Coverage struct {
	diag.Position

	// Schema is the place of the schema in its document, Keyword what the scanner
	// can not decide.
	Schema, Keyword string
}

// Coverage lists the schemas that go to the reference validator.
func (c *Contract) Coverage() []Coverage { return c.coverage }

// Load reads the contract of that name, and all that it refers to in its folder
// and below. With an error among the findings the Contract is nil.
func Load(fsys fs.FS, name string, opt Options) (*Contract, []diag.Finding) {
	l := &loader{fsys: fsys, opt: opt, docs: make(map[string]*document)}
	root := l.document(path.Clean(name))
	if root == nil {
		return nil, l.findings
	}
	out := &Contract{File: name, Base: opt.Base}
	defer l.filesOf(out)
	switch n := root.node; {
	case n.has("swagger"):
		l.fault(n.Get("swagger"), "version", "Swagger 2.0 is not read", "convert the document to OpenAPI 3.1")
	case n.has("openapi"):
		l.openAPI(out, root)
	case n.has("asyncapi"):
		l.fault(n.Get("asyncapi"), "version", "AsyncAPI is not read", "name an OpenAPI document or a JSON Schema")
	case n.Kind == Object || n.Kind == Bool:
		out.Dialect = "JSON Schema"
		c := newCompiler(l, false, false)
		out.Body = c.bare(root)
		out.coverage = c.coverage
	default:
		l.fault(n, "type", "the file is neither an OpenAPI document nor a JSON Schema", "begin it with openapi: 3.1.0, or with $schema")
	}
	diag.Sort(l.findings)
	if errs, _ := diag.Count(l.findings); errs > 0 {
		return nil, l.findings
	}
	return out, l.findings
}

// LoadFile is Load for a file by its name. Nothing outside of its folder is read.
func LoadFile(name string, opt Options) (*Contract, []diag.Finding) {
	v, done, err := Open(name, opt)
	if err != nil {
		return nil, []diag.Finding{{
			Position: diag.Position{File: name}, Code: "file", Text: err.Error(),
			Fix: "name a readable file; a relative path starts at the folder maru runs in",
		}}
	}
	defer done()
	return Load(v.FS, v.Name, v.Options)
}

// Open names a contract by its file, for Load and Diff; done is to be called after
// them. Nothing outside of its folder is read.
func Open(name string, opt Options) (v Version, done func(), err error) {
	dir, base := filepath.Split(name)
	root, err := os.OpenRoot(filepath.Clean(dir))
	if err != nil {
		return v, nil, fmt.Errorf("cannot read the folder of %s: %w", name, cause(err))
	}
	opt.Folder = dir
	return Version{FS: root.FS(), Name: base, Options: opt}, func() { _ = root.Close() }, nil
}

// filesOf notes which files were read.
func (l *loader) filesOf(c *Contract) {
	for name := range l.docs {
		c.Files = append(c.Files, l.opt.Folder+name)
	}
	slices.Sort(c.Files)
}

// document is a file.
type document struct {
	name     string
	node     *Node
	pointers map[*Node]string // the place of each node
}

type loader struct {
	fsys     fs.FS
	opt      Options
	docs     map[string]*document // nil: it could not be read
	findings []diag.Finding
	from     *Node // the reference that names the document
}

func (l *loader) add(n *Node, severity diag.Severity, code, text, fix string) {
	f := diag.Finding{Position: n.Position, Length: n.Length, Severity: severity, Code: code, Text: text, Fix: fix}
	for i := range l.findings {
		if l.findings[i].Position == f.Position && l.findings[i].Text == f.Text {
			return // a schema that is compiled for both directions
		}
	}
	const most = 200
	if len(l.findings) < most {
		l.findings = append(l.findings, f)
	}
}

func (l *loader) fault(n *Node, code, text, fix string) { l.add(n, diag.Error, code, text, fix) }

func (l *loader) warn(n *Node, code, text, fix string) { l.add(n, diag.Warning, code, text, fix) }

// document reads a file once; nil when that is not possible, which was told.
func (l *loader) document(name string) *document {
	if d, known := l.docs[name]; known {
		return d
	}
	l.docs[name] = nil
	at := l.from
	if at == nil {
		at = &Node{Position: diag.Position{File: l.opt.Folder + name}}
	}
	if len(l.docs) > maxFiles {
		l.fault(at, "limit", fmt.Sprintf("the contract has more than %d files", maxFiles), "join some of them")
		return nil
	}
	text, err := l.read(name)
	if err != nil {
		l.fault(at, "file", fmt.Sprintf("cannot read %s: %v", name, cause(err)), "name a readable file below the contract's folder")
		return nil
	}
	shown := l.opt.Folder + name
	if l.opt.Sources != nil {
		l.opt.Sources[shown] = text
	}
	node, findings := l.decode(shown, text)
	l.findings = append(l.findings, findings...)
	if node == nil {
		if findings == nil {
			l.fault(at, "file", name+" is empty", "write the contract into it")
		}
		return nil
	}
	d := &document{name: name, node: node, pointers: make(map[*Node]string)}
	node.walk("", func(n *Node, pointer string) bool {
		d.pointers[n] = pointer
		if i := strings.IndexAny(n.Text, "eE"); n.Kind == Number && i >= 0 && !smallExponent([]byte(n.Text[i+1:])) {
			l.fault(n, "limit", "the exponent is larger than 10,000", "write a smaller number")
		}
		return true
	})
	l.docs[name] = d
	if l.opt.Style != nil {
		l.opt.Style.document(d)
	}
	return d
}

// decode reads a text: as JSON where it is some, so that all of its escapes count.
func (l *loader) decode(name string, text []byte) (*Node, []diag.Finding) {
	if l.opt.Decode == nil || strings.HasSuffix(name, ".json") {
		return readJSON(name, text)
	}
	if looksJSON(text) {
		if node, findings := readJSON(name, text); node != nil {
			return node, findings
		}
	}
	return l.opt.Decode(name, text)
}

// read reads a bounded file; fs.FS keeps it below the folder.
func (l *loader) read(name string) ([]byte, error) {
	if !fs.ValidPath(name) {
		return nil, errors.New("it lies outside of the contract's folder")
	}
	info, err := fs.Stat(l.fsys, name)
	if err != nil {
		return nil, err //nolint:wrapcheck // the finding names the file
	}
	if info.Size() > maxFile {
		return nil, errors.New("it is larger than 8 MiB")
	}
	return fs.ReadFile(l.fsys, name) //nolint:wrapcheck // the finding names the file
}

// cause is the innermost words of an error.
func cause(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

// resolve follows a reference that stands in a document; nil when it leads
// nowhere, which was told.
func (l *loader) resolve(from *document, ref *Node) (*document, *Node) {
	if ref.Kind != String {
		l.fault(ref, "reference", "a reference is a text", "write $ref: '#/…'")
		return nil, nil
	}
	file, fragment, _ := strings.Cut(ref.Text, "#")
	doc := from
	switch {
	case strings.Contains(file, "://") || strings.HasPrefix(file, "urn:"):
		l.fault(ref, "reference", "a reference leaves the contract's folder", "copy the document beside the contract and name it there")
		return nil, nil
	case file != "":
		l.from = ref
		doc = l.document(path.Join(path.Dir(from.name), file))
		l.from = nil
		if doc == nil {
			return nil, nil
		}
	}
	fragment = unescape(fragment)
	if fragment != "" && fragment[0] != '/' {
		l.fault(ref, "reference", "the reference names an anchor, which is not followed here", "write it as a pointer: #/components/schemas/…")
		return nil, nil
	}
	target := doc.node.at(fragment)
	if target == nil {
		l.fault(ref, "reference", fmt.Sprintf("%q leads nowhere", ref.Text), "name what is there"+l.near(doc, fragment))
		return nil, nil
	}
	return doc, target
}

// near names what the parent of a pointer has.
func (l *loader) near(doc *document, pointer string) string {
	slash := strings.LastIndexByte(pointer, '/')
	if slash < 0 {
		return ""
	}
	parent := doc.node.at(pointer[:slash])
	if parent == nil || parent.Kind != Object || len(parent.Entries) == 0 {
		return ""
	}
	names := make([]string, 0, len(parent.Entries))
	for _, e := range parent.Entries {
		names = append(names, e.Key.Text)
	}
	if best := diag.Nearest(unstep(pointer[slash+1:]), names); best != "" {
		return ": did you mean " + best + "?"
	}
	const most = 8
	return ": " + strings.Join(names[:min(len(names), most)], ", ")
}

// unescape decodes percent-encoding (RFC 6901 §6).
func unescape(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	return string(percent(nil, s, false))
}
