package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/maru-msa/maru/config"
	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/edge"
)

// source is where explain and routes look: a file, or a running maru.
type source struct {
	Config    string `short:"c" help:"Configuration file (default: maru.yaml)." placeholder:"FILE" xor:"source"`
	Admin     string `help:"Ask a running maru by its admin API instead of reading a file." placeholder:"URL" xor:"source"`
	TokenFile string `name:"token-file" help:"File with the admin API's token." placeholder:"FILE"`
	JSON      bool   `name:"json" help:"Write JSON."`

	out io.Writer // nil is standard output
}

// explainCommand tells which route takes a request, and why.
type explainCommand struct {
	Method   string   `arg:"" help:"Method, such as GET; or method and URL in one word." placeholder:"METHOD"`
	URL      string   `arg:"" optional:"" help:"URL, such as http://api.example.com/auctions/7?x=1, or a path." placeholder:"URL"`
	Header   []string `short:"H" sep:"none" help:"A header field; repeat it for several." placeholder:"'NAME: VALUE'"`
	Listener string   `help:"Listener that the request enters by (default: public, or the first)." placeholder:"NAME"`
	Client   string   `help:"Address that the request comes from, or the name of one of clients: to ask as." default:"127.0.0.1" placeholder:"ADDR"`
	Trace    bool     `name:"run" help:"Run the view in the running maru and show what each call took (default of --admin: http://127.0.0.1:7070)."`

	source
}

// Help is shown by maru explain --help.
func (explainCommand) Help() string {
	return `Runs the checks and the route table of the gateway, but no filter, and calls no service. When a view takes the request,
its plan is shown: calls, order, what happens when one fails, and what it may cost at most; --run makes the calls. Exit code 0: a route takes the
request; 1: none does, or it is refused; 2: the command line or the file is wrong.

Examples:
  maru explain GET http://api.example.com/auctions/7
  maru explain POST /rewards -H 'Content-Type: application/json' --client 203.0.113.9
  maru explain GET /auctions/7 --admin http://127.0.0.1:7070
  maru explain "GET /home/7" --client mobile
  maru explain "GET /home/7" --client mobile --run`
}

// Run explains the request.
func (c *explainCommand) Run() error {
	if method, url, ok := strings.Cut(strings.TrimSpace(c.Method), " "); ok && c.URL == "" {
		c.Method, c.URL = method, strings.TrimSpace(url)
	}
	if c.URL == "" {
		return c.usage(errors.New("the URL is missing: maru explain GET /auctions/7"))
	}
	q := edge.ExplainQuery{Method: c.Method, URL: c.URL, Listener: c.Listener, Client: c.Client}
	for _, h := range c.Header {
		name, value, ok := strings.Cut(h, ":")
		if !ok {
			return c.usage(fmt.Errorf("-H %q is not 'NAME: VALUE'", h))
		}
		q.Headers = append(q.Headers, [2]string{strings.TrimSpace(name), strings.TrimSpace(value)})
	}
	x, err := c.explain(q)
	if err != nil {
		return err
	}
	if c.JSON {
		err = c.printJSON(x)
	} else {
		err = c.print(x)
	}
	if err == nil && x.Verdict != "found" {
		return exitError(1)
	}
	return err
}

func (c *explainCommand) explain(q edge.ExplainQuery) (*edge.Explanation, error) {
	path := "/v1/explain"
	if c.Trace {
		if path = "/v1/views/run"; c.Admin == "" {
			c.Admin = "http://127.0.0.1:7070"
		}
	}
	if c.Admin != "" {
		x := new(edge.Explanation)
		return x, c.ask("POST", path, q, x)
	}
	rt, place, err := c.build()
	if err != nil {
		return nil, err
	}
	x, err := rt.Explain(q, place)
	if err != nil {
		return nil, c.usage(err)
	}
	return x, nil
}

// usage tells that the command line is wrong.
func (s *source) usage(err error) error {
	fmt.Fprintln(os.Stderr, "maru:", err)
	return exitError(2)
}

func (s *source) writer() io.Writer {
	if s.out != nil {
		return s.out
	}
	return os.Stdout
}

// build loads and builds the file, and starts nothing.
func (s *source) build() (*edge.Runtime, func(string) string, error) {
	name := s.Config
	if name == "" {
		name = "maru.yaml"
	}
	file, findings := config.Load(name)
	var rt *edge.Runtime
	if errs, _ := diag.Count(findings); errs == 0 {
		var err error
		if rt, err = edge.Build(file.Config, edge.Env{Zone: file.Zone, Decode: config.DecodeContract}, nil); err != nil {
			findings = file.Source.Findings(err)
		}
	}
	if errs, _ := diag.Count(findings); errs > 0 {
		if err := printFindings(os.Stderr, file, findings, colored(os.Stderr, "auto")); err != nil {
			return nil, nil, err
		}
		return nil, nil, exitError(2)
	}
	return rt, func(path string) string { return file.Source.Position(path).String() }, nil
}

// maxAnswer bounds what an admin API may answer.
const maxAnswer = 64 << 20

// ask calls the admin API; in may be nil.
func (s *source) ask(method, path string, in, out any) error {
	base := strings.TrimSuffix(s.Admin, "/")
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return fmt.Errorf("write the query: %w", err)
		}
	}
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	r, err := http.NewRequestWithContext(ctx, method, base+path, &body)
	if err != nil {
		return s.usage(fmt.Errorf("--admin %s: %w", s.Admin, err))
	}
	r.Header.Set("Content-Type", "application/json")
	if s.TokenFile != "" {
		token, err := os.ReadFile(s.TokenFile)
		if err != nil {
			return s.usage(fmt.Errorf("read the token: %w", err))
		}
		r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	p, err := new(http.Client).Do(r)
	if err != nil {
		return fmt.Errorf("ask the running maru: %w", err)
	}
	defer p.Body.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(io.LimitReader(p.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", base, err)
	}
	if p.StatusCode != http.StatusOK {
		return refusal(p.StatusCode, text)
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%s does not answer as a maru does: %w", base, err)
	}
	return nil
}

// refusal is the error in an answer of the admin API.
func refusal(status int, text []byte) error {
	var p struct{ Detail string }
	if json.Unmarshal(text, &p) != nil || p.Detail == "" {
		return fmt.Errorf("the running maru answers %d %s", status, http.StatusText(status))
	}
	return errors.New(p.Detail)
}

func (s *source) printJSON(v any) error {
	e := json.NewEncoder(s.writer())
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

// print writes an explanation for people.
func (c *explainCommand) print(x *edge.Explanation) error {
	w := tabwriter.NewWriter(c.writer(), 0, 0, 2, ' ', 0)
	row := func(name, text string) {
		if text != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, text)
		}
	}
	if x.Verdict == "found" {
		row("route", placed(x.Route, x.At))
		row("because", strings.Join(x.Why, ", "))
	} else {
		row("answer", strings.TrimSpace(fmt.Sprintf("%d %s %s", x.Status, http.StatusText(x.Status), x.Reason)))
		row("because", verdictText(x))
		row("allow", x.Allow)
	}
	row("path", x.Canonical)
	row("readings", x.Readings)
	row("parameters", parameters(x.Params))
	row("enters by", x.Listener+" from "+x.Client)
	row("filters", strings.Join(x.Filters, " > "))
	if x.Service != "" {
		row("service", fmt.Sprintf("%s, %s", x.Service, counted(x.Endpoints, "endpoint")))
	}
	row("time-outs", timeouts(x))
	for i, n := range x.Not {
		name := "not"
		if i > 0 {
			name = ""
		}
		fmt.Fprintf(w, "%s\t%s: %s\n", name, placed(n.Route, n.At), n.Because)
	}
	err := w.Flush()
	if err == nil && x.View != nil {
		_, err = fmt.Fprint(c.writer(), "\n", x.View.Text())
	}
	if err != nil {
		return fmt.Errorf("print the explanation: %w", err)
	}
	return nil
}

func placed(name, at string) string {
	if at == "" {
		return name
	}
	return name + " (" + at + ")"
}

func verdictText(x *edge.Explanation) string {
	switch x.Verdict {
	case "not found":
		return "no route matches"
	case "method not allowed":
		return "the path is known, but not with this method"
	case "options":
		return "no route takes OPTIONS, so the gateway answers with the methods of the path"
	case "ambiguous":
		return "the path can be read in a way that leads to another route, or its route takes no such paths"
	}
	return x.Detail
}

func parameters(params map[string]string) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(params)) {
		out = append(out, name+" = "+params[name])
	}
	return strings.Join(out, ", ")
}

func timeouts(x *edge.Explanation) string {
	var out []string
	for _, t := range []struct{ value, of string }{
		{x.Timeout, "in all"}, {x.TryTimeout, "a try"}, {x.ConnectTimeout, "to connect"},
	} {
		switch t.value {
		case "":
		case "0s":
			out = append(out, "none "+t.of)
		default:
			out = append(out, t.value+" "+t.of)
		}
	}
	return strings.Join(out, ", ")
}
