package main

import (
	"fmt"
	"io"
	"os"

	"github.com/maru-msa/maru/config"
	"github.com/maru-msa/maru/diag"
)

// colored tells whether to write colours to out: by mode ("always", "never"),
// else on a terminal, unless NO_COLOR is set (no-color.org) or it is dumb.
func colored(out io.Writer, mode string) bool {
	if mode == "always" || mode == "never" {
		return mode == "always"
	}
	f, ok := out.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

// printFindings writes findings with their source lines and, when there are
// any, how many they are.
func printFindings(out io.Writer, file *config.File, findings []diag.Finding, color bool) error {
	sources := map[string][]byte{file.Source.Name: file.Source.Text}
	for i := range findings { // a contract's, too
		name := findings[i].File
		if _, known := sources[name]; known || name == "" {
			continue
		}
		sources[name], _ = os.ReadFile(name) //nolint:gosec // a file that was read for the check; without it there is no source line
	}
	if err := diag.Print(out, findings, sources, color); err != nil {
		return err
	}
	if len(findings) == 0 {
		return nil
	}
	errs, warnings := diag.Count(findings)
	if _, err := fmt.Fprintf(out, "%s, %s\n", counted(errs, "error"), counted(warnings, "warning")); err != nil {
		return fmt.Errorf("print findings: %w", err)
	}
	return nil
}

func counted(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
