package contract

import (
	"slices"
	"strings"

	"github.com/maru-msa/maru/diag"
)

// Config says where a contract is and how it is read. The short form, a scalar,
// is the file.
type Config struct {
	// File is an OpenAPI 3.0 or 3.1 document, or a JSON Schema, in YAML or JSON.
	File string `yaml:"file"`
	// Base is put before the paths of the contract, such as /v2 (default none).
	Base string `yaml:"base"`
	// Formats is assert (default): format is checked; or annotate: it is not.
	Formats string `yaml:"formats"`
	// Patterns is strict (default): a pattern that can't be compiled is an error;
	// or skip: it is a warning, and the keyword is not checked.
	Patterns string `yaml:"patterns"`
	// Direction is relax (default): required members that are readOnly are not
	// asked for in requests, nor writeOnly ones in answers; or strict.
	Direction string `yaml:"direction"`
	// ReadOnly is pass (default): requests may hold readOnly members; or refuse.
	ReadOnly string `yaml:"readonly"`
	// Integers is any (default): 1.0 and 1e2 are integers; or literal: they are not.
	Integers string `yaml:"integers"`
}

// UnmarshalText reads the file's name.
func (c *Config) UnmarshalText(text []byte) error {
	c.File = string(text)
	return nil
}

// Check finds what is wrong with the words, as field errors.
func (c *Config) Check() error {
	var errs []error
	for _, key := range []struct {
		path, got string
		words     []string
	}{
		{"formats", c.Formats, []string{"assert", "annotate"}},
		{"patterns", c.Patterns, []string{"strict", "skip"}},
		{"direction", c.Direction, []string{"relax", "strict"}},
		{"readonly", c.ReadOnly, []string{"pass", "refuse"}},
		{"integers", c.Integers, []string{"any", "literal"}},
	} {
		if key.got != "" && !slices.Contains(key.words, key.got) {
			errs = append(errs, diag.At(key.path, "%q is not known here", key.got).WithFix("write one of: %s", strings.Join(key.words, ", ")))
		}
	}
	if c.File == "" {
		errs = append(errs, diag.At("file", "a contract needs a file").WithFix("write file: specs/NAME.yaml"))
	}
	if c.Base != "" && (c.Base[0] != '/' || strings.HasSuffix(c.Base, "/")) {
		errs = append(errs, diag.At("base", "%q is no beginning of a path", c.Base).WithFix("write one such as /v2"))
	}
	return diag.Join(errs...)
}
