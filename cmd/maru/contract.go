package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/maru-msa/maru/config"
	"github.com/maru-msa/maru/contract"
	"github.com/maru-msa/maru/diag"
)

// contractCommand looks at the contracts of services.
type contractCommand struct {
	Lint     contractLintCommand     `cmd:"" help:"Find what is wrong, or without effect, in OpenAPI documents and JSON Schemas."`
	Mock     contractMockCommand     `cmd:"" help:"Stand in for a service by its contract."`
	Diff     contractDiffCommand     `cmd:"" help:"Tell what changed between two versions of a contract, and what of it breaks callers."`
	Coverage contractCoverageCommand `cmd:"" help:"Tell which schemas of a contract the scanner can't decide, and why."`
}

// contractLintCommand finds what is wrong with contracts.
type contractLintCommand struct {
	Files    []string `arg:"" help:"OpenAPI documents or JSON Schemas, in YAML or JSON." placeholder:"FILE"`
	Patterns string   `help:"strict: a pattern that can't be compiled is an error; skip: a warning." enum:"strict,skip" default:"strict"`
	JSON     bool     `name:"json" help:"Write the findings as JSON."`
	Strict   bool     `help:"Warnings fail too."`
	Color    string   `help:"Colours: auto, always or never." enum:"auto,always,never" default:"auto"`

	Names  string `help:"One style for the names of members and parameters." enum:"off,camelCase,snake_case" default:"off"`
	Types  bool   `help:"One name has one type, over all files."`
	Errors bool   `help:"Errors are problem documents (RFC 9457)."`
	Dates  bool   `help:"Strings that are called dates have a format."`
	IDs    bool   `name:"ids" help:"Names that end in id are strings: JavaScript rounds large integers."`

	out io.Writer // nil is standard output
}

// Help is shown by maru contract lint --help.
func (contractLintCommand) Help() string {
	return "Exit code 0: no errors; 2: errors, each with file:line:column and a fix.\n\n" +
		"Examples:\n  maru contract lint specs/*.yaml\n  maru contract lint --names camelCase --types --errors specs/*.yaml"
}

// Run reads the contracts and prints the findings.
func (c *contractLintCommand) Run() error {
	out := c.out
	if out == nil {
		out = os.Stdout
	}
	var findings []diag.Finding
	sources := make(map[string][]byte)
	rules := contract.Rules{Names: c.Names, Types: c.Types, Errors: c.Errors, Dates: c.Dates, IDs: c.IDs}
	style := contract.NewStyle(rules)
	for _, name := range c.Files {
		_, found := contract.LoadFile(name, contract.Options{
			Config: contract.Config{Patterns: c.Patterns}, Style: style, Decode: config.DecodeContract, Sources: sources,
		})
		findings = append(findings, found...)
	}
	findings = append(findings, style.Findings()...)
	errs, warnings := diag.Count(findings)
	if err := c.print(out, findings, sources); err != nil {
		return err
	}
	if errs > 0 || c.Strict && warnings > 0 {
		return exitError(2)
	}
	return nil
}

func (c *contractLintCommand) print(out io.Writer, findings []diag.Finding, sources map[string][]byte) error {
	if c.JSON {
		return diag.PrintJSON(out, findings)
	}
	if err := diag.Print(out, findings, sources, colored(out, c.Color)); err != nil {
		return err
	}
	errs, warnings := diag.Count(findings)
	if _, err := fmt.Fprintf(out, "%s: %s, %s\n", counted(len(c.Files), "contract"), counted(errs, "error"), counted(warnings, "warning")); err != nil {
		return fmt.Errorf("print findings: %w", err)
	}
	return nil
}

// contractCoverageCommand tells what goes to the reference validator.
type contractCoverageCommand struct {
	File string `arg:"" help:"An OpenAPI document or JSON Schema." placeholder:"FILE"`

	out io.Writer // nil is standard output
}

// Run reads the contract and lists its schemas.
func (c *contractCoverageCommand) Run() error {
	out := c.out
	if out == nil {
		out = os.Stdout
	}
	sources := make(map[string][]byte)
	loaded, findings := contract.LoadFile(c.File, contract.Options{Decode: config.DecodeContract, Sources: sources})
	if loaded == nil {
		if err := diag.Print(out, findings, sources, colored(out, "auto")); err != nil {
			return err
		}
		return exitError(2)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s: %s, %s\n", c.File, loaded.Dialect, counted(len(loaded.Operations), "operation"))
	for _, op := range loaded.Operations {
		fmt.Fprintf(&text, "  %-7s %s\n", op.Method, op.Path)
		for _, part := range op.Parts() {
			fmt.Fprintf(&text, "          %-24s %s\n", part.Name, part.How)
		}
	}
	if len(loaded.Coverage()) == 0 {
		text.WriteString("the scanner decides every schema\n")
	} else {
		text.WriteString("left to the reference validator:\n")
	}
	for _, x := range loaded.Coverage() {
		fmt.Fprintf(&text, "  %s: %s  %s\n", x.Position, cmp.Or(x.Keyword, "schema"), x.Schema)
	}
	if _, err := io.WriteString(out, text.String()); err != nil {
		return fmt.Errorf("print the coverage: %w", err)
	}
	return nil
}
