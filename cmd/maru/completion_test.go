package main

import (
	"os/exec"
	"strings"
	"testing"
)

// scriptOf is what maru completion prints for a shell.
func scriptOf(t *testing.T, shell string) string {
	t.Helper()
	out, err := maru(t, "completion", shell).Output()
	if err != nil {
		t.Fatalf("maru completion %s: %v", shell, err)
	}
	return string(out)
}

func TestCompletionScriptsKnowTheCommands(t *testing.T) {
	t.Parallel()
	for shell, want := range map[string][]string{
		"bash": {"complete -o default -F _maru maru", `" config schema"`, "--drain-wait"},
		"zsh":  {"#compdef maru", "'--config:Configuration file.'", "'upgrade:"},
		"fish": {"complete -c maru -n '__fish_seen_subcommand_from serve' -l config -s c -r", "-a 'auto always never'"},
	} {
		script := scriptOf(t, shell)
		for _, w := range want {
			if !strings.Contains(script, w) {
				t.Errorf("the script for %s lacks %s", shell, w)
			}
		}
		if strings.Contains(script, "demo-part") {
			t.Errorf("the script for %s offers a hidden command", shell)
		}
	}
}

func TestCompletionInBash(t *testing.T) {
	t.Parallel()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal("the test needs bash: ", err)
	}
	script := scriptOf(t, "bash")
	for line, want := range map[string]string{
		`maru upg`:              "upgrade",
		`maru config ""`:        "schema --help",
		`maru check --color al`: "always",
		`maru serve --pid`:      "--pid-file",
		`maru completion z`:     "zsh",
		`maru serve --config x`: "", // left to the shell's own file names
	} {
		words := "COMP_WORDS=(" + line + "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _maru; echo ${COMPREPLY[@]}"
		cmd := exec.CommandContext(t.Context(), bash, "--norc", "-c", script+words)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
		if got := strings.TrimSpace(string(out)); got != want {
			t.Errorf("%s: completed by %q, want %q", line, got, want)
		}
	}
}
