package filter

import (
	"strings"
	"time"

	"github.com/maru-msa/maru/message"
)

// cacheObject is a stored response, or one whose body is on its way. It is
// immutable once others see it, and owns all its memory: freshening and purging
// make another one that shares the body.
type cacheObject struct {
	status   int
	fields   []message.Field
	answer   cacheAnswer
	vary     []cacheVary
	etag     string
	coding   string // Content-Encoding
	tags     []string
	body     []byte // whole, once it is stored
	headSize int64
}

const maxTags = 64 // purge tags of one response

// newObject copies the head of a response to rq that was received just now.
func newObject(status int, h, rq *message.Header, received time.Time) *cacheObject {
	o := &cacheObject{status: status}
	o.copyFields(h.Fields())
	if !h.Has(message.Date) { // RFC 9110 §6.6.1
		o.fields = append(o.fields, dateAt(received))
	}
	o.learn(rq)
	return o
}

func dateAt(t time.Time) message.Field {
	return message.Field{Name: message.Date.String(), Value: t.UTC().Format(httpTime), ID: message.Date}
}

// copyFields copies fields into one piece of memory. Cookies are for one client.
func (o *cacheObject) copyFields(fields []message.Field) {
	size := 0
	for i := range fields {
		size += len(fields[i].Value)
		if fields[i].ID == message.Other {
			size += len(fields[i].Name)
		}
	}
	text := make([]byte, 0, size)
	take := func(s string) string {
		text = append(text, s...)
		return message.View(text[len(text)-len(s):])
	}
	o.fields = make([]message.Field, 0, len(fields))
	for i := range fields {
		f := &fields[i]
		switch f.ID {
		case message.Age, message.CacheStatus, message.ProxyStatus, message.SetCookie:
			continue // about this one exchange
		default:
		}
		// The sender's spelling survives, for known names too.
		name := f.ID.String()
		switch {
		case f.ID == message.Other:
			name = take(f.Name)
		case f.Name != name:
			name = strings.Clone(f.Name)
		}
		o.fields = append(o.fields, message.Field{Name: name, Value: take(f.Value), ID: f.ID})
	}
	o.headSize = int64(size + 48*len(o.fields))
}

// learn reads what the cache asks of a head again and again.
func (o *cacheObject) learn(rq *message.Header) {
	var h message.Header
	for i := range o.fields {
		h.Append(o.fields[i])
	}
	o.etag, o.coding = h.Value(message.ETag), h.Value(message.ContentEncoding)
	o.vary = readVary(rq, &h)
	o.tags = readTags(&h)
}

// decodable tells whether a client can read the object's content coding. A service
// that gives all codings of a page one tag would else have us hand gzip to
// clients that never heard of it.
func (o *cacheObject) decodable(rq *message.Header) bool {
	if o.coding == "" {
		return true
	}
	c, known := codingOf(strings.Trim(o.coding, " \t"))
	a := readAccept(rq)
	return known && (a.q[c] > 0 || c == codingIdentity)
}

// readTags lists the purge tags of a response: words of Surrogate-Key, members
// of Cache-Tag, strings of Cache-Groups (RFC 9875 §2).
func readTags(h *message.Header) []string {
	tags := sfStrings(h, message.CacheGroups, maxTags)
	if !h.Has(message.SurrogateKey) && !h.Has(message.CacheTag) {
		return tags
	}
	add := func(t string) {
		if t != "" && len(tags) < maxTags {
			tags = append(tags, t)
		}
	}
	for i := range h.Fields() {
		f := &h.Fields()[i]
		switch f.ID {
		case message.SurrogateKey:
			for t := range strings.FieldsSeq(f.Value) {
				add(t)
			}
		case message.CacheTag:
			for rest := f.Value; rest != ""; {
				var t string
				t, rest = message.NextMember(rest)
				add(t)
			}
		default:
		}
	}
	return tags
}

// freshened is o with the fields of a 304 or of a HEAD's answer to rq in the
// place of its own (RFC 9111 §3.2): all but those that describe the stored
// bytes, and cookies, which are for one client.
func (o *cacheObject) freshened(h, rq *message.Header, asked, received time.Time, terms cacheTerms) *cacheObject {
	var merged message.Header
	for i := range o.fields {
		if f := &o.fields[i]; !updates(f.ID) || !hasName(h, f) {
			merged.Append(*f)
		}
	}
	for i := range h.Fields() {
		if f := &h.Fields()[i]; updates(f.ID) {
			merged.Append(*f)
		}
	}
	if !h.Has(message.Date) {
		merged.DelID(message.Date)
		merged.Append(dateAt(received))
	}
	n := &cacheObject{status: o.status, body: o.body}
	n.copyFields(merged.Fields())
	n.learn(rq)
	// Age counts from the validation: what the 304 did not say is zero.
	merged.DelID(message.Age)
	if v := h.Value(message.Age); v != "" {
		merged.AppendID(message.Age, v)
	}
	n.answer = readAnswer(n.status, &merged, asked, received, terms)
	return n
}

func updates(id message.ID) bool {
	switch id {
	case message.ContentEncoding, message.ContentLength, message.ContentMD5, message.ContentRange, message.ContentType,
		message.TransferEncoding, message.Trailer, message.SetCookie:
		return false
	default:
		return true
	}
}

func hasName(h *message.Header, f *message.Field) bool {
	if f.ID != message.Other {
		return h.Has(f.ID)
	}
	_, ok := h.Lookup(f.Name)
	return ok
}

// staled is o without any freshness left at now.
func (o *cacheObject) staled(now time.Time) *cacheObject {
	n := *o
	n.answer.lifetime = min(n.answer.lifetime, n.answer.age(now))
	return &n
}

// left is what remains of the freshness.
func (o *cacheObject) left(now time.Time) time.Duration { return o.answer.lifetime - o.answer.age(now) }

// respond answers r with the object, its conditions and its range (RFC 9111
// §4.3.2, RFC 9110 §14.2). f is the body on its way, nil when it is whole.
func (o *cacheObject) respond(r *message.Request, f *cacheFill, age time.Duration) *message.Response {
	resp := message.NewResponse(o.status)
	resp.Local, resp.Proto = false, message.HTTP11
	h := &resp.Header
	if unmodified(&r.Header, o.etag, &o.answer) {
		resp.Status, resp.Length = 304, message.Unknown
		o.notModified(h)
		o.putAge(r, h, age)
		return resp
	}
	for i := range o.fields {
		h.Append(o.fields[i])
	}
	o.putAge(r, h, age)
	size := int64(len(o.body))
	if f != nil {
		size = f.length
	}
	from, to := int64(0), size
	if o.status == 200 && r.Method == "GET" && size >= 0 && r.Header.Has(message.Range) && rangeStands(&r.Header, o.etag, &o.answer) {
		a, b, kind := parseRange(r.Header.Value(message.Range), size)
		switch kind {
		case rangeOne:
			from, to, resp.Status = a, b, 206
			h.SetID(message.ContentRange, contentRange(a, b-a, size))
		case rangeNone:
			resp.Status = 416
			h.Reset()
			o.notModified(h)
			o.putAge(r, h, age)
			h.AppendID(message.ContentRange, "bytes */"+string(message.AppendInt(nil, size)))
			return resp
		case rangeWhole:
		}
	}
	switch {
	case o.status == 304:
		resp.Length = message.Unknown
	case message.NoContent(o.status):
	case r.Method == "HEAD":
		resp.Length = size
	case f != nil:
		resp.Body, resp.Length = f.reader(r, resp, from, to), message.Unknown
		if to >= 0 {
			resp.Length = to - from
		}
	default:
		resp.SetBytes(o.body[from:to])
	}
	return resp
}

// notModified puts on h what a 304 repeats (RFC 9110 §15.4.5).
func (o *cacheObject) notModified(h *message.Header) {
	for i := range o.fields {
		switch o.fields[i].ID {
		case message.CacheControl, message.CDNCacheControl, message.ContentLocation, message.Date, message.ETag,
			message.Expires, message.Vary, message.LastModified,
			message.AccessControlAllowOrigin, message.AccessControlAllowCredentials, message.AccessControlExposeHeaders:
			h.Append(o.fields[i])
		default:
		}
	}
}

// putAge sets Age (RFC 9111 §5.1); a negative age is that of a response which
// was not stored before, whose own Age stays.
func (o *cacheObject) putAge(r *message.Request, h *message.Header, age time.Duration) {
	if age < 0 {
		if o.answer.initialAge < time.Second {
			return
		}
		age = o.answer.initialAge
	}
	h.SetID(message.Age, message.View(message.AppendInt(r.X.Scratch(20), min(int64(age/time.Second), maxDelta))))
}
