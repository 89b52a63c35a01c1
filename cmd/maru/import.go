package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/spring"
)

// importCommand makes a maru.yaml of the configuration of another gateway.
type importCommand struct {
	Spring importSpringCommand `cmd:"" help:"Make a configuration file of one for Spring Cloud Gateway or Zuul."`
}

// importSpringCommand reads application.yml and the like.
type importSpringCommand struct {
	Files    []string          `arg:"" help:"application.yml or .properties; of two that say different things the later one counts." placeholder:"FILE"`
	Output   string            `short:"o" help:"Write the maru.yaml here instead of printing it." placeholder:"FILE"`
	Force    bool              `short:"f" help:"Write over a file that is there."`
	Profile  []string          `help:"An active profile; repeat it for several (default: spring.profiles.active of the files)." placeholder:"NAME"`
	Property map[string]string `mapsep:"none" help:"A value for $${NAME} in the files; repeat it for several." placeholder:"NAME=VALUE"`
	JSON     bool              `name:"json" help:"Write the findings as JSON to standard output; the maru.yaml needs -o then."`
	Color    string            `help:"Colours: auto, always or never." enum:"auto,always,never" default:"auto"`

	out, errs io.Writer // nil is standard output, and standard error
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
	out, errs := c.out, c.errs
	if out == nil {
		out = os.Stdout
	}
	if errs == nil {
		errs = os.Stderr
	}
	if c.JSON && c.Output == "" {
		if _, err := fmt.Fprintln(errs, "maru: --json needs -o FILE for the maru.yaml"); err != nil {
			return fmt.Errorf("write to standard error: %w", err)
		}
		return exitError(2)
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
	if err := c.write(out, r.YAML); err != nil {
		return err
	}
	if err := c.tell(out, errs, &r, sources); err != nil {
		return err
	}
	if len(r.Findings) > 0 {
		return exitError(2)
	}
	return nil
}

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
func (c *importSpringCommand) write(out io.Writer, text []byte) error {
	if c.Output == "" {
		if _, err := out.Write(text); err != nil {
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
func (c *importSpringCommand) tell(out, errs io.Writer, r *spring.Result, sources map[string][]byte) error {
	if c.JSON {
		return diag.PrintJSON(out, r.Findings) //nolint:wrapcheck // says what failed
	}
	if err := diag.Print(errs, r.Findings, sources, colored(errs, c.Color)); err != nil {
		return err //nolint:wrapcheck // says what failed
	}
	_, err := fmt.Fprintf(errs, "%s, %s, %s\n", counted(r.Routes, "route"), counted(r.Services, "service"), counted(len(r.Findings), "finding"))
	if err != nil {
		return fmt.Errorf("print findings: %w", err)
	}
	return nil
}
