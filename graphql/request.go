package graphql

import (
	"errors"
	"net/url"
	"strings"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
	"github.com/maru-msa/maru/scan"
)

// request is one request of GraphQL over HTTP, read.
type request struct {
	query         string
	id            string // of a trusted document
	operationName string
	variables     []byte // a JSON object, or nil
}

// members are the parameters of a request, with the field of the mask that each has.
type members struct {
	mask *scan.Mask

	query, operationName, variables, extensions scan.Field
	documentID, docID, persisted, hash          scan.Field
}

// requestMembers makes the mask of a request's body.
func requestMembers() (*members, error) {
	var b scan.Builder
	m := &members{
		query: b.Member(scan.Root, "query"), operationName: b.Member(scan.Root, "operationName"),
		variables: b.Member(scan.Root, "variables"), extensions: b.Member(scan.Root, "extensions"),
		documentID: b.Member(scan.Root, "documentId"), docID: b.Member(scan.Root, "doc_id"),
	}
	m.persisted = b.Member(m.extensions, "persistedQuery")
	m.hash = b.Member(m.persisted, "sha256Hash")
	var err error
	m.mask, err = b.Mask(scan.RequestRules())
	return m, err //nolint:wrapcheck // a mask of eight names compiles
}

// read takes a request apart (GraphQL over HTTP §5 and §6).
func (d *Door) read(r *message.Request) (request, *refusal) {
	switch r.Method {
	case "GET":
		return d.readQuery(r)
	case "POST":
		if r.X.Param(docPath) != "" {
			break // a document of its own URL is asked for by GET
		}
		return d.readBody(r)
	}
	no := fixed(405, "METHOD_NOT_ALLOWED", "requests come by GET or POST")
	no.allow = "GET, POST"
	if r.X.Param(docPath) != "" {
		no.allow = "GET"
	}
	return request{}, no
}

// readBody reads a POST request: one object of JSON.
func (d *Door) readBody(r *message.Request) (request, *refusal) {
	if no := mediaOf(&r.Header); no != nil {
		return request{}, no
	}
	limit := int64(d.cfg.Limits.Bytes)
	if r.Length > limit {
		return request{}, tooLarge()
	}
	body, err := message.ReadAll(nil, r.Body, limit)
	switch {
	case errors.Is(err, message.ErrTooLarge):
		return request{}, tooLarge()
	case err != nil:
		return request{}, ofProblem(problem.Of(err))
	}
	return d.members.parse(body)
}

// mediaOf refuses what is not JSON in UTF-8: a form could be sent by any page of
// any site.
func mediaOf(h *message.Header) *refusal {
	media, params, _ := strings.Cut(h.Value(message.ContentType), ";")
	if !strings.EqualFold(strings.TrimSpace(media), "application/json") {
		return fixed(415, "UNSUPPORTED_MEDIA_TYPE", "a request's body is application/json")
	}
	for param := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		if strings.EqualFold(name, "charset") && !strings.EqualFold(strings.Trim(value, `"`), "utf-8") {
			return fixed(415, "UNSUPPORTED_MEDIA_TYPE", "a request's body is in UTF-8")
		}
	}
	return nil
}

func tooLarge() *refusal { return fixed(413, "DOCUMENT_TOO_LARGE", "the request is too large") }

// parse reads the parameters of a body.
func (m *members) parse(body []byte) (request, *refusal) {
	tape := scan.NewTape()
	defer tape.Release()
	if err := scan.Scan(m.mask, body, tape); err != nil {
		return request{}, fixed(400, "BAD_REQUEST", "the body is not JSON: "+err.Error())
	}
	switch tape.Kind(0) {
	case scan.Object:
	case scan.Array:
		return request{}, fixed(400, "BATCH_UNSUPPORTED", "a body holds one request, not a list of them")
	default:
		return request{}, fixed(400, "BAD_REQUEST", "a request is a JSON object")
	}
	var q request
	var err error
	if q.query, err = textMember(tape, 0, m.query, "query"); err != nil {
		return q, badRequest(err.Error())
	}
	if q.operationName, err = textMember(tape, 0, m.operationName, "operationName"); err != nil {
		return q, badRequest(err.Error())
	}
	if q.id, err = idMember(tape, m); err != nil {
		return q, badRequest(err.Error())
	}
	if at := member(tape, 0, m.variables); at != scan.None {
		if tape.Kind(at) != scan.Object {
			return q, badRequest("variables must be an object")
		}
		q.variables = tape.Span(at)
	}
	return q.complete()
}

// complete refuses a request that asks for nothing.
func (q request) complete() (request, *refusal) {
	if q.query == "" && q.id == "" {
		return q, badRequest("the request has no query")
	}
	return q, nil
}

// member finds a member that is there and not null.
func member(t *scan.Tape, at scan.Ref, f scan.Field) scan.Ref {
	if at = t.Child(at, f); at == scan.None || t.Kind(at) == scan.Null {
		return scan.None
	}
	return at
}

func textMember(t *scan.Tape, at scan.Ref, f scan.Field, name string) (string, error) {
	if at = member(t, at, f); at == scan.None {
		return "", nil
	}
	if t.Kind(at) != scan.String {
		return "", errors.New(name + " must be a string")
	}
	return string(scan.Unquote(nil, t.Span(at))), nil
}

// idMember finds the name of a trusted document: documentId, Relay's doc_id, or
// what Apollo's clients send as an extension.
func idMember(t *scan.Tape, m *members) (string, error) {
	for _, one := range []struct {
		field scan.Field
		name  string
	}{{m.documentID, "documentId"}, {m.docID, "doc_id"}} {
		if id, err := textMember(t, 0, one.field, one.name); id != "" || err != nil {
			return id, err
		}
	}
	at := member(t, 0, m.extensions)
	if at == scan.None {
		return "", nil
	}
	if t.Kind(at) != scan.Object {
		return "", errors.New("extensions must be an object")
	}
	if at = member(t, at, m.persisted); at == scan.None {
		return "", nil
	}
	if t.Kind(at) != scan.Object {
		return "", errors.New("extensions.persistedQuery must be an object")
	}
	hash, err := textMember(t, at, m.hash, "extensions.persistedQuery.sha256Hash")
	if hash != "" {
		hash = sha256Prefix + hash
	}
	return hash, err
}

// readQuery reads a GET request: the parameters of its URL, of which variables and
// extensions are JSON, and empty ones are not there.
func (d *Door) readQuery(r *message.Request) (request, *refusal) {
	if len(r.Query) > d.cfg.Limits.Bytes {
		return request{}, fixed(414, "DOCUMENT_TOO_LARGE", "the URL is too long")
	}
	q := request{id: r.X.Param(docPath)}
	var extensions string
	params := map[string]*string{
		"query": &q.query, "operationName": &q.operationName, "documentId": &q.id, "doc_id": &q.id, "extensions": &extensions,
	}
	for one := range strings.SplitSeq(r.Query, "&") {
		key, text, _ := strings.Cut(one, "=")
		name, err := url.QueryUnescape(key)
		value, err2 := url.QueryUnescape(text)
		if err != nil || err2 != nil {
			return q, badRequest("the URL is not properly encoded")
		}
		if value == "" {
			continue
		}
		if name == "variables" {
			q.variables = []byte(value)
		} else if at := params[name]; at != nil {
			*at = value
		}
	}
	var err error
	if q.id, err = unescapeID(q.id); err != nil {
		return q, badRequest(err.Error())
	}
	return d.members.parts(q, extensions)
}

func unescapeID(id string) (string, error) {
	id, err := url.PathUnescape(id)
	if err != nil {
		return "", errors.New("the document's id is not properly encoded")
	}
	return id, nil
}

// parts reads the parameters of a URL that are JSON.
func (m *members) parts(q request, extensions string) (request, *refusal) {
	var text strings.Builder
	text.WriteString(`{"variables":`)
	text.WriteString(orNull(string(q.variables)))
	text.WriteString(`,"extensions":`)
	text.WriteString(orNull(extensions))
	text.WriteString(`}`)
	for name, part := range map[string]string{"variables": string(q.variables), "extensions": extensions} {
		if part != "" && !isJSON(part) { // else a part could close the object around it
			return q, badRequest(name + " is not JSON")
		}
	}
	tape := scan.NewTape()
	defer tape.Release()
	if err := scan.Scan(m.mask, []byte(text.String()), tape); err != nil {
		return q, badRequest("variables or extensions: " + err.Error())
	}
	if at := member(tape, 0, m.variables); at == scan.None {
		q.variables = nil
	} else if tape.Kind(at) != scan.Object {
		return q, badRequest("variables must be an object")
	}
	id, err := idMember(tape, m)
	if err != nil {
		return q, badRequest(err.Error())
	}
	if q.id == "" {
		q.id = id
	}
	return q.complete()
}

func orNull(text string) string {
	if text == "" {
		return "null"
	}
	return text
}

func isJSON(text string) bool {
	s := scan.NewScanner(scan.RequestRules())
	defer s.Release()
	_, err := s.Write([]byte(text))
	return err == nil && s.Close() == nil
}
