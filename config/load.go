// Package config reads maru.yaml: the whole file as a struct of the packages'
// own Configs, with every fault at once and each with its place.
//
// The flow: [Load] checks the bytes, reads the YAML into nodes, and decodes the
// nodes into a [File] by reflection over the packages' yaml tags; it never stops
// at a fault. [Check] goes on with what needs the whole file: edge.Build without
// starting anything, and what a Build cannot know (order of filters, loops, files
// that can't be read). Faults that other packages return as field errors become
// findings through the [Source], which knows the line and column of each path.
// [Watch] tells when the file changed, and [NamedFiles] when one that it names did;
// [Schema] gives the JSON Schema for editors.
//
// This is the only package that knows YAML.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/maru-msa/maru/diag"
)

// Load reads and decodes a file. The File is never nil; it is whole only when
// no finding is an error. Nothing is started and no other file is opened.
func Load(path string) (*File, []diag.Finding) {
	return new(Loader).Load(path)
}

// LoadBytes is [Load] of a text; name stands for it in findings.
func LoadBytes(name string, text []byte) (*File, []diag.Finding) {
	return new(Loader).LoadBytes(name, text)
}

// Loader loads a file again and again, and keeps what did not change. The zero
// value works. It is not for several goroutines at once.
type Loader struct {
	// Getenv looks an environment variable up; nil means the process's.
	Getenv func(name string) (string, bool)

	pieces map[string]*yaml.Node
	values map[*yaml.Node]reflect.Value // decoded entries of long lists
}

// Load is [Load] with what the Loader keeps.
func (l *Loader) Load(path string) (*File, []diag.Finding) {
	text, err := readFile(path)
	if err != nil {
		f := &File{Source: &Source{Name: path}}
		f.defaults()
		return f, []diag.Finding{unreadable(path, err)}
	}
	return l.LoadBytes(path, text)
}

func unreadable(path string, err error) diag.Finding {
	f := diag.Finding{Position: diag.Position{File: path}, Code: "file", Text: "cannot read the file: " + reason(err), Fix: "name a YAML file that this user may read"}
	if errors.Is(err, fs.ErrNotExist) {
		f.Text, f.Fix = "there is no such file", "name the file with --config FILE, or write one: docs/configuration.md"
	}
	return f
}

// reason is the part of an error that does not repeat the path.
func reason(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err.Error()
	}
	return err.Error()
}

// CheckReader is [Check] of what is read from r; name stands for it in findings.
func CheckReader(name string, r io.Reader) (*File, []diag.Finding) {
	text, err := io.ReadAll(io.LimitReader(r, maxBytes+1))
	if err != nil {
		f := &File{Source: &Source{Name: name}}
		f.defaults()
		return f, []diag.Finding{unreadable(name, err)}
	}
	file, findings := LoadBytes(name, text)
	return file, Checker{}.Check(file, findings)
}

// readFile reads at most one byte more than the limit, which checkBytes refuses.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err //nolint:wrapcheck // unreadable puts it into words
	}
	defer f.Close() //nolint:errcheck // only read
	var text bytes.Buffer
	if st, err := f.Stat(); err == nil {
		if st.IsDir() {
			return nil, errors.New("it is a directory")
		}
		text.Grow(int(min(st.Size(), maxBytes)) + bytes.MinRead) // room to see the end
	}
	_, err = text.ReadFrom(io.LimitReader(f, maxBytes+1))
	return text.Bytes(), err //nolint:wrapcheck // unreadable puts it into words
}

// LoadBytes is [LoadBytes] with what the Loader keeps.
func (l *Loader) LoadBytes(name string, text []byte) (*File, []diag.Finding) {
	file := &File{Source: &Source{Name: name, Text: text}}
	findings := l.decode(file)
	file.defaults()
	return file, tidy(findings)
}

func (l *Loader) decode(file *File) []diag.Finding {
	src := file.Source
	if findings := checkBytes(src.Name, src.Text); findings != nil {
		return findings
	}
	root, findings := l.parse(src.Name, src.Text)
	if root == nil {
		if findings == nil {
			findings = []diag.Finding{{
				Position: diag.Position{File: src.Name}, Severity: diag.Warning, Code: "empty",
				Text: "the file holds no configuration", Fix: "write services and routes: docs/configuration.md",
			}}
		}
		return findings
	}
	if deep := deepest(root, 1); deep != nil {
		return append(findings, diag.Finding{
			Position: src.at(deep), Code: "limit", Text: fmt.Sprintf("values nest deeper than %d levels", maxDepth), Fix: flatter,
		})
	}
	src.root = root
	lookup := l.Getenv
	if lookup == nil {
		lookup = os.LookupEnv
	}
	d := newDecoder(src, lookup)
	d.kept = l.values
	if !isNull(root) {
		d.value(root, reflect.ValueOf(file).Elem())
	}
	l.values = d.keep
	return append(findings, d.findings...)
}

// tidy sorts findings, removes what is there twice (a fault in an anchored
// value shows at each use) and bounds their number.
func tidy(findings []diag.Finding) []diag.Finding {
	diag.Sort(findings)
	type key struct {
		at   diag.Position
		text string
	}
	seen := make(map[key]bool, len(findings))
	findings = slices.DeleteFunc(findings, func(f diag.Finding) bool {
		k := key{f.Position, f.Text}
		if seen[k] {
			return true
		}
		seen[k] = true
		return false
	})
	if len(findings) > maxFindings {
		rest := len(findings) - maxFindings
		last := findings[maxFindings]
		findings = append(findings[:maxFindings:maxFindings], diag.Finding{
			Position: last.Position, Code: "limit", Text: fmt.Sprintf("%d more findings from here on", rest), Fix: "mend these first",
		})
	}
	return findings
}
