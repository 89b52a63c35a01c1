package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/maru-msa/maru/registry"
)

// registryCommand groups what is done to a running registry, by Eureka's
// protocol: maru's or a server of the original.
type registryCommand struct {
	List    registryListCommand    `cmd:"" help:"List what is registered."`
	Diff    registryDiffCommand    `cmd:"" help:"Compare two registries, instance by instance."`
	Drain   registryDrainCommand   `cmd:"" help:"Take an instance out of traffic: OUT_OF_SERVICE until it is restored."`
	Restore registryRestoreCommand `cmd:"" help:"Give an instance its own status back."`
}

// printer is how a command of the registry writes.
type printer struct {
	JSON bool `name:"json" help:"Write JSON, for programs."`

	out io.Writer // nil is standard output
}

func (p *printer) writer() io.Writer {
	if p.out != nil {
		return p.out
	}
	return os.Stdout
}

func (p *printer) json(v any) error {
	e := json.NewEncoder(p.writer())
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

// table writes rows in columns; the first row is the heading. On a terminal
// statuses have their colours.
func (p *printer) table(rows [][]string) error {
	color := colored(p.writer(), "auto")
	w := tabwriter.NewWriter(p.writer(), 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if cell == "" {
				cell = "-"
			}
			if color {
				cell = painted(cell)
			}
			if row[i] = cell; i == len(row)-1 {
				fmt.Fprintln(w, strings.Join(row, "\t"))
			}
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// painted gives a status its colour. Every cell gets one, the others that of the
// terminal, so that all take the same room.
func painted(cell string) string {
	code := "39"
	switch cell {
	case "UP":
		code = "32"
	case "DOWN":
		code = "31"
	case "STARTING", "OUT_OF_SERVICE", "UNKNOWN":
		code = "33"
	}
	return "\x1b[" + code + "m" + cell + "\x1b[0m"
}

// registryListCommand lists instances.
type registryListCommand struct {
	URL     string `arg:"" optional:"" help:"URL of the registry." default:"http://127.0.0.1:8761/eureka" placeholder:"URL"`
	Service string `help:"Only this service." placeholder:"NAME"`
	printer
}

// Help is shown by maru registry list --help.
func (registryListCommand) Help() string {
	return `Examples:
  maru registry list
  maru registry list --service auction --json
  maru registry list http://user:password@eureka.example.com:8761/eureka`
}

// listed is an instance as the list has it.
type listed struct {
	Service  string            `json:"service"`
	ID       string            `json:"id"`
	Status   string            `json:"status"`
	Override string            `json:"override,omitempty"`
	URL      string            `json:"url"`
	Zone     string            `json:"zone,omitempty"`
	Meta     map[string]string `json:"metadata,omitempty"`
}

// Run lists.
func (c *registryListCommand) Run() error {
	all, err := registry.Remote{URL: c.URL}.Instances(context.Background())
	if err != nil {
		return err
	}
	list := []listed{}
	for _, in := range all {
		if c.Service != "" && !strings.EqualFold(c.Service, in.App) {
			continue
		}
		l := listed{Service: strings.ToLower(in.App), ID: in.ID, Status: in.Status.String(), URL: in.CallURL(), Zone: in.Zone()}
		if in.Overridden != registry.Unknown {
			l.Override = in.Overridden.String()
		}
		for _, p := range in.Meta {
			if l.Meta == nil {
				l.Meta = make(map[string]string)
			}
			l.Meta[p.Key] = p.Value
		}
		list = append(list, l)
	}
	if c.JSON {
		return c.json(list)
	}
	rows := [][]string{{"SERVICE", "INSTANCE", "STATUS", "SET TO", "URL", "ZONE"}}
	for i := range list {
		l := &list[i]
		rows = append(rows, []string{l.Service, l.ID, l.Status, l.Override, l.URL, l.Zone})
	}
	return c.table(rows)
}

// registryDiffCommand compares two registries.
type registryDiffCommand struct {
	First  string   `arg:"" help:"URL of a registry." placeholder:"URL"`
	Second string   `arg:"" help:"URL of the one to compare it with." placeholder:"URL"`
	Skip   []string `help:"Leave a service out; repeat it for more." placeholder:"NAME"`
	printer
}

// Help is shown by maru registry diff --help.
func (registryDiffCommand) Help() string {
	return `Before clients move from one registry to another both should have the same. Compared is what instances tell of themselves
and what operators set; not when each server registered or renewed them. Exit code: 0 the same, 1 different, 2 one could
not be read.

Example:
  maru registry diff http://eureka.example.com:8761/eureka http://127.0.0.1:8761/eureka --skip eureka`
}

// Run compares.
func (c *registryDiffCommand) Run() error {
	var lists [2][]*registry.Instance
	for i, url := range []string{c.First, c.Second} {
		all, err := registry.Remote{URL: url}.Instances(context.Background())
		if err != nil {
			fmt.Fprintln(os.Stderr, "maru:", err)
			return exitError(2)
		}
		lists[i] = slices.DeleteFunc(all, func(in *registry.Instance) bool {
			return slices.ContainsFunc(c.Skip, func(name string) bool { return strings.EqualFold(name, in.App) })
		})
	}
	found := registry.Differences(lists[0], lists[1])
	if err := c.print(found, len(lists[0])); err != nil {
		return err
	}
	if len(found) > 0 {
		return exitError(1)
	}
	return nil
}

func (c *registryDiffCommand) print(found []registry.Difference, same int) error {
	if c.JSON {
		return c.json(append([]registry.Difference{}, found...))
	}
	if len(found) == 0 {
		if _, err := fmt.Fprintf(c.writer(), "both have the same %s\n", counted(same, "instance")); err != nil {
			return fmt.Errorf("print: %w", err)
		}
		return nil
	}
	rows := [][]string{{"SERVICE", "INSTANCE", "WHAT", "FIRST", "SECOND"}}
	for _, d := range found {
		what := d.Field
		if what == "" {
			what = "whole instance"
		}
		rows = append(rows, []string{strings.ToLower(d.App), d.ID, what, d.First, d.Second})
	}
	return c.table(rows)
}

// registeredAt names an instance and the registry that it is in.
type registeredAt struct {
	App      string `arg:"" help:"Service." placeholder:"NAME"`
	ID       string `arg:"" name:"id" help:"Id of the instance." placeholder:"ID"`
	Registry string `help:"URL of the registry." default:"http://127.0.0.1:8761/eureka" placeholder:"URL"`

	out io.Writer // nil is standard output
}

func (r *registeredAt) say(format string, args ...any) error {
	out := r.out
	if out == nil {
		out = os.Stdout
	}
	if _, err := fmt.Fprintf(out, format, args...); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// registryDrainCommand takes an instance out of traffic.
type registryDrainCommand struct{ registeredAt }

// Help is shown by maru registry drain --help.
func (registryDrainCommand) Help() string {
	return `Clients of the registry stop calling the instance, and what it has under way it ends. It stays registered and goes on
renewing. A registry tells its peers.

Example:
  maru registry drain auction b7:auction:9103
  maru registry restore auction b7:auction:9103`
}

// Run drains.
func (c *registryDrainCommand) Run() error {
	if err := (registry.Remote{URL: c.Registry}).SetStatus(context.Background(), c.App, c.ID, registry.OutOfService); err != nil {
		return err
	}
	return c.say("%s of %s is OUT_OF_SERVICE; back with: maru registry restore %s %s\n", c.ID, c.App, c.App, c.ID)
}

// registryRestoreCommand undoes a drain.
type registryRestoreCommand struct{ registeredAt }

// Help is shown by maru registry restore --help.
func (registryRestoreCommand) Help() string {
	return `It is shown as UP until it reports another status.

Example:
  maru registry restore auction b7:auction:9103`
}

// Run restores.
func (c *registryRestoreCommand) Run() error {
	if err := (registry.Remote{URL: c.Registry}).ClearStatus(context.Background(), c.App, c.ID, registry.Up); err != nil {
		return err
	}
	return c.say("%s of %s has its own status\n", c.ID, c.App)
}
