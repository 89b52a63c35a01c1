package config

import (
	"maps"
	"slices"
	"strings"

	"github.com/maru-msa/maru/contract"
	"github.com/maru-msa/maru/diag"
)

// Rules say in what the contracts of all services agree. They are held when the
// file is checked.
type Rules struct {
	// Names is how members and parameters are called: camelCase or snake_case
	// (default off).
	Names string `yaml:"names"`
	// Types is one: one name has one type, over all contracts (default off).
	Types string `yaml:"types"`
	// Errors is problem: answers of 400 and above are problem documents, RFC 9457
	// (default off).
	Errors string `yaml:"errors"`
	// Dates is rfc3339: strings that are called dates have a format (default off).
	Dates string `yaml:"dates"`
	// IDs is string: what ends in id is a string, since JavaScript rounds large
	// integers (default off).
	IDs string `yaml:"ids"`
	// Level is what a breach is: warning (default) or error, which refuses the file.
	Level string `yaml:"level"`
	// Allow are places that need not follow.
	Allow []Allowance `yaml:"allow"`
}

// Allowance is a place that need not follow the rules, and why.
type Allowance struct {
	// At is the place, with all that is below it: "specs/old.yaml#/paths/~1x", or a
	// whole file.
	At string `yaml:"at"`
	// Why is for those who come later.
	Why string `yaml:"why"`
}

// contract is what the contracts are held against.
func (r *Rules) contract() contract.Rules {
	on := func(word string) bool { return word != "" && word != "off" }
	out := contract.Rules{Types: on(r.Types), Errors: on(r.Errors), Dates: on(r.Dates), IDs: on(r.IDs)}
	if on(r.Names) {
		out.Names = r.Names
	}
	for _, a := range r.Allow {
		out.Allow = append(out.Allow, a.At)
	}
	return out
}

// check finds what is wrong with the words, as field errors.
func (r *Rules) check() error {
	var errs []error
	for _, key := range []struct {
		path, got string
		words     []string
	}{
		{"names", r.Names, []string{"off", "camelCase", "snake_case"}},
		{"types", r.Types, []string{"off", "one"}},
		{"errors", r.Errors, []string{"off", "problem"}},
		{"dates", r.Dates, []string{"off", "rfc3339"}},
		{"ids", r.IDs, []string{"off", "string"}},
		{"level", r.Level, []string{"warning", "error"}},
	} {
		if key.got != "" && !slices.Contains(key.words, key.got) {
			errs = append(errs, diag.At(key.path, "%q is not known here", key.got).WithFix("write one of: %s", strings.Join(key.words, ", ")))
		}
	}
	for i, a := range r.Allow {
		if a.Why == "" {
			errs = append(errs, diag.At(diag.Index("allow", i), "nobody will know why this place need not follow the rules").WithFix("write why: …"))
		}
	}
	return diag.Join(errs...) //nolint:wrapcheck // field errors
}

// contracts reads the contracts of all services: what is odd in them, and where they
// break the rules. What is wrong with one is told by Build.
func (w *whole) contracts() {
	rules := &w.file.Rules
	for _, e := range diag.Flatten(diag.Under("rules", rules.check())) {
		w.add(e)
	}
	severity := diag.Warning
	if rules.Level == "error" {
		severity = diag.Error
	} else if w.brief {
		return
	}
	style := contract.NewStyle(rules.contract())
	read := make(map[contract.Config]bool)
	for _, name := range slices.Sorted(maps.Keys(w.file.Services)) {
		cfg := w.file.Services[name].Contract
		if cfg == (contract.Config{}) || read[cfg] || cfg.Check() != nil {
			continue
		}
		read[cfg] = true
		_, findings := contract.LoadFile(cfg.File, contract.Options{Config: cfg, Decode: DecodeContract, Style: style})
		for _, f := range findings {
			if f.Severity == diag.Warning {
				w.found = append(w.found, located{Finding: f})
			}
		}
	}
	for _, f := range style.Findings() {
		f.Severity = severity
		w.found = append(w.found, located{Finding: f})
	}
}
