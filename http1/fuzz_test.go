package http1

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/maru-msa/maru/message"
)

// bodies that seeds get behind their heads.
var seedBodies = []string{"", "abc", "3\r\nabc\r\n0\r\n\r\n", "1;a=\"b\"\r\na\r\n0\r\nX-Sum: 1\r\n\r\n"} //nolint:gochecknoglobals // read-only table

func addRequests(f *testing.F, extra ...any) {
	f.Helper()
	for _, rows := range requestTables() {
		for _, row := range rows {
			if len(row.in) > 2048 {
				continue
			}
			for _, body := range seedBodies {
				f.Add(append([]any{[]byte(row.in + body)}, extra...)...)
			}
		}
	}
}

// body reads what follows a head: payload, octets consumed, and whether it is
// complete.
func body(in []byte, kind framing, length int64, lim chunkLimits, head, trailer *message.Header) (payload []byte, used int, complete bool) {
	switch kind {
	case framingNone:
		return nil, 0, true
	case framingClose:
		return in, len(in), true
	case framingLength:
		n := int(min(length, int64(len(in))))
		return in[:n], n, int64(n) == length
	case framingChunked:
	}
	var d chunkDecoder
	d.reset(lim, trailer)
	d.nominate(head)
	for !d.done && used < len(in) {
		skip, data, err := d.next(in[used:])
		if err != nil {
			return payload, used, false
		}
		used += skip
		payload = append(payload, in[used:used+data]...)
		used += data
	}
	return payload, used, d.done
}

func requestFraming(r *message.Request, h requestHead) framing {
	switch {
	case h.chunked:
		return framingChunked
	case r.Length > 0:
		return framingLength
	}
	return framingNone
}

// sameHeader compares our fields with net/http's map, which does without some names.
func sameHeader(t *testing.T, ours *message.Header, theirs http.Header) {
	t.Helper()
	want := make(http.Header)
	for _, f := range ours.Fields() {
		if key := http.CanonicalHeaderKey(f.Name); !apart(key) {
			want[key] = append(want[key], f.Value)
		}
	}
	for key, values := range theirs {
		if apart(key) {
			continue
		}
		if imitates(key) {
			continue
		}
		if !slices.Equal(values, want[key]) {
			t.Fatalf("field %q: net/http has %q, we %q", key, values, want[key])
		}
		delete(want, key)
	}
	if len(want) > 0 {
		t.Fatalf("net/http lacks %q", want)
	}
}

// apart tells names that are compared otherwise: framing, and what net/http adds by itself.
func apart(key string) bool {
	switch key {
	case "Content-Length", "Transfer-Encoding", "Trailer", "Host", "Pragma", "Cache-Control":
		return true
	}
	return false
}

// consumed is how much of in was taken through br.
func consumed(in []byte, src *bytes.Reader, br *bufio.Reader) int {
	return len(in) - src.Len() - br.Buffered()
}

func FuzzRequest(f *testing.F) {
	addRequests(f)
	f.Fuzz(agreeOnRequest)
}

func agreeOnRequest(t *testing.T, in []byte) {
	t.Helper()
	lim := limitsOf(nil)
	r := newRequest("")
	h, ok, err := parseRequest(slices.Clip(in), r, lim)
	if err != nil {
		var ref *Refusal
		if !errors.As(err, &ref) || ref.Status < 400 || ref.Status > 505 {
			t.Fatalf("error %v", err)
		}
		return
	}
	if !ok || h.preface {
		return
	}
	skip := 0
	if bytes.HasPrefix(in, []byte("\r\n")) {
		skip = 2
	}
	src := bytes.NewReader(in[skip:])
	br := bufio.NewReader(src)
	req, err := http.ReadRequest(br)
	if err != nil {
		t.Fatalf("net/http refuses: %v", err)
	}
	compareRequest(t, r, h, req)
	var tr message.Header
	payload, used, complete := body(in[h.size:], requestFraming(r, h), r.Length, lim.chunk(), &r.Header, &tr)
	theirs, err := io.ReadAll(req.Body)
	if !complete {
		return
	}
	if err != nil || !bytes.Equal(payload, theirs) {
		t.Fatalf("body: we %q, net/http %q, %v", payload, theirs, err)
	}
	if got := skip + consumed(in[skip:], src, br); got != h.size+used {
		t.Fatalf("we consume %d, net/http %d", h.size+used, got)
	}
	for _, f := range tr.Fields() {
		if !slices.Contains(req.Trailer.Values(f.Name), f.Value) {
			t.Fatalf("trailer %q is not in %q", f, req.Trailer)
		}
	}
}

func compareRequest(t *testing.T, r *message.Request, h requestHead, req *http.Request) {
	t.Helper()
	target := string(r.AppendTarget(nil))
	absolute := req.RequestURI[0] != '/' && req.RequestURI != "*"
	if absolute {
		u, err := url.Parse(req.RequestURI)
		if err != nil {
			t.Fatal(err)
		}
		if got := u.RequestURI(); got != target && !(r.Path == "*" && got == "/") {
			t.Fatalf("target %q, net/http %q", target, got)
		}
		if u.Hostname() == "" || !strings.EqualFold(strings.TrimSuffix(u.Hostname(), "."), strings.Trim(r.Host, "[]")) {
			t.Fatalf("host %q, net/http %q", r.Host, u.Host)
		}
	} else if target != req.RequestURI {
		t.Fatalf("target %q, net/http %q", target, req.RequestURI)
	}
	if r.Method != req.Method || r.Proto.String() != req.Proto || h.close != req.Close {
		t.Fatalf("%s %s close %v, net/http %s %s %v", r.Method, r.Proto, h.close, req.Method, req.Proto, req.Close)
	}
	if !absolute && r.Authority != req.Host {
		t.Fatalf("authority %q, net/http %q", r.Authority, req.Host)
	}
	if r.Length != req.ContentLength {
		t.Fatalf("length %d, net/http %d", r.Length, req.ContentLength)
	}
	sameHeader(t, &r.Header, req.Header)
}

func addResponses(f *testing.F, extra ...any) {
	f.Helper()
	for _, rows := range responseTables() {
		for _, row := range rows {
			if len(row.in) > 2048 {
				continue
			}
			for _, body := range seedBodies {
				f.Add(append([]any{[]byte(row.in + body), row.method == "HEAD"}, extra...)...)
			}
		}
	}
}

func FuzzResponse(f *testing.F) {
	addResponses(f)
	f.Fuzz(agreeOnResponse)
}

func agreeOnResponse(t *testing.T, in []byte, head bool) {
	t.Helper()
	method := "GET"
	if head {
		method = "HEAD"
	}
	lim := ResponseLimits{}.WithDefaults()
	p := message.NewResponse(0)
	h, ok, err := parseResponse(slices.Clip(in), p, method, &lim)
	if err != nil {
		if v := judge(false, 0, err); v.status != 502 {
			t.Fatalf("%+v", v)
		}
		return
	}
	if !ok {
		return
	}
	src := bytes.NewReader(in)
	br := bufio.NewReader(src)
	res, err := http.ReadResponse(br, &http.Request{Method: method})
	if err != nil {
		if h.framing == framingNone {
			return // we drop framing fields of a bodyless response that net/http judges
		}
		t.Fatalf("net/http refuses: %v", err)
	}
	if res.StatusCode != p.Status || res.Proto != p.Proto.String() {
		t.Fatalf("%d %s, net/http %s %s", p.Status, p.Proto, res.Status, res.Proto)
	}
	var head1 message.Header
	head1.CopyFrom(&p.Header)
	p.Header.DelID(message.Connection) // net/http takes "close" out of responses
	res.Header.Del("Connection")
	sameHeader(t, &p.Header, res.Header)
	if h.framing == framingNone {
		return
	}
	var tr message.Header
	payload, used, complete := body(in[h.size:], h.framing, p.Length, lim.chunk(), &head1, &tr)
	theirs, err := io.ReadAll(res.Body)
	if !complete {
		return
	}
	if err != nil || !bytes.Equal(payload, theirs) || res.ContentLength != p.Length {
		t.Fatalf("body: we %d %q, net/http %d %q, %v", p.Length, payload, res.ContentLength, theirs, err)
	}
	if got := consumed(in, src, br); got != h.size+used {
		t.Fatalf("we consume %d, net/http %d", h.size+used, got)
	}
}

// events is all that can be seen of a stream of requests.
func events(in []byte, split int) (out []string) {
	lim := limitsOf(nil)
	for {
		r := newRequest("")
		var h requestHead
		n, found := 0, false
		for step := split; n < len(in); step = max(step*7%31, 1) {
			n = min(n+step, len(in))
			if split == 0 {
				n = len(in)
			}
			var err error
			h, found, err = parseRequest(slices.Clone(in[:n]), r, lim)
			if err != nil {
				return append(out, "refused "+judge(false, 0, err).reason)
			}
			if found {
				break
			}
		}
		if !found || h.preface {
			return append(out, "end "+strconv.FormatBool(h.preface))
		}
		out = append(out, string(appendRequestHead(nil, r, r.Authority)))
		in = in[h.size:]
		used, more, last := bodyEvents(in, split, r, h, lim)
		if out = append(out, more...); last != "" {
			return append(out, last)
		}
		in = in[used:]
	}
}

// bodyEvents is what can be seen of a body, and how many octets it takes; last
// is why the stream ends with it.
func bodyEvents(in []byte, split int, r *message.Request, h requestHead, lim *Limits) (used int, out []string, last string) {
	if !h.chunked {
		if r.Length > int64(len(in)) {
			return 0, nil, "cut"
		}
		return int(r.Length), []string{string(in[:r.Length])}, ""
	}
	var d chunkDecoder
	var tr message.Header
	d.reset(lim.chunk(), &tr)
	d.nominate(&r.Header)
	var payload []byte
	for used < len(in) && !d.done {
		n := len(in)
		if split > 0 {
			n = min(len(in), used+split)
		}
		skip, data, err := d.next(in[used:n])
		if err != nil {
			return used, []string{string(payload)}, "refused " + judge(false, 0, err).reason
		}
		used += skip
		payload = append(payload, in[used:used+data]...)
		used += data
	}
	if !d.done {
		last = "cut"
	}
	return used, []string{string(payload), lines(&tr)}, last
}

func FuzzSplit(f *testing.F) {
	addRequests(f, uint8(3))
	for _, row := range append(chunkRows(), trailerRows()...) {
		if len(row.in) < 2048 {
			f.Add([]byte(post("Transfer-Encoding: chunked\r\nConnection: x-a\r\n")+row.in), uint8(2))
		}
	}
	f.Fuzz(agreeOnSplit)
}

func agreeOnSplit(t *testing.T, in []byte, split uint8) {
	t.Helper()
	whole := events(in, 0)
	for _, n := range []int{1, int(split)%23 + 1} {
		if got := events(in, n); !slices.Equal(got, whole) {
			t.Fatalf("split %d: %q, whole %q", n, got, whole)
		}
	}
}

// FuzzPipeline cuts the input into messages at 0xFE octets: the stream of them
// must give what each gives alone, up to the first that is refused.
func FuzzPipeline(f *testing.F) {
	one := get("GET /a HTTP/1.1")
	for _, rows := range requestTables() {
		for _, row := range rows {
			if len(row.in) <= 2048 {
				f.Add([]byte(one + "\xfe" + row.in + "\xfe" + one))
			}
		}
	}
	f.Fuzz(agreeOnPipeline)
}

func agreeOnPipeline(t *testing.T, in []byte) {
	t.Helper()
	one := get("GET /a HTTP/1.1")
	var stream []byte
	var want []string
	for msg := range bytes.SplitSeq(in, []byte{0xFE}) {
		got := events(msg, 0)
		last := got[len(got)-1]
		stream = append(stream, msg...)
		if strings.HasPrefix(last, "refused") {
			want = append(want, got...)
			break
		}
		if last != "end false" || len(got) == 1 || !whole(msg) {
			return // not a sequence of complete messages
		}
		want = append(want, got[:len(got)-1]...)
	}
	if len(want) == 0 {
		return
	}
	got := events(append(stream, one...), 0)
	if last := want[len(want)-1]; !strings.HasPrefix(last, "refused") {
		want = append(want, events([]byte(one), 0)...)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("stream %q, alone %q", got, want)
	}
}

// whole tells that msg is consumed to its last octet by complete messages.
func whole(msg []byte) bool {
	lim := limitsOf(nil)
	for len(msg) > 0 {
		r := newRequest("")
		h, ok, err := parseRequest(msg, r, lim)
		if !ok || err != nil || h.preface {
			return false
		}
		var tr message.Header
		_, used, complete := body(msg[h.size:], requestFraming(r, h), r.Length, lim.chunk(), &r.Header, &tr)
		if !complete {
			return false
		}
		msg = msg[h.size+used:]
	}
	return true
}

// sameRequest compares two requests in all that a service can see.
func sameRequest(t *testing.T, a, b *message.Request) {
	t.Helper()
	if a.Method != b.Method || a.Path != b.Path || a.Query != b.Query || a.HasQuery != b.HasQuery || a.Length != b.Length ||
		a.Upgrade != b.Upgrade || a.Expect != b.Expect || lines(&a.Header) != lines(&b.Header) {
		t.Fatalf("written and parsed again:\n%+v %q\n%+v %q", a, lines(&a.Header), b, lines(&b.Header))
	}
}

func FuzzRoundTrip(f *testing.F) {
	addRequests(f)
	f.Fuzz(agreeOnRoundTrip)
}

func agreeOnRoundTrip(t *testing.T, in []byte) {
	t.Helper()
	lim := limitsOf(nil)
	r := newRequest("")
	h, ok, err := parseRequest(slices.Clip(in), r, lim)
	if !ok || err != nil || h.preface || StripRequest(r) != nil {
		return
	}
	var tr message.Header
	payload, _, complete := body(in[h.size:], requestFraming(r, h), r.Length, lim.chunk(), &r.Header, &tr)
	if !complete {
		return
	}
	name := r.Authority
	if name == "" {
		name = "fallback.test"
	}
	out := appendRequestHead(nil, r, name)
	headSize := len(out)
	switch {
	case h.chunked:
		if len(payload) > 0 {
			out = append(appendChunkHead(out, len(payload)), payload...)
			out = appendChunkEnd(out)
		}
		out = appendLastChunk(out, &tr)
	default:
		out = append(out, payload...)
	}
	again := newRequest("")
	// What we add (TE's nomination, Host) may take a head at its limit over it.
	wide := limitsOf(&Limits{HeaderBytes: 1 << 20, HeaderCount: 1 << 10, RequestLine: 1 << 16})
	h2, ok, err := parseRequest(slices.Clip(out), again, wide)
	if !ok || err != nil || h2.size != headSize {
		t.Fatalf("we refuse what we wrote: %v %v\n%q", ok, err, out)
	}
	if err := StripRequest(again); err != nil {
		t.Fatalf("we refuse what we wrote: %v\n%q", err, out)
	}
	sameRequest(t, r, again)
	var tr2 message.Header
	payload2, used, complete := body(out[h2.size:], requestFraming(again, h2), again.Length, lim.chunk(), &again.Header, &tr2)
	if !complete || h2.size+used != len(out) || !bytes.Equal(payload, payload2) || lines(&tr) != lines(&tr2) {
		t.Fatalf("body %q, was %q; trailers %q, were %q", payload2, payload, lines(&tr2), lines(&tr))
	}
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(out)))
	if err != nil {
		t.Fatalf("net/http refuses what we wrote: %v\n%q", err, out)
	}
	theirs, err := io.ReadAll(req.Body)
	if err != nil || !bytes.Equal(theirs, payload) || req.Host != name || req.Method != r.Method {
		t.Fatalf("net/http reads %q of %q, %v", theirs, out, err)
	}
}

func FuzzResponseRoundTrip(f *testing.F) {
	addResponses(f)
	f.Fuzz(agreeOnResponseRoundTrip)
}

func agreeOnResponseRoundTrip(t *testing.T, in []byte, head bool) {
	t.Helper()
	method := "GET"
	if head {
		method = "HEAD"
	}
	lim := ResponseLimits{}.WithDefaults()
	p := message.NewResponse(0)
	h, ok, err := parseResponse(slices.Clip(in), p, method, &lim)
	if !ok || err != nil || p.Status == 101 {
		return
	}
	StripResponse(p)
	o := responseOptions{head: head, chunked: h.framing == framingClose || h.framing == framingChunked, date: "Sun, 06 Nov 1994 08:49:37 GMT"}
	if !p.Header.Has(message.Date) && p.Status >= 200 {
		defer func() { p.Header.DelID(message.Date) }()
	}
	out := appendResponseHead(nil, p, o)
	if !o.chunked {
		p.Header.DelID(message.Trailer) // announced only where trailers can follow
	}
	wide := ResponseLimits{Head: 1 << 20, Fields: 1 << 10}.WithDefaults()
	q := message.NewResponse(0)
	h2, ok, err := parseResponse(slices.Clip(out), q, method, &wide)
	if !ok || err != nil || h2.size != len(out) {
		t.Fatalf("we refuse what we wrote: %v %v\n%q", ok, err, out)
	}
	StripResponse(q)
	if !p.Header.Has(message.Date) {
		q.Header.DelID(message.Date)
	}
	wantLength := p.Length
	if p.Status == 304 && wantLength == 0 {
		wantLength = message.Unknown
	}
	if q.Status != p.Status || q.Length != wantLength || lines(&q.Header) != lines(&p.Header) {
		t.Fatalf("%d %d %q, was %d %d %q", q.Status, q.Length, lines(&q.Header), p.Status, p.Length, lines(&p.Header))
	}
	if _, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(out)), &http.Request{Method: method}); err != nil {
		t.Fatalf("net/http refuses what we wrote: %v\n%q", err, out)
	}
}

func FuzzChunked(f *testing.F) {
	for _, row := range append(chunkRows(), trailerRows()...) {
		f.Add([]byte(row.in), uint8(3))
	}
	f.Fuzz(agreeOnChunked)
}

func agreeOnChunked(t *testing.T, in []byte, split uint8) {
	t.Helper()
	row := chunkRow{head: "x-a"}
	d, trailer := newDecoder(&row)
	got := decode(t, d, trailer, string(in))
	d, trailer = newDecoder(&row)
	if slow := decode(t, d, trailer, string(in), int(split)%9+1, 1); slow != got {
		t.Fatalf("split: %+v, whole %+v", slow, got)
	}
	if !got.done {
		return
	}
	theirs, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(in)))
	if err != nil || string(theirs) != got.payload {
		t.Fatalf("payload %q, net/http %q, %v", got.payload, theirs, err)
	}
}

func FuzzTrailer(f *testing.F) {
	for _, row := range trailerRows() {
		_, section, _ := strings.Cut(row.in, "\r\n0\r\n")
		f.Add([]byte(section), uint8(3))
	}
	f.Fuzz(func(t *testing.T, section []byte, split uint8) {
		in := "0\r\n" + string(section)
		row := chunkRow{head: "x-a"}
		d, trailer := newDecoder(&row)
		got := decode(t, d, trailer, in)
		d, trailer = newDecoder(&row)
		if slow := decode(t, d, trailer, in, int(split)%9+1, 1); slow != got {
			t.Fatalf("split: %+v, whole %+v", slow, got)
		}
		if trailer.Len() > 32 {
			t.Fatalf("%d trailers", trailer.Len())
		}
		for _, f := range trailer.Fields() {
			if !message.ValidToken(f.Name) || !message.ValidValue(f.Value) || forbiddenTrailers.has(f.ID) || droppedTrailers.has(f.ID) ||
				strings.EqualFold(f.Name, "x-a") {
				t.Fatalf("trailer %+v", f)
			}
		}
	})
}

func FuzzHost(f *testing.F) {
	for _, row := range hostRows() {
		_, v, _ := strings.Cut(row.in, "Host: ")
		v, _, _ = strings.Cut(v, "\r")
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := ValidAuthority(nil, s)
		if err != nil {
			if v := judge(false, 0, err); v.status != 400 || !strings.HasPrefix(v.reason, "host_") {
				t.Fatalf("%+v", v)
			}
			return
		}
		u, err := url.Parse("http://" + s + "/")
		if err != nil {
			t.Fatalf("net/url refuses %q: %v", s, err)
		}
		name := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
		if name != strings.Trim(h, "[]") || u.Path != "/" || u.User != nil {
			t.Fatalf("%q: host %q, net/url %q", s, h, name)
		}
		_, port, ref := splitAuthority(s)
		if want, _ := strconv.Atoi(u.Port()); ref != nil || want != port {
			t.Fatalf("%q: port %d, net/url %q", s, port, u.Port())
		}
		if again, err := ValidAuthority(nil, h); err != nil || again != h {
			t.Fatalf("%q gives %q gives %q, %v", s, h, again, err)
		}
	})
}
