package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/maru-msa/maru/config"
	"github.com/maru-msa/maru/contract"
	"github.com/maru-msa/maru/diag"
)

// contractDiffCommand compares two versions of a contract.
type contractDiffCommand struct {
	Old    string `arg:"" help:"The contract before: an OpenAPI document or JSON Schema." placeholder:"OLD"`
	New    string `arg:"" help:"The contract after." placeholder:"NEW"`
	FailOn string `name:"fail-on" help:"Exit with 1 at a change of this level or above: breaking, warning, info or none." enum:"breaking,warning,info,none" default:"breaking"`
	JSON   bool   `name:"json" help:"Write JSON."`

	out io.Writer // nil is standard output
}

// Help is shown by maru contract diff --help.
func (contractDiffCommand) Help() string {
	return `Breaking is what refuses a request that was good, or takes away what an answer promised; a warning is what only some callers notice, such as a
new value of an enum in an answer. Exit code 0: nothing as bad as --fail-on names; 1: something; 2: a file can't be read.

Example, in CI:
  git show main:specs/member.yaml > old.yaml && maru contract diff old.yaml specs/member.yaml`
}

// Run compares them and prints the changes.
func (c *contractDiffCommand) Run() error {
	out := c.out
	if out == nil {
		out = os.Stdout
	}
	sources := make(map[string][]byte)
	opt := contract.Options{Decode: config.DecodeContract, Sources: sources}
	before, done, err := contract.Open(c.Old, opt)
	if err != nil {
		return fmt.Errorf("compare contracts: %w", err)
	}
	defer done()
	after, done, err := contract.Open(c.New, opt)
	if err != nil {
		return fmt.Errorf("compare contracts: %w", err)
	}
	defer done()
	changes, findings := contract.Diff(before, after)
	if errs, _ := diag.Count(findings); errs > 0 {
		if err := diag.Print(os.Stderr, findings, sources, colored(os.Stderr, "auto")); err != nil {
			return err
		}
		return exitError(2)
	}
	if c.JSON {
		err = c.printJSON(out, changes)
	} else {
		_, err = io.WriteString(out, told(changes))
	}
	if err != nil {
		return fmt.Errorf("print the changes: %w", err)
	}
	for i := range changes {
		if c.FailOn != "none" && changes[i].Level >= levelOf(c.FailOn) {
			return exitError(1)
		}
	}
	return nil
}

// levelOf is the level of that name.
func levelOf(name string) contract.Level {
	for l := range contract.Breaking {
		if l.String() == name {
			return l
		}
	}
	return contract.Breaking
}

func (c *contractDiffCommand) printJSON(out io.Writer, changes []contract.Change) error {
	if changes == nil {
		changes = []contract.Change{}
	}
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(changes) //nolint:wrapcheck // the caller does
}

// told is the changes for people: the worst first.
func told(changes []contract.Change) string {
	var b strings.Builder
	var counts [contract.Breaking + 1]int
	for i := range changes {
		c := &changes[i]
		counts[c.Level]++
		at := strings.Join(strings.Fields(c.Operation+" "+c.Where+" "+c.Pointer), " ")
		if at != "" {
			at += ": "
		}
		fmt.Fprintf(&b, "%-8s  %s: %s%s\n", c.Level, c.Position, at, c.Text)
	}
	fmt.Fprintf(&b, "%d breaking, %s, %d for information\n", counts[contract.Breaking], counted(counts[contract.Warn], "warning"), counts[contract.Info])
	return b.String()
}
