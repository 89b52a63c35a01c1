package filter

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

func TestErrorsConfig(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	refuses(t, "errors", [][2]string{
		{"{}", "pages"},
		{`{"of": "mine", "pages": [{"template": "x"}]}`, "of"},
		{`{"pages": [{}]}`, "pages[0]"},
		{`{"pages": [{"template": "x", "service": "shop"}]}`, "pages[0]"},
		{`{"pages": [{"template": "x", "status": ["200"]}]}`, "pages[0].status"},
		{`{"pages": [{"template": "x", "status": ["oops"]}]}`, "pages[0].status[0]"},
		{`{"pages": [{"template": "x", "path": "/x"}]}`, "pages[0].path"},
		{`{"pages": [{"service": "none"}]}`, "pages[0].service"},
		{`{"pages": [{"service": "shop", "path": "x"}]}`, "pages[0].path"},
		{`{"pages": [{"service": "shop", "path": "/{stats}"}]}`, "pages[0].path"},
		{`{"pages": [{"file": "` + dir + `/none"}]}`, "pages[0].file"},
		{`{"pages": [{"file": "` + dir + `"}]}`, "pages[0].file"},
		{`{"pages": [{"template": "{\"a\": {status}"}]}`, "pages[0].template"},
		{`{"pages": [{"template": "{statsu}"}]}`, "pages[0].template"},
		{`{"pages": [{"template": "x", "content-type": "a\nb"}]}`, "pages[0].content-type"},
	})
	takes(t, "errors", `{"of": "both", "pages": [{"status": ["404", "5xx"], "template": "{\"status\": {status:int}, \"title\": {title}}"}]}`)
}

// rendered asks through an errors filter and gives the answer, ours or the built-in one.
func rendered(t *testing.T, c *Errors, env Env, r *message.Request, next Func) (status int, contentType, body string, resp *message.Response) {
	t.Helper()
	f, err := c.Filter(env)
	if err != nil {
		t.Fatal(err)
	}
	resp, err = f(next)(r)
	if err != nil {
		resp = Render(r, err)
	}
	return resp.Status, resp.Header.Value(message.ContentType), readBody(t, resp.Body), resp
}

func failing(status int) Func {
	return func(*message.Request) (*message.Response, error) {
		p := problem.New(status, "some_reason", "some <detail>")
		p.Allow, p.RetryAfter = "GET", 3*time.Second
		return nil, p
	}
}

func TestErrorsTemplate(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(name, []byte("<p>{status} {title} {detail} {query.q}"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := ask("GET", "/?q=%3Cscript%3E", "Accept: text/html")
	defer r.Release()
	status, ct, body, resp := rendered(t, &Errors{Pages: []ErrorPage{{File: name}}}, Bare(), r, failing(405))
	defer resp.Release()
	if status != 405 || ct != typeHTML || body != "<p>405 Method Not Allowed some &lt;detail&gt; &lt;script&gt;" {
		t.Errorf("%d %s %s", status, ct, body)
	}
	if resp.Header.Value(message.Allow) != "GET" || resp.Header.Value(message.RetryAfter) != "3" || resp.Header.Value(message.CacheControl) != "no-store" {
		t.Errorf("%v", resp.Header.Fields())
	}
	if r.X.Reason != "some_reason" {
		t.Error("the log does not learn the reason")
	}
}

// A page that fails gives the built-in answer, whatever way it fails.
func TestErrorsFailingPage(t *testing.T) {
	t.Parallel()
	for name, page := range map[string]Func{
		"error": failing(502),
		"404":   func(*message.Request) (*message.Response, error) { return answer(404, "none"), nil },
		"too large": func(*message.Request) (*message.Response, error) {
			return answer(200, strings.Repeat("x", maxPage+1)), nil
		},
		"cut": func(*message.Request) (*message.Response, error) {
			p := answer(200, "x")
			p.Body = &trickle{data: []byte("half"), size: 2, end: message.ErrAborted}
			return p, nil
		},
	} {
		env := Bare()
		env.Service = func(string) (Func, error) { return page, nil }
		r := ask("GET", "/")
		status, ct, _, resp := rendered(t, &Errors{Pages: []ErrorPage{{Service: "pages"}}}, env, r, failing(503))
		if status != 503 || ct != typeProblem {
			t.Errorf("%s: %d %s", name, status, ct)
		}
		resp.Release()
		r.Release()
	}
}

// The page's service is asked with time of its own, and sees nothing of the request's secrets.
func TestErrorsPageRequest(t *testing.T) {
	t.Parallel()
	env := Bare()
	env.Service = func(string) (Func, error) {
		return func(q *message.Request) (*message.Response, error) {
			if q.Method != "GET" || q.Path != "/e/504" || q.Query != "from=a%2Fb" || q.HasBody() || q.Header.Has(message.Authorization) || q.Header.Has(message.Cookie) {
				t.Errorf("%s %s?%s with %v", q.Method, q.Path, q.Query, q.Header.Fields())
			}
			if left := time.Until(q.X.Deadline); left < time.Second || left > pageTime {
				t.Errorf("%v are left for the page", left)
			}
			return answer(200, "<p>late", "Content-Type: text/html"), nil
		}, nil
	}
	r := ask("POST", "/x?id=a%2Fb", "Authorization: secret", "Cookie: sid=1", "Accept: text/html")
	defer r.Release()
	r.X.Deadline = time.Now().Add(-time.Second)
	status, _, body, resp := rendered(t, &Errors{Pages: []ErrorPage{{Service: "pages", Path: "/e/{status}?from={query.id}"}}}, env, r, failing(504))
	defer resp.Release()
	if status != 504 || body != "<p>late" {
		t.Errorf("%d %q", status, body)
	}
}

// Status, trailers and the other fields of a service's error are kept
// (traefik/traefik#9942).
func TestErrorsOfService(t *testing.T) {
	t.Parallel()
	var old *trickle
	next := func(*message.Request) (*message.Response, error) {
		p := answer(503, "theirs", "Content-Type: text/plain", "ETag: \"x\"", "Content-Encoding: gzip", "X-Keep: 1", "Retry-After: 7", "Content-Language: de")
		p.Local, p.Length = false, message.Unknown
		old, _ = p.Body.(*trickle)
		_ = p.Trailer.Add("X-Trailer", "2")
		return p, nil
	}
	r := ask("GET", "/")
	defer r.Release()
	status, ct, body, resp := rendered(t, &Errors{Of: "service", Pages: []ErrorPage{{Template: `{"sorry": {status:int}}`}}}, Bare(), r, next)
	defer resp.Release()
	if status != 503 || ct != "application/json" || body != `{"sorry": 503}` {
		t.Errorf("%d %s %s", status, ct, body)
	}
	for name, want := range map[string]string{"X-Keep": "1", "Retry-After": "7", "ETag": "", "Content-Encoding": "", "Content-Language": "", "Vary": "Accept"} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if resp.Trailer.Get("X-Trailer") != "2" || resp.Length != message.Unknown {
		t.Errorf("trailer %v, length %d", resp.Trailer.Fields(), resp.Length)
	}
	if old.closed == 0 {
		t.Error("the service's response was not released")
	}
}

func TestErrorsLeavesAlone(t *testing.T) {
	t.Parallel()
	both := &Errors{Of: "both", Pages: []ErrorPage{{Status: []string{"5xx"}, Template: "<p>page", Always: true}}}
	for name, c := range map[string]struct {
		next   Func
		fields []string
		body   string
	}{
		"success":          {func(*message.Request) (*message.Response, error) { return answer(200, "fine"), nil }, nil, "fine"},
		"another status":   {func(*message.Request) (*message.Response, error) { return answer(404, "fine"), nil }, nil, "fine"},
		"our own response": {func(*message.Request) (*message.Response, error) { return answer(500, "fine"), nil }, nil, "fine"},
		"gRPC": {func(*message.Request) (*message.Response, error) {
			p := answer(500, "fine")
			p.Local = false
			return p, nil
		}, []string{"Content-Type: application/grpc+proto"}, "fine"},
	} {
		r := ask("POST", "/", c.fields...)
		_, _, body, resp := rendered(t, both, Bare(), r, c.next)
		if body != c.body {
			t.Errorf("%s: %q", name, body)
		}
		resp.Release()
		r.Release()
	}
}
