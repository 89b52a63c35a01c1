package graphql

import (
	"slices"
	"strings"

	"github.com/maru-msa/maru/diag"
)

// Config is the GraphQL front door, as the file has it.
type Config struct {
	// Path of the requests (default "/graphql"). Trusted documents are also at
	// PATH/sha256:….
	Path string `yaml:"path"`
	// Trusted says which documents are answered: "only" those of documents
	// (default), "prefer" (those, and others within the limits), or "off" (none is
	// known, all are answered within the limits).
	Trusted string `yaml:"trusted"`
	// Documents are the files with trusted documents, as patterns such as
	// clients/*.graphql: documents in GraphQL, Relay's persisted documents (.json)
	// or Apollo's manifest (.json).
	Documents []string `yaml:"documents"`
	// Introspection "on" answers __schema and __type, and lets errors suggest names
	// (default "off").
	Introspection string `yaml:"introspection"`
	// Status says how request errors are told: "compat" (default: 200 under
	// application/json, 400 under application/graphql-response+json), or "2026"
	// (422 and 294 as the edition of September 2026 has it).
	Status string `yaml:"status"`
	// Limits of what a document may ask for.
	Limits LimitsConfig `yaml:"limits"`
}

// LimitsConfig bounds documents, in the order in which they are looked at.
type LimitsConfig struct {
	// Bytes of a request's body (default 65536).
	Bytes int `yaml:"bytes"`
	// Tokens of a document (default 2000).
	Tokens int `yaml:"tokens"`
	// Depth of fields within fields (default 12).
	Depth int `yaml:"depth"`
	// Aliases of one operation, fragments written out (default 20).
	Aliases int `yaml:"aliases"`
	// Fields of one operation, fragments written out (default 500).
	Fields int `yaml:"fields"`
	// Roots is how many fields an operation may begin with (default 20).
	Roots int `yaml:"roots"`
	// Directives at one place (default 5).
	Directives int `yaml:"directives"`
	// List is the most that first: and @limit may ask for, how many values an
	// argument may list, and what a list without a bound counts for in the cost
	// (default 100).
	List int `yaml:"list"`
	// Cost is how many objects an answer may have: 1 for each field that gives an
	// object, times the bounds of the lists around it (default 1000).
	Cost int `yaml:"cost"`
}

// Words of the configuration.
const (
	only    = "only"
	prefer  = "prefer"
	off     = "off"
	on      = "on"
	compat  = "compat"
	year    = "2026"
	docPath = "document" // the path's parameter that names a trusted document
)

// defaultPath is where the door is unless the file says otherwise.
const defaultPath = "/graphql"

// Paths are the patterns of the requests that the door answers: its path, and that
// of trusted documents.
func (c *Config) Paths() []string {
	path := c.Path
	if path == "" {
		path = defaultPath
	}
	return []string{path, strings.TrimSuffix(path, "/") + "/{" + docPath + "}"}
}

func (c *Config) check() error {
	var faults []error
	word := func(path, value string, known ...string) {
		if value != "" && !slices.Contains(known, value) {
			last := len(known) - 1
			faults = append(faults, diag.At(path, "%q is not one of %s and %s", value, strings.Join(known[:last], ", "), known[last]).
				WithFix("write %s, or leave it out", known[0]))
		}
	}
	if c.Path != "" && (!strings.HasPrefix(c.Path, "/") || strings.ContainsAny(c.Path, "{}?# ")) {
		faults = append(faults, diag.At("path", "%q is not a path", c.Path).WithFix("write one such as /graphql"))
	}
	word("trusted", c.Trusted, only, prefer, off)
	word("introspection", c.Introspection, off, on)
	word("status", c.Status, compat, year)
	if c.Trusted == off && len(c.Documents) > 0 {
		faults = append(faults, diag.At("documents", "with trusted: off no document is known").WithFix("write trusted: prefer, or remove documents"))
	}
	if (c.Trusted == "" || c.Trusted == only) && len(c.Documents) == 0 {
		faults = append(faults, diag.At("", "only trusted documents are answered, and there are none").
			WithFix("name them: documents: [clients/*.graphql], or write trusted: off to answer all"))
	}
	for _, l := range c.Limits.all() {
		if *l.at < 0 || *l.at > l.most {
			faults = append(faults, diag.At("limits."+l.name, "%d is not between 1 and %d", *l.at, l.most).WithFix("write one such as %d", l.def))
		}
	}
	return diag.Join(faults...)
}

type limit struct {
	name      string
	at        *int
	def, most int
}

func (l *LimitsConfig) all() []limit {
	return []limit{
		{"bytes", &l.Bytes, 64 << 10, 16 << 20},
		{"tokens", &l.Tokens, 2000, 100_000},
		{"depth", &l.Depth, 12, 100},
		{"aliases", &l.Aliases, 20, 10_000},
		{"fields", &l.Fields, 500, 10_000},
		{"roots", &l.Roots, 20, 1000},
		{"directives", &l.Directives, 5, 100},
		{"list", &l.List, 100, 1_000_000},
		{"cost", &l.Cost, 1000, 1_000_000_000},
	}
}

func (c Config) withDefaults() Config { //nolint:gocritic // a copy is what it makes
	for _, w := range []struct {
		at  *string
		def string
	}{{&c.Path, defaultPath}, {&c.Trusted, only}, {&c.Introspection, off}, {&c.Status, compat}} {
		if *w.at == "" {
			*w.at = w.def
		}
	}
	for _, l := range c.Limits.all() {
		if *l.at == 0 {
			*l.at = l.def
		}
	}
	return c
}
