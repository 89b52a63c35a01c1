package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/maru-msa/maru/config"
	"github.com/maru-msa/maru/contract"
	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/problem"
)

// contractMockCommand stands in for a service by its contract.
type contractMockCommand struct {
	File   string `arg:"" help:"The OpenAPI document." placeholder:"FILE"`
	Listen string `help:"Address to listen at." default:"127.0.0.1:4010" placeholder:"HOST:PORT"`
	Base   string `help:"What is put before the paths of the contract, such as /v2." placeholder:"PATH"`
	Quiet  bool   `help:"Print nothing but errors."`

	out io.Writer // nil is standard output
}

// Help is shown by maru contract mock --help.
func (contractMockCommand) Help() string {
	return `Answers have the examples of the contract, and else values made up for its schemas: always the same ones. A request chooses another answer with
Prefer: code=404. Requests are not checked; put maru with the filter validate before it for that.

Example:
  maru contract mock specs/member.yaml
  curl -H 'Prefer: code=404' http://127.0.0.1:4010/members/7`
}

// Run serves until it is told to stop.
func (c *contractMockCommand) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return c.serve(ctx)
}

// serve reads the contract and serves until ctx ends.
func (c *contractMockCommand) serve(ctx context.Context) error {
	out := c.out
	if out == nil {
		out = os.Stdout
	}
	sources := make(map[string][]byte)
	v, done, err := contract.Open(c.File, contract.Options{Config: contract.Config{Base: c.Base}, Decode: config.DecodeContract, Sources: sources})
	if err != nil {
		return fmt.Errorf("mock: %w", err)
	}
	m, findings := contract.NewMock(v)
	done()
	if len(findings) > 0 {
		if err := diag.Print(os.Stderr, findings, sources, colored(os.Stderr, "auto")); err != nil {
			return err
		}
	}
	if m == nil {
		return exitError(2)
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("mock: %w", err)
	}
	if !c.Quiet {
		if err := c.announce(out, m, ln.Addr()); err != nil {
			return err
		}
	}
	return serveMock(ctx, ln, m)
}

func (c *contractMockCommand) announce(out io.Writer, m *contract.Mock, at net.Addr) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s answers at http://%s\n", c.File, at)
	for _, op := range m.Operations() {
		fmt.Fprintf(&b, "  %-7s %s\n", op.Method, op.Path)
	}
	if _, err := io.WriteString(out, b.String()); err != nil {
		return fmt.Errorf("mock: %w", err)
	}
	return nil
}

// serveMock serves until ctx ends.
func serveMock(ctx context.Context, ln net.Listener, m *contract.Mock) error {
	const patience = 10 * time.Second
	s := &http.Server{Handler: mockHandler(m), ReadHeaderTimeout: patience, ReadTimeout: time.Minute, MaxHeaderBytes: 64 << 10}
	end := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer end()
	if err := s.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("mock: %w", err)
	}
	return nil
}

// preferred is the status that a request asks for by Prefer (RFC 7240 §2); 0 for none.
func preferred(r *http.Request) int {
	for _, field := range r.Header.Values("Prefer") {
		for part := range strings.FieldsFuncSeq(field, func(c rune) bool { return c == ',' || c == ';' || c == ' ' }) {
			if code, found := strings.CutPrefix(part, "code="); found {
				status, _ := strconv.Atoi(strings.Trim(code, `"`))
				return status
			}
		}
	}
	return 0
}

func mockHandler(m *contract.Mock) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := preferred(r)
		answer, allow := m.Answer(r.Method, r.URL.Path, status)
		if answer == nil && r.Method == http.MethodHead {
			answer, allow = m.Answer(http.MethodGet, r.URL.Path, status)
		}
		switch {
		case answer != nil:
			if answer.Media != "" {
				w.Header().Set("Content-Type", answer.Media)
			}
			w.WriteHeader(answer.Status)
			_, _ = w.Write(answer.Body) //nolint:gosec // of the contract, not of the request; the client may have left
		case allow != nil:
			slices.Sort(allow)
			w.Header().Set("Allow", strings.Join(slices.Compact(allow), ", "))
			refuseMock(w, problem.New(http.StatusMethodNotAllowed, "method_not_allowed", "the contract has this path for "+strings.Join(allow, ", ")))
		default:
			refuseMock(w, problem.New(http.StatusNotFound, "no_operation", "the contract has no such path"))
		}
	})
}

func refuseMock(w http.ResponseWriter, p *problem.Error) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_, _ = w.Write(p.AppendJSON(nil, http.StatusText(p.Status), "", "")) //nolint:gosec // JSON of our own words; the client may have left
}
