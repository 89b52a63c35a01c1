package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/krakend"
	"github.com/maru-msa/maru/openapi"
	"github.com/maru-msa/maru/protobuf"
	"github.com/maru-msa/maru/sdl"
	"github.com/maru-msa/maru/sketch"
	"github.com/maru-msa/maru/spring"
)

// importCommand makes a maru.yaml of the configuration of another gateway.
type importCommand struct {
	Spring  importSpringCommand  `cmd:"" help:"Make a configuration file of one for Spring Cloud Gateway or Zuul."`
	Krakend importKrakendCommand `cmd:"" help:"Make a configuration file of a krakend.json."`
	OpenAPI importOpenAPICommand `cmd:"" name:"openapi" help:"Make sources and a graph of an OpenAPI document."`
	GraphQL importGraphQLCommand `cmd:"" name:"graphql" help:"Make the types of a graph of a GraphQL schema."`
	Proto   importProtoCommand   `cmd:"" help:"Make a gRPC source and a graph of a .proto file or a descriptor set."`
}

// importOutput says where the maru.yaml and the findings go.
type importOutput struct {
	Output string `short:"o" help:"Write the maru.yaml here instead of printing it." placeholder:"FILE"`
	Force  bool   `short:"f" help:"Write over a file that is there."`
	JSON   bool   `name:"json" help:"Write the findings as JSON to standard output; the maru.yaml needs -o then."`
	Color  string `help:"Colours: auto, always or never." enum:"auto,always,never" default:"auto"`

	out, errs io.Writer // nil is standard output, and standard error
}

// importSpringCommand reads application.yml and the like.
type importSpringCommand struct {
	Files    []string          `arg:"" help:"application.yml or .properties; of two that say different things the later one counts." placeholder:"FILE"`
	Profile  []string          `help:"An active profile; repeat it for several (default: spring.profiles.active of the files)." placeholder:"NAME"`
	Property map[string]string `mapsep:"none" help:"A value for $${NAME} in the files; repeat it for several." placeholder:"NAME=VALUE"`

	importOutput
}

// Help is shown by maru import spring --help.
func (importSpringCommand) Help() string {
	return `Prints a maru.yaml that maru check accepts, with comments that say where each piece comes from. What has no equal is a finding
with its place and what to do, on standard error; nothing is dropped in silence. Expressions (#{…}) are never evaluated.
Exit code 0: no findings; 2: findings, or the command line is wrong; 1: a file can't be read or written.

Examples:
  maru import spring application.yml -o maru.yaml
  maru import spring application.yml application-prod.yml --profile prod --property USERS_URL=http://10.0.0.7:8080`
}

// maxImport bounds an input file.
const maxImport = 8 << 20

// Run reads the files and writes what became of them.
func (c *importSpringCommand) Run() error {
	if err := c.open(); err != nil {
		return err
	}
	sources := make(map[string][]byte, len(c.Files))
	files := make([]spring.File, 0, len(c.Files))
	for _, name := range c.Files {
		text, err := readBounded(name, maxImport)
		if err != nil {
			return err
		}
		sources[name] = text
		files = append(files, spring.File{Name: name, Text: text})
	}
	r := spring.Import(files, spring.Options{Profiles: c.Profile, Properties: c.Property})
	return c.finish(r.YAML, r.Findings, sources, counted(r.Routes, "route")+", "+counted(r.Services, "service"))
}

// open finds where to write.
func (c *importOutput) open() error {
	if c.out == nil {
		c.out = os.Stdout
	}
	if c.errs == nil {
		c.errs = os.Stderr
	}
	if c.JSON && c.Output == "" {
		if _, err := fmt.Fprintln(c.errs, "maru: --json needs -o FILE for the maru.yaml"); err != nil {
			return fmt.Errorf("write to standard error: %w", err)
		}
		return exitError(2)
	}
	return nil
}

// finish writes what was made; tally counts it.
func (c *importOutput) finish(text []byte, findings []diag.Finding, sources map[string][]byte, tally string) error {
	if err := c.write(text); err != nil {
		return err
	}
	if err := c.tell(findings, sources, tally); err != nil {
		return err
	}
	if len(findings) > 0 {
		return exitError(2)
	}
	return nil
}

// one makes a maru.yaml of one file by an importer.
func (c *importOutput) one(name string, by func(name string, text []byte) sketch.Result) error {
	if err := c.open(); err != nil {
		return err
	}
	text, err := readBounded(name, maxImport)
	if err != nil {
		return err
	}
	r := by(name, text)
	var tally []string
	for _, n := range r.Tally {
		tally = append(tally, counted(n.N, n.Kind))
	}
	if len(tally) == 0 {
		tally = []string{"nothing"}
	}
	return c.finish(r.YAML, r.Findings, map[string][]byte{name: text}, strings.Join(tally, ", "))
}

// importKrakendCommand reads a krakend.json.
type importKrakendCommand struct {
	File string `arg:"" help:"A krakend.json of version 3, also as YAML." placeholder:"FILE"`

	importOutput
}

// Help is shown by maru import krakend --help.
func (importKrakendCommand) Help() string {
	return `Prints a maru.yaml that maru check accepts, with comments that say where each piece comes from. Endpoints become views, or routes
where they pass requests through. What has no equal is a finding with its place and what to do, on standard error; nothing is dropped
in silence. An endpoint that would answer more, or to more people, without it is written as a comment.
Exit code 0: no findings; 2: findings, or the command line is wrong; 1: a file can't be read or written.

Example:
  maru import krakend krakend.json -o maru.yaml`
}

// Run reads the file and writes what became of it.
func (c *importKrakendCommand) Run() error { return c.one(c.File, krakend.Import) }

// importOpenAPICommand reads an OpenAPI document.
type importOpenAPICommand struct {
	File string `arg:"" help:"An OpenAPI document of version 3, YAML or JSON." placeholder:"FILE"`

	importOutput
}

// Help is shown by maru import openapi --help.
func (importOpenAPICommand) Help() string {
	return `Prints a service, a graph and a first view to prune: types of the named schemas, one: of GET /xs/{id}, many: of parameters that list
ids, by: and links of fields such as xId, marked as guesses. The view is a comment.` + contractHelp + `
  maru import openapi specs/member.yaml -o maru.yaml`
}

// contractHelp ends the help of those that make a graph.
const contractHelp = ` What has no equal is a finding with its place.
Exit code 0: no findings; 2: findings, or the command line is wrong; 1: a file can't be read or written.

Example:`

// Run reads the file and writes what became of it.
func (c *importOpenAPICommand) Run() error { return c.one(c.File, openapi.Import) }

// importGraphQLCommand reads a GraphQL schema.
type importGraphQLCommand struct {
	File string `arg:"" help:"A schema in GraphQL's definition language." placeholder:"FILE"`

	importOutput
}

// Help is shown by maru import graphql --help.
func (importGraphQLCommand) Help() string {
	return `Prints the types of a graph to prune. A schema does not say where values come from: the fields of Query and Mutation are comments
in which a call is missing.` + contractHelp + `
  maru import graphql schema.graphql -o maru.yaml`
}

// Run reads the file and writes what became of it.
func (c *importGraphQLCommand) Run() error { return c.one(c.File, sdl.Import) }

// importProtoCommand reads a .proto file or a descriptor set.
type importProtoCommand struct {
	File string `arg:"" help:"A .proto file, or a descriptor set (.binpb, .pb)." placeholder:"FILE"`

	importOutput
}

// Help is shown by maru import proto --help.
func (importProtoCommand) Help() string {
	return `Prints a service, a source with the file as its contract, a type for each message and an entry of Query for each method, to prune.
Imports are not followed: messages of other files are any JSON.` + contractHelp + `
  maru import proto specs/location.proto -o maru.yaml`
}

// Run reads the file and writes what became of it.
func (c *importProtoCommand) Run() error { return c.one(c.File, protobuf.Import) }

// readBounded reads a file of at most so many bytes.
func readBounded(name string, most int64) ([]byte, error) {
	f, err := os.Open(name) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err //nolint:wrapcheck // names the file and the reason
	}
	defer f.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err //nolint:wrapcheck // names the file and the reason
	}
	if int64(len(text)) > most {
		return nil, fmt.Errorf("%s has more than %d MiB", name, most>>20)
	}
	return text, nil
}

// write puts the maru.yaml where it was asked for.
func (c *importOutput) write(text []byte) error {
	if c.Output == "" {
		if _, err := c.out.Write(text); err != nil {
			return fmt.Errorf("write the configuration: %w", err)
		}
		return nil
	}
	mode := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if c.Force {
		mode = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(filepath.Clean(c.Output), mode, 0o644) //nolint:gosec // a configuration holds no secrets
	if os.IsExist(err) {
		return fmt.Errorf("%s is there already; -f writes over it", c.Output)
	}
	if err != nil {
		return err //nolint:wrapcheck // names the file and the reason
	}
	if _, err := f.Write(text); err != nil {
		_ = f.Close()
		return fmt.Errorf("write %s: %w", c.Output, err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write %s: %w", c.Output, err)
	}
	return nil
}

// tell prints the findings, and a last line that counts.
func (c *importOutput) tell(findings []diag.Finding, sources map[string][]byte, tally string) error {
	if c.JSON {
		return diag.PrintJSON(c.out, findings) //nolint:wrapcheck // says what failed
	}
	if err := diag.Print(c.errs, findings, sources, colored(c.errs, c.Color)); err != nil {
		return err //nolint:wrapcheck // says what failed
	}
	if _, err := fmt.Fprintf(c.errs, "%s, %s\n", tally, counted(len(findings), "finding")); err != nil {
		return fmt.Errorf("print findings: %w", err)
	}
	return nil
}
