package filter

import (
	"encoding/binary"
	"errors"
	"io"
	"sync/atomic"

	"github.com/maru-msa/maru/contract"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
	"github.com/maru-msa/maru/scan"
)

// aheadSize is the largest body that an engine reads into its own memory.
const aheadSize = 32 << 10

// held judges the whole body of a request, which goes on as it came.
func (v *validator) held(r *message.Request, media *contract.Media, verdict *contract.Verdict) error {
	limit := int64(v.Buffer)
	if r.Length > limit {
		return tooLarge()
	}
	body, err := inMemory(r)
	if err != nil {
		return err
	}
	if body == nil {
		if err := bufferRequest(r, limit); err != nil {
			return err
		}
		b, _ := r.Body.(*heldBody)
		body = b.data
	}
	if r.Header.Has(message.ContentEncoding) {
		if body, err = v.decoded(r, body); err != nil {
			return err
		}
	}
	media.Check(body, false, verdict)
	return nil
}

// inMemory gives a small body where the engine keeps it; nil when it has to be held.
func inMemory(r *message.Request) ([]byte, error) {
	b, ok := r.Body.(message.Buffered)
	if !ok || r.Length <= 0 || r.Expect {
		return nil, nil
	}
	if a, ok := r.Body.(interface{ ReadAhead() error }); ok && r.Length <= aheadSize {
		if err := a.ReadAhead(); err != nil {
			return nil, bodyError(err)
		}
	}
	if p := b.Peek(); int64(len(p)) == r.Length {
		return p, nil
	}
	return nil, nil
}

// decoded is a body without its content codings, for the check only.
func (v *validator) decoded(r *message.Request, body []byte) ([]byte, error) {
	layers, n, ok := codingLayers(&r.Header)
	if !ok {
		p := problem.New(415, "content_encoding", "the body's content coding is not supported; use gzip, br or zstd")
		p.Fields = []problem.Field{{Name: "Accept-Encoding", Value: "zstd, br, gzip"}} // RFC 9110 §15.5.16
		return nil, p
	}
	if n == 0 {
		return body, nil
	}
	d := v.codec.open(message.Bytes(body), layers[:n], false)
	defer d.Close() //nolint:errcheck // it is memory
	out, err := message.ReadAll(room(message.Unknown), d, int64(v.Buffer))
	if errors.Is(err, message.ErrTooLarge) {
		return nil, tooLarge()
	}
	return out, err //nolint:wrapcheck // a problem
}

// watched is a body that is judged as it goes by.
type watched struct {
	message.Body

	v       *validator
	b       *bound
	message contract.Message
	scanner *scan.Scanner
	report  *scan.Report
	left    int64 // bytes until the end; negative: not known
	done    atomic.Bool
}

// watch makes a watched body; nil when it can be judged as a whole only.
func (v *validator) watch(b *bound, body message.Body, length int64, media *contract.Media, m contract.Message) *watched { //nolint:gocritic // a few words
	if !media.Streams(m.Answer) {
		return nil
	}
	program := media.Program(m.Answer)
	w := &watched{Body: body, v: v, b: b, message: m, scanner: scan.NewScanner(scan.Rules{}), report: scan.NewReport(), left: length}
	if err := w.scanner.ResetProgram(program, w.report); err != nil {
		return nil // never: NeedsBody was asked
	}
	return w
}

// Read judges what it gives.
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Body.Read(p)
	w.passed(p[:n], err)
	return n, err
}

// Peek shows what the body has in memory.
func (w *watched) Peek() []byte {
	if b, ok := w.Body.(message.Buffered); ok {
		return b.Peek()
	}
	return nil
}

// Skip judges what it takes.
func (w *watched) Skip(n int) {
	b, ok := w.Body.(message.Buffered)
	if !ok {
		return
	}
	taken := b.Peek()[:n]
	w.passed(taken, nil)
	b.Skip(n)
}

// passed judges bytes that have gone by; a fault of the text shows in end.
func (w *watched) passed(p []byte, err error) {
	if w.done.Load() {
		return
	}
	_, _ = w.scanner.Write(p)
	if w.left >= 0 {
		w.left -= int64(len(p))
	}
	if errors.Is(err, io.EOF) || w.left == 0 {
		w.end()
	}
}

// Close ends the body.
func (w *watched) Close() error { return w.Body.Close() }

// end gives the verdict once the last byte has gone by.
func (w *watched) end() {
	if w.done.Swap(true) {
		return
	}
	verdict := contract.NewVerdict()
	if err := w.scanner.Close(); err != nil {
		verdict.Syntactic(err)
	} else {
		verdict.Report(w.report, "body", "")
	}
	if !verdict.Valid() {
		w.v.note(w.b, w.message, verdict)
		if w.message.Answer {
			w.b.pace.heat(w.v.env.Now())
		}
	}
	verdict.Release()
	w.scanner.Release()
	w.report.Release()
}

// finish counts a body that was not read to its end.
func (w *watched) finish() {
	if !w.done.Load() {
		w.b.meter.Unchecked(w.message.Answer, contract.NotWhole)
	}
}

// watchRequest judges the body of a request while it streams.
func (v *validator) watchRequest(b *bound, r *message.Request, media *contract.Media) *watched {
	if r.Header.Has(message.ContentEncoding) {
		b.meter.Unchecked(false, contract.Encoded)
		return nil
	}
	w := v.watch(b, r.Body, r.Length, media, contract.Message{Trace: r.X.Trace.ID})
	if w == nil {
		b.meter.Unchecked(false, contract.NotStreamed)
		return nil
	}
	r.Body = w
	return w
}

// checkResponse judges an answer: what is cheap always, its body by sample.
func (v *validator) checkResponse(b *bound, r *message.Request, resp *message.Response) (*message.Response, error) {
	verdict := contract.NewVerdict()
	defer verdict.Release()
	media := v.answer(b, r, resp, verdict)
	m := contract.Message{Answer: true, Status: resp.Status}
	if media != nil && v.response == enforce && !resp.Stream {
		out, err := v.heldAnswer(b, r, resp, media, verdict)
		if err != nil {
			return nil, err
		}
		resp = out
	} else if media != nil && v.sampled(b, r, resp.Status) {
		v.seenAnswer(b, r, resp, media, verdict)
	}
	if verdict.Valid() {
		return resp, nil
	}
	m.Trace, m.Media = r.X.Trace.ID, resp.Header.Value(message.ContentType)
	v.note(b, m, verdict)
	b.pace.heat(v.env.Now())
	if v.response != enforce || resp.Stream {
		return resp, nil
	}
	v.env.Count("validate", "response_refused")
	resp.Release()
	return nil, problem.New(502, "response_invalid", "the service's answer does not match its contract")
}

// answer judges status, fields and media type, and gives what holds for the body.
func (v *validator) answer(b *bound, r *message.Request, resp *message.Response, verdict *contract.Verdict) *contract.Media {
	if b.op == nil {
		return nil // a bare schema is the request's
	}
	if b.op.Silent() {
		b.meter.Unchecked(true, contract.NoSchema)
		return nil
	}
	said := b.op.Response(resp.Status)
	if said == nil {
		verdict.Undeclared()
		return nil
	}
	said.Headers(&resp.Header, verdict)
	if r.Method == "HEAD" || message.NoContent(resp.Status) || resp.Length == 0 || !said.Bodied() {
		return nil
	}
	media := said.Content(resp.Header.Value(message.ContentType))
	switch {
	case media == nil:
		verdict.MediaType()
		return nil
	case !media.Checked(true):
		b.meter.Unchecked(true, contract.NoSchema)
		return nil
	case resp.Header.Has(message.ContentEncoding):
		b.meter.Unchecked(true, contract.Encoded)
		return nil
	}
	return media
}

// heldAnswer judges a whole answer before anything of it is passed on.
func (v *validator) heldAnswer(b *bound, r *message.Request, resp *message.Response, media *contract.Media, verdict *contract.Verdict) (*message.Response, error) {
	limit := int64(v.Buffer)
	if resp.Length > limit || resp.Length == message.Unknown && v.OnLarge == "pass" && resp.Stream {
		if v.OnLarge == "pass" {
			b.meter.Unchecked(true, contract.TooLarge)
			return resp, nil
		}
	}
	out, err := bufferResponse(r, resp, limit)
	if err != nil {
		return nil, err
	}
	held, ok := out.Body.(*heldBody)
	if !ok {
		return out, nil
	}
	b.meter.Checked(true)
	media.Check(held.data, true, verdict)
	return out, nil
}

// seenAnswer judges an answer that goes on at once: now, when all of it is in
// memory, else while it streams.
func (v *validator) seenAnswer(b *bound, r *message.Request, resp *message.Response, media *contract.Media, verdict *contract.Verdict) {
	if body, ok := resp.Body.(message.Buffered); ok && resp.Length > 0 && int64(len(body.Peek())) == resp.Length {
		b.meter.Checked(true)
		media.Check(body.Peek(), true, verdict)
		return
	}
	m := contract.Message{Answer: true, Status: resp.Status, Trace: r.X.Trace.ID, Media: resp.Header.Value(message.ContentType)}
	w := v.watch(b, resp.Body, resp.Length, media, m)
	if w == nil {
		b.meter.Unchecked(true, contract.NotStreamed)
		return
	}
	b.meter.Checked(true)
	resp.Body = w
}

// sampled tells whether the body of an answer is checked: one trace is, or is
// not, at every hop.
func (v *validator) sampled(b *bound, r *message.Request, status int) bool {
	share := float64(v.Sample)
	if status >= 400 {
		share *= 10
	}
	if share >= 1 {
		return true
	}
	const whole = 1 << 53
	if float64(binary.BigEndian.Uint64(r.X.Trace.ID[8:])>>11) < share*whole && r.X.Trace.ID != [16]byte{} {
		return true
	}
	now := v.env.Now()
	return b.pace.more(now) && v.burst.take(now)
}
