package demo

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// action answers one request with a status and something to write as JSON.
type action func(r *http.Request) (int, any, error)

// fault is an error that the caller made.
type fault struct {
	status int
	field  string // of the body, query or path; "" for the whole
	text   string
}

func (f *fault) Error() string { return f.text }

// bad is the fault of a value: 400.
func bad(field, format string, args ...any) error {
	return &fault{http.StatusBadRequest, field, fmt.Sprintf(format, args...)}
}

// conflict is the fault of a request that came too late: 409.
func conflict(format string, args ...any) error {
	return &fault{http.StatusConflict, "", fmt.Sprintf(format, args...)}
}

// missing is the fault of naming what isn't there: 404.
func missing(what string, id int64) error {
	return &fault{http.StatusNotFound, "", fmt.Sprintf("there is no %s %d", what, id)}
}

// orMissing turns "no rows" into [missing].
func orMissing(err error, what string, id int64) error {
	if errors.Is(err, sql.ErrNoRows) {
		return missing(what, id)
	}
	return err
}

// Failure is the body of every answer from 400 on.
type Failure struct {
	// Error says what is wrong and what would be right.
	Error string `json:"error"`
	// Field is the key or parameter that is wrong, if it is one.
	Field string `json:"field,omitempty"`
}

// ServeHTTP answers a request. What no pattern takes gets a JSON answer as well:
// 404, or 405 with the methods that the path has.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fallback, pattern := s.mux.Handler(r)
	if pattern != "" {
		s.mux.ServeHTTP(w, r)
		return
	}
	p := probe{header: make(http.Header)}
	fallback.ServeHTTP(&p, r)
	switch {
	case p.status == http.StatusMethodNotAllowed:
		allow := p.header.Get("Allow")
		w.Header().Set("Allow", allow)
		s.write(w, p.status, Failure{Error: fmt.Sprintf("%s is not possible here, %s is", r.Method, allow)})
	case p.status >= 300 && p.status < 400:
		fallback.ServeHTTP(w, r) // the path in its clean form
	default:
		s.write(w, http.StatusNotFound, Failure{Error: "there is nothing at " + r.URL.Path})
	}
}

// probe takes the head of an answer and throws its body away.
type probe struct {
	header http.Header
	status int
}

func (p *probe) Header() http.Header         { return p.header }
func (p *probe) WriteHeader(status int)      { p.status = status }
func (p *probe) Write(b []byte) (int, error) { return len(b), nil }

// maxBody bounds what a service reads of a request, in bytes.
const maxBody = 64 << 10

// handle writes what an action gives. The caller's faults are told to the
// caller; anything else is ours: logged, and told as 500 without its cause.
func (s *Service) handle(a action) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		status, v, err := a(r)
		var f *fault
		switch {
		case errors.As(err, &f):
			status, v = f.status, Failure{Error: f.text, Field: f.field}
		case r.Context().Err() != nil && err != nil:
			return // nobody is there to read it
		case err != nil:
			s.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
			status, v = http.StatusInternalServerError, Failure{Error: "something went wrong inside " + s.name}
		}
		s.write(w, status, v)
	}
}

func (s *Service) write(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		s.log.Error("answer can't be written as JSON", "error", err)
		status, body = http.StatusInternalServerError, []byte(`{"error":"something went wrong"}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Service", s.name)
	h.Set("X-Instance", s.instance)
	if status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer") // RFC 9110 §11.6.1: a 401 has a challenge
	}
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a client that left is no error of ours
}

// read decodes the request's JSON body: one object with known keys only.
func read[T any](r *http.Request) (T, error) {
	var v T
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return v, &fault{http.StatusUnsupportedMediaType, "", "the body must be JSON, with Content-Type: application/json"}
	}
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	err := dec.Decode(&v)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			return v, bad("", "something follows the JSON object")
		}
		return v, nil
	}
	var (
		tooLarge *http.MaxBytesError
		syntax   *json.SyntaxError
		typ      *json.UnmarshalTypeError
	)
	switch {
	case errors.As(err, &tooLarge):
		return v, &fault{http.StatusRequestEntityTooLarge, "", fmt.Sprintf("the body is larger than %d bytes", tooLarge.Limit)}
	case errors.Is(err, io.EOF):
		return v, bad("", "the body is empty; a JSON object is needed")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return v, bad("", "the body is not JSON: it ends too early")
	case errors.As(err, &syntax):
		return v, bad("", "the body is not JSON: %v at byte %d", syntax, syntax.Offset)
	case errors.As(err, &typ) && typ.Field == "":
		return v, bad("", "the body is a JSON %s; an object is needed", typ.Value)
	case errors.As(err, &typ):
		return v, bad(typ.Field, "%s is a %s and must be %s", typ.Field, typ.Value, wanted(typ))
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		if plain, err := strconv.Unquote(name); err == nil {
			return v, bad(plain, "there is no key %s", name)
		}
	}
	return v, bad("", "the body can't be read: %v", err)
}

// wanted names a Go type in JSON's words.
func wanted(e *json.UnmarshalTypeError) string {
	switch e.Type.String() {
	case "string":
		return "a string"
	case "int64":
		return "a whole number"
	}
	return "a number"
}

// id reads the path value {id}.
func id(r *http.Request) (int64, error) {
	n, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil || n < 1 {
		return 0, bad("id", "%q is not an id: a number from 1 on", r.PathValue("id"))
	}
	return n, nil
}

// number reads a query parameter; 0 when it is absent.
func number(r *http.Request, name string) (int64, error) {
	s := r.URL.Query().Get(name)
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 {
		return 0, bad(name, "%s is %q and must be a number from 1 on", name, s)
	}
	return n, nil
}

// someID checks an id of the body that only another service can look up.
func someID(field string, n int64) error {
	switch {
	case n == 0:
		return bad(field, "%s is missing: an id, from 1 on", field)
	case n < 0 || n > maxID:
		return bad(field, "%s is %d and must be an id, from 1 on", field, n)
	}
	return nil
}

// maxID is the largest whole number that every JSON reader keeps (RFC 8259 §6).
const maxID = 1<<53 - 1

// between checks a number of the body.
func between(field string, n, least, most int64) error {
	if n == 0 && least > 0 {
		return bad(field, "%s is missing: from %d to %d", field, least, most)
	}
	if n < least || n > most {
		return bad(field, "%s is %d and must be from %d to %d", field, n, least, most)
	}
	return nil
}

// text checks a string of the body: it says something, in no more than
// most characters, none of them a control character.
func text(field, s string, most int) error {
	switch {
	case strings.TrimSpace(s) == "":
		return bad(field, "%s is missing", field)
	case utf8.RuneCountInString(s) > most:
		return bad(field, "%s is longer than %d characters", field, most)
	case strings.ContainsFunc(s, unicode.IsControl):
		return bad(field, "%s holds control characters", field)
	}
	return nil
}

// oneOf checks a word.
func oneOf(field, s string, words []string) error {
	if !slices.Contains(words, s) {
		return bad(field, "%s is %q and must be one of %s", field, s, strings.Join(words, ", "))
	}
	return nil
}

// firstOf gives the first fault.
func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
