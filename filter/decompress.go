package filter

import (
	"errors"
	"io"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// Decompress decodes bodies in gzip, br or zstd, so that filters after it and
// services see plain ones. Expansion is bounded by ratio and by size.
type Decompress struct {
	// Request decodes request bodies (default true). An unknown coding is 415,
	// a body over the limits 413, a broken one 400.
	Request *bool `yaml:"request"`
	// Response decodes response bodies (default false). An unknown coding
	// passes as it is; a body over the limits or a broken one is 502.
	Response bool `yaml:"response"`
	// Limit is the most decoded bytes of one body (default 10MiB).
	Limit *message.Size `yaml:"limit"`
	// Ratio is the most decoded bytes for each encoded byte (default 100). The
	// first 64 KiB are free.
	Ratio int `yaml:"ratio"`
}

const (
	decompressLimit  = 10 << 20
	decompressRatio  = 100
	decompressFree   = 64 << 10 // decoded bytes before the ratio counts
	decompressLayers = 3        // codings on top of one another
	zstdMaxWindow    = 8 << 20  // RFC 9659
)

// Filter makes the filter.
func (c *Decompress) Filter(env Env) (Filter, error) {
	d := &decompressor{
		request: c.Request == nil || *c.Request, response: c.Response,
		limit: decompressLimit, ratio: decompressRatio, count: env.Count,
	}
	var errs []error
	if c.Limit != nil {
		if d.limit = int64(*c.Limit); d.limit < 1 {
			errs = append(errs, diag.At("limit", "a limit of %d bytes lets nothing through", d.limit).WithFix("write a size such as 10MiB"))
		}
	}
	if c.Ratio != 0 {
		if d.ratio = int64(c.Ratio); c.Ratio < 1 {
			errs = append(errs, diag.At("ratio", "a ratio of %d lets nothing through", c.Ratio).WithFix("write a number from 1 on, such as 100"))
		}
	}
	if !d.request && !d.response {
		errs = append(errs, diag.At("request", "neither requests nor responses are decoded").WithFix("set request or response to true, or drop the filter"))
	}
	if err := diag.Join(errs...); err != nil {
		return nil, err
	}
	d.equip()
	return func(next Func) Func {
		return func(req *message.Request) (*message.Response, error) { return d.serve(req, next) }
	}, nil
}

type decompressor struct {
	request, response bool
	limit, ratio      int64
	count             func(filter, reason string)
	pools             [codingIdentity]sync.Pool
}

// equip fills the pools of decoders.
func (d *decompressor) equip() {
	d.pools[codingZstd].New = func() any {
		// The options are constants within range; only a bad one gives an error.
		z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdMaxWindow))
		if err != nil {
			return nil
		}
		return z
	}
	d.pools[codingBr].New = func() any { return brotli.NewReader(nil) }
	d.pools[codingGzip].New = func() any { return new(gzip.Reader) }
}

// decoder is what the three libraries share.
type decoder interface {
	io.Reader
	Reset(r io.Reader) error
}

func (d *decompressor) serve(req *message.Request, next Func) (*message.Response, error) {
	var body *decodeBody
	if d.request && req.HasBody() && req.Header.Has(message.ContentEncoding) {
		layers, n, ok := codingLayers(&req.Header)
		if !ok {
			d.count("decompress", "unknown_coding")
			p := problem.New(415, "content_encoding", "the body's content coding is not supported; use gzip, br or zstd")
			p.Fields = []problem.Field{{Name: "Accept-Encoding", Value: "zstd, br, gzip"}} // RFC 9110 §15.5.16
			return nil, p
		}
		if n > 0 {
			body = d.open(req.Body, layers[:n], false)
			req.Body = body
			req.Length = message.Unknown
		}
		dropEncoded(&req.Header)
	}
	resp, err := next(req)
	if err != nil {
		// The service was cut off because the body could not be read: the
		// body's fault is the answer, not the broken call.
		if body != nil && body.fault != nil {
			d.count("decompress", body.fault.Reason)
			return nil, body.fault
		}
		return nil, err
	}
	if d.response {
		d.decodeResponse(req, resp)
	}
	return resp, nil
}

func (d *decompressor) decodeResponse(req *message.Request, r *message.Response) {
	h := &r.Header
	if !h.Has(message.ContentEncoding) || message.NoContent(r.Status) || r.Status == 206 ||
		h.HasToken(message.CacheControl, "no-transform") { // RFC 9110 §7.7
		return
	}
	layers, n, ok := codingLayers(h)
	if !ok || n == 0 {
		return
	}
	dropEncoded(h)
	h.DelID(message.AcceptRanges)
	if tag := h.Value(message.ETag); strings.HasPrefix(tag, `"`) {
		// Other bytes under the same strong tag would break ranges (RFC 9110 §8.8.1).
		h.SetID(message.ETag, message.View(append(append(req.X.Scratch(len(tag)+2), "W/"...), tag...)))
	}
	if r.Length == 0 || req.Method == "HEAD" {
		r.Length = message.Unknown
		return
	}
	r.Body = d.open(r.Body, layers[:n], true)
	r.Length = message.Unknown
}

// dropEncoded removes what was said about the encoded bytes.
func dropEncoded(h *message.Header) {
	h.DelID(message.ContentEncoding)
	h.DelID(message.ContentMD5)
	h.DelID(message.Digest)
	h.Del("Content-Digest")
	h.Del("Repr-Digest")
}

// codingLayers lists the codings in the order they were applied (RFC 9110
// §8.4). ok is false for an unknown one or too many.
func codingLayers(h *message.Header) (layers [decompressLayers]coding, n int, ok bool) {
	fields := h.Fields()
	for i := range fields {
		if fields[i].ID != message.ContentEncoding {
			continue
		}
		for rest := fields[i].Value; rest != ""; {
			var name string
			name, rest = message.NextMember(rest)
			if name == "" {
				continue
			}
			c, known := codingOf(name)
			switch {
			case !known || n == decompressLayers:
				return layers, 0, false
			case c == codingIdentity:
				continue
			}
			layers[n] = c
			n++
		}
	}
	return layers, n, true
}

// open puts decoders around src, the last applied coding first.
func (d *decompressor) open(src message.Body, layers []coding, response bool) *decodeBody {
	b := &decodeBody{d: d, src: src, response: response}
	b.top = &b.meter
	b.meter.src = src
	for i := len(layers) - 1; i >= 0; i-- {
		c := layers[i]
		b.codings[i] = c
		dec, ok := d.pools[c].Get().(decoder)
		if !ok {
			b.top = failedReader{errNoEncoder}
			break
		}
		b.decoders[i] = dec
		// A decoder may read at once; that happens at the first Read instead,
		// so that building a chain never waits for the client.
		b.top = &lazyDecoder{dec: dec, from: b.top}
	}
	return b
}

type failedReader struct{ err error }

func (f failedReader) Read([]byte) (int, error) { return 0, f.err }

type lazyDecoder struct {
	dec  decoder
	from io.Reader
	open bool
	err  error
}

func (l *lazyDecoder) Read(p []byte) (int, error) {
	if !l.open {
		l.open = true
		l.err = l.dec.Reset(l.from)
	}
	if l.err != nil {
		return 0, l.err
	}
	return l.dec.Read(p)
}

// meter counts the encoded bytes and remembers why the source ended.
type meter struct {
	src message.Body
	n   int64
	err error
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.src.Read(p)
	m.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		m.err = err
	}
	return n, err
}

// decodeBody is the decoded form of another body.
type decodeBody struct {
	d        *decompressor
	src      message.Body
	meter    meter
	top      io.Reader
	codings  [decompressLayers]coding
	decoders [decompressLayers]decoder
	out      int64
	response bool
	closed   bool
	fault    *problem.Error
	err      error
}

// Read gives decoded bytes. A fault of the encoding is a *problem.Error.
func (b *decodeBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := b.top.Read(p)
	b.out += int64(n)
	if b.out > b.d.limit || b.out > decompressFree && b.out > b.meter.n*b.d.ratio {
		b.fail(413, "decompressed_too_large", "the decoded body is over its limit", nil)
		return 0, b.err
	}
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF) && b.meter.n > 0:
		b.err = b.drained()
	case errors.Is(err, io.EOF):
		b.fail(400, "content_encoding", "the body is empty but has a content coding", nil)
	case b.meter.err != nil:
		b.err = b.meter.err // the client's or service's own fault, as it is
	default:
		b.fail(400, "content_encoding", "the body is not in its content coding", err)
	}
	if n > 0 {
		return n, nil
	}
	return 0, b.err
}

// drained reads the source to its end after the last coded byte: the engine
// needs that to use the connection again. More bytes are a fault.
func (b *decodeBody) drained() error {
	var one [1]byte
	for b.meter.err == nil {
		n, err := b.meter.Read(one[:])
		if n > 0 {
			b.fail(400, "content_encoding", "bytes follow the end of the encoded body", nil)
			return b.err
		}
		if errors.Is(err, io.EOF) {
			return io.EOF
		}
	}
	return b.meter.err
}

func (b *decodeBody) fail(status int, reason, detail string, cause error) {
	if b.response {
		status = 502
	}
	b.fault = problem.Wrap(cause, status, reason, detail)
	b.err = b.fault
}

// Close gives the decoders back and ends the source.
func (b *decodeBody) Close() error {
	if b.closed {
		return nil
	}
	b.closed = true
	if b.err == nil {
		b.err = message.ErrAborted
	}
	for i, dec := range b.decoders {
		if dec == nil {
			continue
		}
		b.decoders[i] = nil
		_ = dec.Reset(emptyReader{}) // let go of the body; gzip says that nothing is no gzip
		b.d.pools[b.codings[i]].Put(dec)
	}
	b.top = failedReader{message.ErrAborted}
	return b.src.Close()
}

type emptyReader struct{}

func (emptyReader) Read([]byte) (int, error) { return 0, io.EOF }
