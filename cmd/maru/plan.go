package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/maru-msa/maru/aggregate"
)

// planCommand writes down the plans of the views, and compares two of such files.
type planCommand struct {
	Write planWriteCommand `cmd:"" default:"withargs" help:"Write the plans of all views: calls, bounds, fields."`
	Diff  planDiffCommand  `cmd:"" help:"Tell what changed between two of these files."`
}

// planWriteCommand writes the plans.
type planWriteCommand struct {
	Out string `help:"File to write (default: standard output)." placeholder:"FILE"`

	viewFile
}

// Run writes them.
func (c *planWriteCommand) Run() error {
	g, err := c.graph()
	if err != nil {
		return err
	}
	var out io.Writer = os.Stdout
	if c.Out != "" {
		f, err := os.Create(c.Out)
		if err != nil {
			return fmt.Errorf("write the plans: %w", err)
		}
		defer f.Close() //nolint:errcheck // printJSON told what could not be written
		out = f
	}
	return (&source{out: out}).printJSON(g.Records())
}

// planDiffCommand compares two files of plans.
type planDiffCommand struct {
	Old    string   `arg:"" help:"The plans before." type:"existingfile" placeholder:"OLD"`
	New    string   `arg:"" help:"The plans after." type:"existingfile" placeholder:"NEW"`
	FailOn []string `name:"fail-on" help:"Exit with 1 when one of these got worse: calls, depth, fields, views." enum:"calls,depth,fields,views" placeholder:"KIND,…"`
	JSON   bool     `name:"json" help:"Write JSON."`

	out io.Writer // nil is standard output
}

// Help is shown by maru plan diff --help.
func (planDiffCommand) Help() string {
	return `Commit what maru plan --out plans.json writes, and compare it in CI: a change that adds an upstream call to a view, lets calls wait for
one another, or takes a field away is seen before it is merged. Exit code 0: nothing that --fail-on names got worse; 1: something did.

Example:
  maru plan --out new.json && maru plan diff plans.json new.json --fail-on calls,depth,fields`
}

// Run compares them.
func (c *planDiffCommand) Run() error {
	before, err := readPlans(c.Old)
	if err != nil {
		return err
	}
	after, err := readPlans(c.New)
	if err != nil {
		return err
	}
	s := source{out: c.out}
	changes := aggregate.ComparePlans(before, after)
	if c.JSON {
		err = s.printJSON(changes)
	} else {
		err = printChanges(s.writer(), changes)
	}
	if err != nil {
		return err
	}
	if slices.ContainsFunc(changes, func(p aggregate.PlanChange) bool { return p.Worse && slices.Contains(c.FailOn, p.Kind) }) {
		return exitError(1)
	}
	return nil
}

func printChanges(w io.Writer, changes []aggregate.PlanChange) error {
	if len(changes) == 0 {
		_, err := fmt.Fprintln(w, "nothing changed")
		return err //nolint:wrapcheck // of standard output
	}
	for _, p := range changes {
		mark := " "
		if p.Worse {
			mark = "!"
		}
		if _, err := fmt.Fprintf(w, "%s %-6s  %s\n", mark, p.Kind, p.Text); err != nil {
			return err //nolint:wrapcheck // of standard output
		}
	}
	return nil
}

func readPlans(name string) ([]aggregate.PlanRecord, error) {
	text, err := os.ReadFile(name) //nolint:gosec // the file that the caller names
	if err != nil {
		return nil, fmt.Errorf("read the plans: %w", err)
	}
	var list []aggregate.PlanRecord
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("%s is no file of maru plan: %w", name, err)
	}
	return list, nil
}
