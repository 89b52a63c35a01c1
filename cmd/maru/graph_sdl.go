package main

import (
	"fmt"
	"io"
)

// graphSDLCommand prints the schema that GraphQL clients see.
type graphSDLCommand struct {
	File string `arg:"" optional:"" help:"Configuration file, instead of --config." placeholder:"FILE"`

	viewFile

	out io.Writer // nil is standard output
}

// Help is shown by maru graph sdl --help.
func (graphSDLCommand) Help() string {
	return `The schema is for the tools of clients: editors, code generators, linters. It is there whether or not the file has graphql:.

Example:
  maru graph sdl maru.yaml > schema.graphql`
}

// Run prints the schema.
func (c *graphSDLCommand) Run() error {
	if c.File != "" {
		c.Config = c.File
	}
	g, err := c.graph()
	if err != nil {
		return err
	}
	s := source{out: c.out}
	if _, err := io.WriteString(s.writer(), g.SDL()); err != nil {
		return fmt.Errorf("print the schema: %w", err)
	}
	return nil
}
