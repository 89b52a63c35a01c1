package filter

import (
	"errors"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// coding is a content coding (RFC 9110 §8.4.1) in the order we prefer them.
type coding uint8

const (
	codingZstd coding = iota
	codingBr
	codingGzip
	codingIdentity
	numCodings
)

var codingNames = [numCodings]string{"zstd", "br", "gzip", "identity"} //nolint:gochecknoglobals // read-only table

// codingOf finds a coding by its name, any case; x-gzip is gzip (RFC 9110 §8.4.1.3).
func codingOf(name string) (coding, bool) {
	for c, n := range codingNames {
		if strings.EqualFold(name, n) {
			return coding(c), true
		}
	}
	return codingGzip, strings.EqualFold(name, "x-gzip")
}

// acceptEncoding is a request's Accept-Encoding (RFC 9110 §12.5.3): the quality
// of each coding in thousandths, -1 when it is not named.
type acceptEncoding struct {
	q       [numCodings]int16
	unknown bool // a coding that we don't know is acceptable
}

// readAccept reads Accept-Encoding. Without the field only identity is used,
// although any coding would be allowed: such clients rarely decode any.
func readAccept(h *message.Header) acceptEncoding {
	a := acceptEncoding{q: [numCodings]int16{-1, -1, -1, -1}}
	if !h.Has(message.AcceptEncoding) {
		return a
	}
	star := int16(-1)
	fields := h.Fields()
	for i := range fields {
		if fields[i].ID != message.AcceptEncoding {
			continue
		}
		for rest := fields[i].Value; rest != ""; {
			var m string
			m, rest = message.NextMember(rest)
			name, q, ok := codingQuality(m)
			if !ok {
				continue
			}
			c, known := codingOf(name)
			switch {
			case known:
				a.q[c] = max(a.q[c], q)
			case name == "*":
				star = max(star, q)
			default:
				a.unknown = a.unknown || q > 0
			}
		}
	}
	if star >= 0 {
		for c := range a.q {
			if a.q[c] < 0 && (coding(c) != codingIdentity || star == 0) {
				a.q[c] = star
			}
		}
		a.unknown = a.unknown || star > 0
	}
	return a
}

// codingQuality reads one member: a coding and its weight (RFC 9110 §12.4.2). A
// member with a weight that is none is left out.
func codingQuality(m string) (name string, q int16, ok bool) {
	name, params, has := strings.Cut(m, ";")
	name = strings.TrimRight(name, " \t")
	if name == "" {
		return "", 0, false
	}
	if !has {
		return name, 1000, true
	}
	params = strings.Trim(params, " \t")
	if len(params) < 3 || params[0]|0x20 != 'q' || params[1] != '=' {
		return "", 0, false
	}
	v := params[2:]
	if v[0] != '0' && v[0] != '1' || len(v) > 5 || len(v) > 1 && v[1] != '.' {
		return "", 0, false
	}
	q = int16(v[0]-'0') * 1000
	scale := int16(100)
	for i := 2; i < len(v); i++ {
		if v[i] < '0' || v[i] > '9' {
			return "", 0, false
		}
		q += int16(v[i]-'0') * scale
		scale /= 10
	}
	return name, q, q <= 1000
}

// refused tells that the client won't take an unencoded body.
func (a *acceptEncoding) refused() bool { return a.q[codingIdentity] == 0 }

// nothing tells that no coding at all is acceptable.
func (a *acceptEncoding) nothing() bool {
	return a.refused() && !a.unknown && a.q[codingZstd] <= 0 && a.q[codingBr] <= 0 && a.q[codingGzip] <= 0
}

// choose gives the acceptable coding of the highest weight, the first of offered among equals.
func (a *acceptEncoding) choose(offered []coding) coding {
	best, q := codingIdentity, max(0, a.q[codingIdentity])
	for _, c := range offered {
		if a.q[c] > 0 && (a.q[c] > q || a.q[c] == q && best == codingIdentity) {
			best, q = c, a.q[c]
		}
	}
	return best
}

// appendReduced appends a form in which requests that get the same coding from
// any server that offers ours look the same.
func (a *acceptEncoding) appendReduced(dst []byte) []byte {
	last := int16(1001)
	for {
		next := int16(0)
		for _, q := range a.q {
			if q < last {
				next = max(next, q)
			}
		}
		if next == 0 {
			break
		}
		dst = append(dst, '>')
		for c, q := range a.q {
			if q == next {
				dst = append(dst, codingNames[c][0])
			}
		}
		last = next
	}
	if a.refused() {
		dst = append(dst, '!')
	}
	return dst
}

// knownCoding tells whether a response is unencoded or in one coding that we know.
func knownCoding(h *message.Header) bool {
	if !h.Has(message.ContentEncoding) {
		return true
	}
	_, known := codingOf(strings.Trim(h.Value(message.ContentEncoding), " \t"))
	return known
}

// Compress compresses response bodies: zstd, br or gzip by the client's wish
// (RFC 9110 §12.5.3). Ranges, events, encoded and no-transform responses pass as they are.
type Compress struct {
	// Codings are offered in this order among equally wished ones (default zstd, br, gzip).
	Codings []string `yaml:"codings"`
	// Types are the media types to compress; "text/*" takes a whole family
	// (default text, JSON, XML, JavaScript, WebAssembly, SVG and font types).
	Types []string `yaml:"types"`
	// MinSize is the smallest body to compress, in bytes (default 1KiB). A body
	// of unknown size is compressed.
	MinSize *message.Size `yaml:"min-size"`
	// ZstdLevel is 1 to 22 (default 3); the window is 1 MiB at most.
	ZstdLevel int `yaml:"zstd-level"`
	// BrLevel is 1 to 11 (default 4); the window is 256 KiB at most.
	BrLevel int `yaml:"br-level"`
	// GzipLevel is 1 to 9 (default 5).
	GzipLevel int `yaml:"gzip-level"`
	// Streams compresses streaming responses too, flushed per read (default
	// false). Server-sent events are never compressed.
	Streams bool `yaml:"streams"`
}

var compressTypes = []string{ //nolint:gochecknoglobals // read-only table
	"text/*", "application/json", "application/javascript", "application/xml", "application/manifest+json",
	"application/problem+json", "application/ld+json", "application/vnd.api+json", "application/graphql-response+json",
	"application/xhtml+xml", "application/rss+xml", "application/atom+xml", "application/x-ndjson", "application/yaml",
	"application/wasm", "application/x-javascript", "image/svg+xml", "image/bmp", "font/otf", "font/ttf", "application/vnd.ms-fontobject",
}

const (
	compressMin     = 1 << 10
	compressWhole   = 64 << 10 // a body of known size up to this is compressed before its head is sent
	compressRead    = 16 << 10
	zstdWindow      = 1 << 20
	brotliWindowLog = 18
)

// UnmarshalList reads the short form: a list of codings.
func (c *Compress) UnmarshalList(codings []string) error {
	c.Codings = codings
	return nil
}

// Filter makes the filter.
func (c *Compress) Filter(env Env) (Filter, error) {
	k := &compressor{types: c.Types, minSize: compressMin, streams: c.Streams}
	var errs []error
	names := c.Codings
	if len(names) == 0 {
		names = codingNames[:codingIdentity]
	}
	for i, n := range names {
		cd, ok := codingOf(n)
		if !ok || cd == codingIdentity {
			errs = append(errs, diag.At(at("codings", i), "unknown coding %q", n).WithFix("use zstd, br or gzip"))
			continue
		}
		if slices.Contains(k.offered, cd) {
			errs = append(errs, diag.At(at("codings", i), "coding %q is listed twice", n).WithFix("remove one of the two"))
			continue
		}
		k.offered = append(k.offered, cd)
	}
	if len(k.types) == 0 {
		k.types = compressTypes
	}
	for i, t := range c.Types {
		if typ, sub, ok := strings.Cut(t, "/"); !ok || !message.ValidToken(typ) || !message.ValidToken(sub) {
			errs = append(errs, diag.At(at("types", i), "%q is not a media type", t).WithFix("write type/subtype or type/*"))
		}
	}
	if c.MinSize != nil {
		k.minSize = int64(*c.MinSize)
	}
	zl, e1 := compressLevel("zstd-level", c.ZstdLevel, 3, 22)
	bl, e2 := compressLevel("br-level", c.BrLevel, 4, 11)
	gl, e3 := compressLevel("gzip-level", c.GzipLevel, 5, 9)
	if err := diag.Join(append(errs, e1, e2, e3)...); err != nil {
		return nil, err
	}
	k.fill(zl, bl, gl)
	k.count = env.Count
	return func(next Func) Func {
		return func(req *message.Request) (*message.Response, error) { return k.serve(req, next) }
	}, nil
}

func compressLevel(field string, v, byDefault, most int) (int, error) {
	if v == 0 {
		return byDefault, nil
	}
	if v < 1 || v > most {
		return 0, diag.At(field, "level %d is out of range", v).WithFix("use 1 to %d", most)
	}
	return v, nil
}

// encoder is what the three libraries share.
type encoder interface {
	io.WriteCloser
	Flush() error
	Reset(w io.Writer)
}

type compressor struct {
	offered []coding
	types   []string
	minSize int64
	streams bool
	count   func(filter, reason string)
	pools   [codingIdentity]sync.Pool
	reads   sync.Pool
}

// fill sets how encoders are made. Windows are bounded, so that a pooled encoder is (RFC 9659).
func (k *compressor) fill(zl, bl, gl int) {
	k.pools[codingZstd].New = func() any {
		// The options are constants within range; only a bad one gives an error.
		e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(zstdWindow),
			zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(zl)), zstd.WithLowerEncoderMem(true))
		if err != nil {
			return nil
		}
		return e
	}
	k.pools[codingBr].New = func() any {
		return brotli.NewWriterOptions(nil, brotli.WriterOptions{Quality: bl, LGWin: brotliWindowLog})
	}
	k.pools[codingGzip].New = func() any {
		e, err := gzip.NewWriterLevel(nil, gl)
		if err != nil {
			return nil
		}
		return e
	}
	k.reads.New = func() any { b := make([]byte, compressRead); return &b }
}

var errNoEncoder = errors.New("no encoder for the coding")

func (k *compressor) serve(req *message.Request, next Func) (*message.Response, error) {
	accept := readAccept(&req.Header)
	if accept.nothing() {
		return nil, problem.New(406, "not_acceptable", "the client accepts no content coding at all, not even identity")
	}
	// The service never sees our suffix: it would compare tags it did not make.
	seen := k.stripTags(req, message.IfNoneMatch)
	k.stripTags(req, message.IfMatch)
	resp, err := next(req)
	if err != nil {
		return nil, err
	}
	if resp.Status == 304 {
		if seen != "" {
			k.restoreTag(req, resp, seen, accept.choose(k.offered))
		}
		return resp, nil
	}
	chosen := accept.choose(k.offered)
	forced := accept.refused() && chosen != codingIdentity
	if !k.eligible(req, resp, forced) {
		return resp, nil
	}
	varyBy(&resp.Header, "Accept-Encoding")
	if chosen == codingIdentity {
		return resp, nil
	}
	if err := k.encode(req, resp, chosen, forced); err != nil {
		resp.Release()
		return nil, problem.Wrap(err, 502, "bad_response", "the service's response ended before its end")
	}
	return resp, nil
}

// eligible tells whether the response would be compressed for a client that wishes it.
func (k *compressor) eligible(req *message.Request, r *message.Response, forced bool) bool {
	h := &r.Header
	switch {
	case message.NoContent(r.Status), r.Status == 205, r.Status == 206, req.Method == "CONNECT",
		h.Has(message.ContentEncoding), h.Has(message.ContentRange),
		h.HasToken(message.CacheControl, "no-transform"): // RFC 9110 §7.7
		return false
	case r.Length == 0 && req.Method != "HEAD":
		return false
	}
	media, _, _ := strings.Cut(h.Value(message.ContentType), ";")
	media = strings.TrimRight(media, " \t")
	if strings.EqualFold(media, "text/event-stream") || r.Stream && !k.streams {
		return false
	}
	if forced {
		return true
	}
	if r.Length != message.Unknown && r.Length < k.minSize {
		return false
	}
	for _, t := range k.types {
		if family, ok := strings.CutSuffix(t, "*"); ok {
			if len(media) > len(family) && strings.EqualFold(media[:len(family)], family) {
				return true
			}
		} else if strings.EqualFold(media, t) {
			return true
		}
	}
	return false
}

// encode puts the body through an encoder and changes the head accordingly.
func (k *compressor) encode(req *message.Request, r *message.Response, c coding, forced bool) error {
	if req.Method == "HEAD" {
		k.markEncoded(req, r, c)
		r.Length = message.Unknown // the compressed size is not known without the body
		return nil
	}
	enc, ok := k.pools[c].Get().(encoder)
	if !ok {
		return errNoEncoder
	}
	b := &compressBody{k: k, c: c, enc: enc, src: r.Body, flush: r.Stream}
	if r.Length == message.Unknown || r.Length > compressWhole || r.Stream {
		if z, ok := enc.(*zstd.Encoder); ok && r.Length > 0 {
			z.ResetContentSize(b, r.Length)
		} else {
			enc.Reset(b)
		}
		k.markEncoded(req, r, c)
		r.Body, r.Length = b, message.Unknown
		return nil
	}
	whole, err := readWhole(r)
	if err != nil {
		b.giveBack()
		return err
	}
	if z, ok := enc.(*zstd.Encoder); ok {
		z.ResetContentSize(b, int64(len(whole)))
	} else {
		enc.Reset(b)
	}
	_, err = enc.Write(whole)
	err = errors.Join(err, enc.Close())
	b.giveBack()
	if err != nil {
		return err
	}
	_ = r.Body.Close()
	if len(b.out) >= len(whole) && !forced {
		r.SetBytes(whole) // it does not shrink
		return nil
	}
	k.markEncoded(req, r, c)
	r.SetBytes(b.out)
	return nil
}

// readWhole reads a small body of known size into memory of its own.
func readWhole(r *message.Response) ([]byte, error) {
	whole, err := message.ReadAll(make([]byte, 0, r.Length+1), r.Body, r.Length)
	if err == nil && int64(len(whole)) != r.Length {
		err = message.ErrAborted
	}
	return whole, err
}

// markEncoded changes the head to the encoded representation's.
func (k *compressor) markEncoded(req *message.Request, r *message.Response, c coding) {
	h := &r.Header
	h.SetID(message.ContentEncoding, codingNames[c])
	// Ranges and digests were about the other bytes (RFC 9110 §14.3, RFC 9530).
	h.DelID(message.AcceptRanges)
	h.DelID(message.ContentMD5)
	h.DelID(message.Digest)
	h.Del("Content-Digest")
	h.Del("Repr-Digest")
	suffixTag(req, h, c)
	k.count("compress", codingNames[c])
}

// suffixTag makes the strong tag of the encoded representation: "abc" becomes
// "abc--zstd" (RFC 9110 §8.8.3.3). Weak tags stand for both.
func suffixTag(req *message.Request, h *message.Header, c coding) {
	tag := h.Value(message.ETag)
	if len(tag) < 2 || tag[0] != '"' || tag[len(tag)-1] != '"' {
		return
	}
	name := codingNames[c]
	b := append(req.X.Scratch(len(tag)+2+len(name)), tag[:len(tag)-1]...)
	b = append(b, "--"...)
	b = append(b, name...)
	h.SetID(message.ETag, message.View(append(b, '"')))
}

// cutSuffix finds our suffix in an opaque tag and gives the tag without it.
func cutSuffix(tag string) (string, coding, bool) {
	for c, name := range codingNames[:codingIdentity] {
		n := len(tag) - 1 - len(name)
		if n >= 3 && tag[n:len(tag)-1] == name && tag[n-2:n] == "--" {
			return tag[:n-2], coding(c), true // without the closing quote
		}
	}
	return "", codingIdentity, false
}

// stripTags removes our suffix from the entity tags of If-Match or
// If-None-Match, and gives the list as the client sent it when that changed it.
// If-Range keeps the suffix: a part of the plain body must not be joined to a
// part of the encoded one.
func (k *compressor) stripTags(req *message.Request, id message.ID) (seen string) {
	if !req.Header.Has(id) {
		return seen
	}
	fields := req.Header.Fields()
	for i := range fields {
		f := &fields[i]
		if f.ID != id || !strings.Contains(f.Value, "--") {
			continue
		}
		b := req.X.Scratch(len(f.Value))
		rest := f.Value
		changed := false
		for rest != "" {
			opaque, _, after, ok := nextTag(rest)
			if !ok {
				break
			}
			at := len(rest) - len(after) - len(opaque)
			b = append(b, rest[:at]...)
			if cut, _, ok := cutSuffix(opaque); ok {
				b = append(append(b, cut...), '"')
				changed = true
			} else {
				b = append(b, opaque...)
			}
			rest = after
		}
		if changed {
			seen = f.Value
			f.Value = message.View(append(b, rest...))
		}
	}
	return seen
}

// restoreTag gives a 304 the tag and Vary of the 200 that the client holds (RFC
// 9110 §15.4.5): of the tags it sent, the one for the coding it would get now,
// else the plain one, else any.
func (k *compressor) restoreTag(req *message.Request, r *message.Response, sent string, now coding) {
	varyBy(&r.Header, "Accept-Encoding")
	tag := r.Header.Value(message.ETag)
	if len(tag) < 2 || tag[0] != '"' {
		return
	}
	found := codingIdentity
	for {
		opaque, _, rest, ok := nextTag(sent)
		if !ok {
			break
		}
		sent = rest
		cut, c, suffixed := cutSuffix(opaque)
		switch {
		case opaque == tag:
			if now == codingIdentity {
				return
			}
		case suffixed && cut == tag[:len(tag)-1] && (found == codingIdentity || c == now):
			found = c
		}
	}
	if found != codingIdentity {
		suffixTag(req, &r.Header, found)
	}
}

// compressBody is the encoded form of another body. It holds at most what the
// encoder gives for one read of the source.
type compressBody struct {
	k     *compressor
	c     coding
	enc   encoder
	src   message.Body
	read  *[]byte
	out   []byte
	off   int
	flush bool
	done  bool
	err   error
}

// Write takes what the encoder gives.
func (b *compressBody) Write(p []byte) (int, error) {
	b.out = append(b.out, p...)
	return len(p), nil
}

// Read gives encoded bytes.
func (b *compressBody) Read(p []byte) (int, error) {
	for b.off == len(b.out) {
		if b.err != nil {
			return 0, b.err
		}
		if b.enc == nil {
			return 0, io.EOF
		}
		b.pump()
	}
	n := copy(p, b.out[b.off:])
	b.off += n
	return n, nil
}

// pump moves one read of the source through the encoder.
func (b *compressBody) pump() {
	b.out, b.off = b.out[:0], 0
	if b.read == nil {
		b.read, _ = b.k.reads.Get().(*[]byte)
	}
	n, err := b.src.Read(*b.read)
	if n > 0 {
		if _, werr := b.enc.Write((*b.read)[:n]); werr != nil {
			b.end(werr)
			return
		}
	}
	switch {
	case errors.Is(err, io.EOF):
		if cerr := b.enc.Close(); cerr != nil {
			b.end(cerr)
			return
		}
		b.end(io.EOF)
	case err != nil:
		b.end(err) // the end mark is not written: a cut body must not look whole
	case b.flush && n > 0:
		if ferr := b.enc.Flush(); ferr != nil {
			b.end(ferr)
		}
	}
}

func (b *compressBody) end(err error) {
	b.err = err
	b.giveBack()
}

// giveBack returns encoder and buffer to their pools.
func (b *compressBody) giveBack() {
	if b.enc != nil {
		b.enc.Reset(nil)
		b.k.pools[b.c].Put(b.enc)
		b.enc = nil
	}
	if b.read != nil {
		b.k.reads.Put(b.read)
		b.read = nil
	}
}

// Peek shows the encoded bytes that are ready.
func (b *compressBody) Peek() []byte { return b.out[b.off:] }

// Skip takes n of them.
func (b *compressBody) Skip(n int) { b.off += n }

// Close gives the encoder back and ends the source.
func (b *compressBody) Close() error {
	if b.done {
		return nil
	}
	b.done = true
	b.giveBack()
	if b.err == nil {
		b.err = message.ErrAborted
	}
	b.out, b.off = nil, 0
	return b.src.Close()
}
