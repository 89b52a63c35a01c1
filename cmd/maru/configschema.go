package main

import (
	"fmt"
	"io"
	"os"

	"github.com/maru-msa/maru/config"
)

// configCommand groups what is about the configuration file as such.
type configCommand struct {
	Schema configSchemaCommand `cmd:"" help:"Print the JSON Schema of the configuration file, for editors."`
}

// configSchemaCommand prints the JSON Schema.
type configSchemaCommand struct {
	out io.Writer // nil is standard output
}

// Help is shown by maru config schema --help.
func (configSchemaCommand) Help() string {
	return "Example:\n  maru config schema > maru.schema.json\n\nand as the first line of maru.yaml:\n  # yaml-language-server: $schema=maru.schema.json"
}

// Run prints the schema.
func (c *configSchemaCommand) Run() error {
	out := c.out
	if out == nil {
		out = os.Stdout
	}
	if _, err := out.Write(config.Schema()); err != nil {
		return fmt.Errorf("print the schema: %w", err)
	}
	return nil
}
