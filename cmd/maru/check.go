package main

import (
	"fmt"
	"io"
	"os"

	"github.com/maru-msa/maru/config"
	"github.com/maru-msa/maru/diag"
)

// checkCommand finds all that is wrong with a configuration file.
type checkCommand struct {
	File   string `arg:"" optional:"" help:"Configuration file; - is standard input." default:"maru.yaml" placeholder:"FILE"`
	JSON   bool   `name:"json" help:"Write the findings as JSON."`
	Strict bool   `help:"Warnings fail too."`
	Color  string `help:"Colours: auto, always or never." enum:"auto,always,never" default:"auto"`

	in  io.Reader // nil is standard input
	out io.Writer // nil is standard output
}

// Help is shown by maru check --help.
func (checkCommand) Help() string {
	return "Loads and builds the configuration without starting anything. Exit code 0: no errors; 2: errors, each with file:line:column and a fix.\n\n" +
		"Example:\n  maru check maru.yaml"
}

// Run checks the file and prints the findings.
func (c *checkCommand) Run() error {
	out := c.out
	if out == nil {
		out = os.Stdout
	}
	file, findings := c.check()
	errs, warnings := diag.Count(findings)
	if err := c.print(out, file, findings); err != nil {
		return err
	}
	if errs > 0 || c.Strict && warnings > 0 {
		return exitError(2)
	}
	return nil
}

func (c *checkCommand) check() (*config.File, []diag.Finding) {
	if c.File != "-" {
		return config.Check(c.File)
	}
	in := c.in
	if in == nil {
		in = os.Stdin
	}
	return config.CheckReader("stdin", in)
}

func (c *checkCommand) print(out io.Writer, file *config.File, findings []diag.Finding) error {
	if c.JSON {
		return diag.PrintJSON(out, findings)
	}
	if len(findings) > 0 {
		return printFindings(out, file, findings, colored(out, c.Color))
	}
	if _, err := fmt.Fprintf(out, "%s: no findings: %s, %s, %s\n", file.Source.Name, counted(len(file.Routes), "route"),
		counted(len(file.Services), "service"), counted(len(file.Listen), "listener")); err != nil {
		return fmt.Errorf("print findings: %w", err)
	}
	return nil
}
