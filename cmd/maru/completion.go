package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"
)

// completionCommand prints a script that completes maru's command line.
type completionCommand struct {
	Shell string `arg:"" help:"Shell: bash, zsh or fish." enum:"bash,zsh,fish" placeholder:"SHELL"`

	out io.Writer // nil is standard output
}

// Help is shown by maru completion --help.
func (completionCommand) Help() string {
	return `Examples:
  source <(maru completion bash)
  maru completion zsh > "${fpath[1]}/_maru"
  maru completion fish > ~/.config/fish/completions/maru.fish`
}

// Run prints the script for the command table as it is.
func (c *completionCommand) Run(app *kong.Kong) error {
	out := c.out
	if out == nil {
		out = os.Stdout
	}
	script := map[string]func(*strings.Builder, []completed){"bash": bashScript, "zsh": zshScript, "fish": fishScript}[c.Shell]
	var b strings.Builder
	script(&b, completions(app.Model.Node, ""))
	if _, err := io.WriteString(out, b.String()); err != nil {
		return fmt.Errorf("print the script: %w", err)
	}
	return nil
}

// completed is one place of a command line: a command, and what may follow it.
type completed struct {
	path  string // "" or " config" or " config schema"
	words []completedWord
}

// completedWord is a command or a flag.
type completedWord struct {
	text, help string
	short      string   // of a flag: "c", or ""
	values     []string // that a flag may have; nil for any
	takes      bool     // a flag that has a value
}

// completions walks the command table.
func completions(n *kong.Node, path string) []completed {
	c := completed{path: path}
	for _, child := range n.Children {
		if !child.Hidden {
			c.words = append(c.words, completedWord{text: child.Name, help: child.Help})
		}
	}
	for _, p := range n.Positional {
		for _, v := range p.EnumSlice() {
			if v != "" {
				c.words = append(c.words, completedWord{text: v})
			}
		}
	}
	for _, flags := range n.AllFlags(true) {
		for _, f := range flags {
			w := completedWord{text: "--" + f.Name, help: f.Help, takes: !f.IsBool()}
			if f.Short != 0 {
				w.short = string(f.Short)
			}
			if f.Enum != "" {
				w.values = f.EnumSlice()
			}
			c.words = append(c.words, w)
		}
	}
	out := []completed{c}
	for _, child := range n.Children {
		if !child.Hidden {
			out = append(out, completions(child, path+" "+child.Name)...)
		}
	}
	return out
}

// paths lists the commands as alternatives of a shell's case.
func paths(all []completed, quote string) string {
	var out []string
	for _, c := range all {
		if c.path != "" {
			out = append(out, quote+c.path+quote)
		}
	}
	return strings.Join(out, "|")
}

func bashScript(b *strings.Builder, all []completed) {
	b.WriteString("# bash completion of maru\n_maru() {\n")
	b.WriteString("  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} path= words= i\n")
	b.WriteString("  for ((i = 1; i < COMP_CWORD; i++)); do\n    case \"$path ${COMP_WORDS[i]}\" in\n")
	fmt.Fprintf(b, "      %s) path=\"$path ${COMP_WORDS[i]}\" ;;\n    esac\n  done\n  case \"$path $prev\" in\n", paths(all, `"`))
	for _, c := range all {
		for _, w := range c.words {
			switch {
			case w.values != nil:
				fmt.Fprintf(b, "    %q) COMPREPLY=($(compgen -W %q -- \"$cur\")); return ;;\n", c.path+" "+w.text, strings.Join(w.values, " "))
			case w.takes:
				fmt.Fprintf(b, "    %q) COMPREPLY=(); return ;; # a file, or what only the user knows\n", c.path+" "+w.text)
			}
		}
	}
	b.WriteString("  esac\n  case \"$path\" in\n")
	for _, c := range all {
		var texts []string
		for _, w := range c.words {
			texts = append(texts, w.text)
		}
		fmt.Fprintf(b, "    %q) words=%q ;;\n", c.path, strings.Join(texts, " "))
	}
	b.WriteString("  esac\n  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\ncomplete -o default -F _maru maru\n")
}

func zshScript(b *strings.Builder, all []completed) {
	b.WriteString("#compdef maru\n_maru() {\n  local place= i\n  local -a items\n")
	b.WriteString("  for ((i = 2; i < CURRENT; i++)); do\n    case \"$place ${words[i]}\" in\n")
	fmt.Fprintf(b, "      %s) place=\"$place ${words[i]}\" ;;\n    esac\n  done\n  case \"$place\" in\n", paths(all, `"`))
	for _, c := range all {
		fmt.Fprintf(b, "    %q) items=(", c.path)
		for _, w := range c.words {
			fmt.Fprintf(b, "\n      %s", singleQuoted(strings.ReplaceAll(w.text, ":", `\:`)+":"+w.help))
		}
		b.WriteString(") ;;\n")
	}
	b.WriteString("  esac\n  _describe maru items\n  _files\n}\ncompdef _maru maru\n")
}

func fishScript(b *strings.Builder, all []completed) {
	b.WriteString("# fish completion of maru\n")
	for _, c := range all {
		steps := strings.Fields(c.path)
		when := "__fish_use_subcommand"
		if len(steps) > 0 {
			when = "__fish_seen_subcommand_from " + strings.Join(steps, "; and __fish_seen_subcommand_from ")
		}
		for _, w := range c.words {
			fmt.Fprintf(b, "complete -c maru -n %s", singleQuoted(when))
			if name, flag := strings.CutPrefix(w.text, "--"); flag {
				b.WriteString(" -l " + name)
				if w.short != "" {
					b.WriteString(" -s " + w.short)
				}
				if w.takes {
					b.WriteString(" -r")
				}
				if w.values != nil {
					b.WriteString(" -f -a " + singleQuoted(strings.Join(w.values, " ")))
				}
			} else {
				b.WriteString(" -f -a " + w.text)
			}
			if w.help != "" {
				b.WriteString(" -d " + singleQuoted(w.help))
			}
			b.WriteByte('\n')
		}
	}
}

// singleQuoted quotes for all three shells.
func singleQuoted(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
