package config

import (
	_ "embed"
	"slices"
)

//go:generate go test . -run ^TestGenerated -update

//go:embed schema.json
var schema []byte

// Schema is the JSON Schema (draft 2020-12) of the file, for editors. It is
// generated from the Configs of the packages and the comments of their fields.
func Schema() []byte { return slices.Clone(schema) }
