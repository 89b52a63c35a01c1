package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4" //nolint:depguard // the suite is written in YAML

	"github.com/maru-msa/maru/aggregate"
	"github.com/maru-msa/maru/edge"
	"github.com/maru-msa/maru/edge/edgetest"
	"github.com/maru-msa/maru/graphql"
	"github.com/maru-msa/maru/message"
)

// graphqlAudits are the modules that npm fetches for the audits of GraphQL over HTTP.
func graphqlAudits() []string { return []string{"graphql-http@1.23.1", "graphql@16.11.0"} }

// audited is how many audits graphql-http has.
const audited = 61

func TestGraphQLOverHTTPAudits(t *testing.T) {
	script := installAudits(t)
	cfg := edgetest.Config(t, "http://127.0.0.1:9", edge.ListenerConfig{})
	cfg.Compose.Graph.Query = map[string]aggregate.RootConfig{
		"greeting": {Type: "String", Call: aggregate.CallConfig{Call: "service GET /greeting"}},
	}
	cfg.GraphQL = &edge.GraphQLConfig{Config: graphql.Config{Trusted: "off", Introspection: "on"}}
	g := edgetest.Start(t, cfg)
	ctx, stop := context.WithTimeout(t.Context(), npmTime)
	defer stop()
	node := exec.CommandContext(ctx, "node", script, "http://"+g.Addr("public")+"/graphql")
	out, err := node.CombinedOutput()
	if err != nil {
		t.Fatalf("the audits: %v\n%s", err, out)
	}
	n := 0
	for line := range strings.Lines(string(out)) {
		var audit struct{ ID, Name, Status, Reason string }
		if err := json.Unmarshal([]byte(line), &audit); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if n++; audit.Status != "ok" {
			t.Errorf("%s %s: %s %s", audit.ID, audit.Name, audit.Status, audit.Reason)
		}
	}
	if n != audited {
		t.Errorf("%d audits ran, want %d", n, audited)
	}
}

// installAudits lays the suite into a folder of its own and gives the script beside
// it. Without node, npm or their registry the test is skipped.
func installAudits(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"node", "npm"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not here, which the audits need", name)
		}
	}
	dir := t.TempDir()
	ctx, stop := context.WithTimeout(t.Context(), npmTime)
	defer stop()
	args := []string{"install", "--prefix", dir, "--no-audit", "--no-fund", "--no-save", "--no-package-lock", "--ignore-scripts"}
	npm := exec.CommandContext(ctx, "npm", append(args, graphqlAudits()...)...)
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		t.Skipf("the audits can't be installed here: %v\n%s", err, out)
	}
	text, err := os.ReadFile("testdata/graphql-audits.mjs")
	if err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(dir, "audits.mjs")
	if err := os.WriteFile(script, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return script
}

// ruleCase is one of gqlparser's cases, which come from graphql-js.
type ruleCase struct {
	Name   string      `yaml:"name"`
	Rule   string      `yaml:"rule"`
	Schema string      `yaml:"schema"`
	Query  string      `yaml:"query"`
	Errors []ruleError `yaml:"errors"`
}

type ruleError struct {
	Message   string      `yaml:"message"`
	Locations []ruleLines `yaml:"locations"`
}

type ruleLines struct {
	Line   int `yaml:"line"`
	Column int `yaml:"column"`
}

// deviation is where gqlparser differs from graphql-js, and why.
type deviation struct {
	Rule   string      `yaml:"rule"`
	Skip   string      `yaml:"skip"`
	Errors []ruleError `yaml:"errors"`
}

// ruleCases is how many cases gqlparser has imported, of which its deviations.yml
// skips skippedCases: of rules that GraphQL does not have, or of schemas within documents.
const ruleCases, skippedCases = 432, 29

// toldErrors is how many errors of a document a door tells at most.
const toldErrors = 10

// The cases go the way of a request: read, limited, parsed, validated.
func TestGraphQLValidationCases(t *testing.T) {
	dir := filepath.Join(moduleDir(t, "github.com/vektah/gqlparser/v2"), "validator", "imported")
	var schemas []string
	var deviations []deviation
	readYAML(t, filepath.Join(dir, "spec", "schemas.yml"), &schemas)
	readYAML(t, filepath.Join(dir, "deviations.yml"), &deviations)
	files, err := filepath.Glob(filepath.Join(dir, "spec", "*.spec.yml"))
	if err != nil {
		t.Fatal(err)
	}
	doors := make(map[string]*graphql.Door)
	n, skipped := 0, 0
	for _, file := range files {
		var cases []ruleCase
		readYAML(t, file, &cases)
		rule := strings.TrimSuffix(filepath.Base(file), ".spec.yml")
		for _, c := range cases {
			n++
			skip := c.deviate(rule, deviations)
			sdl := c.Schema
			if i, err := strconv.Atoi(c.Schema); err == nil {
				sdl = schemas[i]
			}
			if doors[sdl] == nil {
				doors[sdl] = doorOf(t, sdl)
			}
			if skip {
				skipped++
				c.refused(t, rule, doors[sdl])
				continue
			}
			c.check(t, rule, doors[sdl])
		}
	}
	if n != ruleCases || skipped != skippedCases {
		t.Errorf("%d cases of which %d are skipped, want %d and %d", n, skipped, ruleCases, skippedCases)
	}
}

// deviate applies what gqlparser says about a case, and tells whether it skips it.
func (c *ruleCase) deviate(rule string, list []deviation) bool {
	for _, d := range list {
		if !regexp.MustCompile("^" + d.Rule + "$").MatchString(rule + "/" + c.Name) {
			continue
		}
		if d.Skip != "" {
			return true
		}
		c.Errors = d.Errors
	}
	return false
}

// optionalRules are graphql-js' own, for tools: no part of GraphQL's validation.
var optionalRules = []string{"NoDeprecatedCustomRule", "NoSchemaIntrospectionCustomRule"}

// refused looks at a case whose words deviations.yml leaves open: where GraphQL
// finds a fault, the document is refused all the same, by whichever rule.
func (c *ruleCase) refused(t *testing.T, file string, door *graphql.Door) {
	t.Helper()
	answer := ask(t, door, c.Query)
	if len(c.Errors) > 0 && !slices.Contains(optionalRules, file) && len(answer.Errors) == 0 {
		t.Errorf("%s/%s is not refused:\n%s", file, c.Name, c.Query)
	}
}

func (c *ruleCase) check(t *testing.T, file string, door *graphql.Door) {
	t.Helper()
	var want, got []string
	for _, e := range c.Errors {
		want = append(want, strings.ReplaceAll(e.Message, "; Did you mean", ". Did you mean"))
	}
	answer := ask(t, door, c.Query)
	for _, e := range answer.Errors {
		if strings.HasSuffix(e.Extensions.Code, "_LIMIT") {
			t.Errorf("%s/%s: a limit keeps the case from being validated: %s", file, c.Name, e.Message)
		}
		if e.Extensions.Rule == c.Rule {
			got = append(got, e.Message)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if len(answer.Errors) == toldErrors { // the rest was not told
		want = slices.DeleteFunc(want, func(m string) bool { return !slices.Contains(got, m) })
		want, got = slices.Compact(want), slices.Compact(got)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s/%s:\n%s\ngot  %q\nwant %q", file, c.Name, c.Query, got, want)
	}
}

type graphqlAnswer struct {
	Errors []struct {
		Message    string
		Extensions struct{ Code, Rule string }
	}
}

// ask sends a document through a door.
func ask(t *testing.T, door *graphql.Door, query string) graphqlAnswer {
	t.Helper()
	body, err := json.Marshal(map[string]string{"query": query})
	if err != nil {
		t.Fatal(err)
	}
	r := message.NewRequest()
	defer r.Release()
	r.Method, r.Path, r.Body, r.Length = "POST", "/graphql", message.Bytes(body), int64(len(body))
	r.Header.AppendID(message.ContentType, "application/json")
	p, err := door.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Release()
	text, err := message.ReadAll(nil, p.Body, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var answer graphqlAnswer
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return answer
}

// sdlEngine is an engine that has a schema and plans nothing.
type sdlEngine string

func (e sdlEngine) SDL() string { return string(e) }

func (e sdlEngine) Prepare(*graphql.Operation) (graphql.Runner, []graphql.Fault) {
	return nil, []graphql.Fault{{Text: "nothing is planned here"}}
}

func doorOf(t *testing.T, sdl string) *graphql.Door {
	t.Helper()
	d, err := graphql.New(graphql.Config{Trusted: "off", Introspection: "on"}, sdlEngine(sdl))
	if err != nil {
		t.Fatalf("%v in %s", err, sdl)
	}
	return d
}

// moduleDir is where the source of a module is.
func moduleDir(t *testing.T, module string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		t.Fatalf("find %s: %v", module, err)
	}
	return strings.TrimSpace(string(out))
}

func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err == nil {
		err = yaml.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(fmt.Errorf("%s: %w", file, err))
	}
}
