package graphql

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/maru-msa/maru/diag"
)

// maxManifest is the most bytes of one file with trusted documents.
const maxManifest = 8 << 20

// loadDocuments reads the files with trusted documents; each is validated, planned
// and bounded, so that a field that is gone is found now and not by a user.
func (d *Door) loadDocuments() error {
	var faults []error
	for i, pattern := range d.cfg.Documents {
		at := diag.Index("documents", i)
		files, err := filepath.Glob(pattern)
		if err != nil {
			faults = append(faults, diag.At(at, "%q is not a pattern", pattern).WithFix("write one such as clients/*.graphql"))
			continue
		}
		if len(files) == 0 {
			faults = append(faults, diag.At(at, "there is no file %s", pattern).WithCode("file").WithFix("name files with documents, or remove it"))
		}
		for _, file := range files {
			faults = append(faults, diag.Under(at, d.loadFile(file)))
		}
	}
	return diag.Join(faults...)
}

func (d *Door) loadFile(file string) error {
	text, err := readFile(file)
	if err != nil {
		return diag.At("", "%s: %v", file, err).WithCode("file").WithFix("name a readable file")
	}
	if !strings.EqualFold(filepath.Ext(file), ".json") {
		return d.trust(file, string(text), nil)
	}
	return d.loadManifest(file, text)
}

func readFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err == nil && info.Size() > maxManifest {
		return nil, fmt.Errorf("it has %d bytes; at most %d are read", info.Size(), maxManifest)
	}
	if err == nil {
		var text []byte
		if text, err = os.ReadFile(name); err == nil { //nolint:gosec // the operator names the file
			return text, nil
		}
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return nil, fmt.Errorf("cannot read it: %w", err)
}

// manifest is Apollo's list of operations, of format "apollo-persisted-query-manifest".
type manifest struct {
	Format     string              `json:"format"`
	Operations []manifestOperation `json:"operations"`
}

type manifestOperation struct {
	ID   string `json:"id"`
	Body string `json:"body"`
}

// loadManifest reads Apollo's manifest, or Relay's map of ids to texts.
func (d *Door) loadManifest(file string, text []byte) error {
	var apollo manifest
	if json.Unmarshal(text, &apollo) == nil && apollo.Format != "" {
		if apollo.Format != "apollo-persisted-query-manifest" {
			return diag.At("", "%s: the format %q is not known", file, apollo.Format).
				WithFix("known are apollo-persisted-query-manifest and Relay's map of ids to texts")
		}
		var faults []error
		for _, op := range apollo.Operations {
			faults = append(faults, d.trust(file, op.Body, []string{op.ID, sha256Prefix + op.ID}))
		}
		return diag.Join(faults...)
	}
	var relay map[string]string
	if err := json.Unmarshal(text, &relay); err != nil {
		return diag.At("", "%s: it is neither Apollo's manifest nor Relay's map of ids to texts", file).
			WithFix("name files of GraphQL, or one that a client's build has written")
	}
	var faults []error
	for _, id := range slices.Sorted(maps.Keys(relay)) {
		faults = append(faults, d.trust(file, relay[id], []string{id}))
	}
	return diag.Join(faults...)
}

// trust makes a document known by its ids, and by the hash of its text with and
// without white space around it.
func (d *Door) trust(file, text string, ids []string) error {
	doc, no := d.compile(file, text)
	if no == nil && len(doc.ops) == 0 {
		no = invalid("OPERATION_RESOLUTION_FAILURE", "the document has no operation")
	}
	if no == nil {
		no = doc.plans()
	}
	if no != nil {
		var faults []error
		for _, f := range no.faults {
			at := file
			if len(f.at) > 0 {
				at = fmt.Sprintf("%s:%d:%d", file, f.at[0].line, f.at[0].column)
			}
			faults = append(faults, diag.At("", "%s: %s", at, f.text).WithCode("document").
				WithFix("mend the document, or give the graph what it asks for"))
		}
		return diag.Join(faults...)
	}
	for _, id := range append(ids, idOf(text), idOf(strings.TrimSpace(text))) {
		if other := d.known[id]; other != nil && !bytes.Equal([]byte(strings.TrimSpace(other.text)), []byte(strings.TrimSpace(text))) {
			return diag.At("", "%s: the id %s is already that of another document", file, id).WithFix("give each document its own id")
		}
		d.known[id] = doc
	}
	return nil
}

// plans makes the largest plan of each operation: that which selects every field.
// What its lists cost without variables is the most they can.
func (doc *document) plans() *refusal {
	for _, op := range doc.ops {
		p, no := op.prepare(nil)
		if no == nil {
			no = p.charge(nil)
		}
		if no != nil {
			return no
		}
		if len(op.conditions) == 0 {
			op.plans[""] = p
		}
	}
	return nil
}
