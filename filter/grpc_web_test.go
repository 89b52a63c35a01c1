package filter

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/maru-msa/maru/message"
)

func webFrame(flag byte, content string) string {
	b := binary.BigEndian.AppendUint32([]byte{flag}, uint32(len(content)))
	return string(append(b, content...))
}

// stream is a body that gives what a reader gives.
type stream struct{ io.Reader }

func (stream) Close() error { return nil }

// webThrough sends one call through the filter to a service that answers with
// content and then ends with err and trailers.
func webThrough(t *testing.T, media, body string, content io.Reader, trailers ...string) (got string, p *message.Response, served string) {
	t.Helper()
	f, err := new(GRPCWeb).Filter(Bare())
	if err != nil {
		t.Fatal(err)
	}
	r := message.NewRequest()
	t.Cleanup(r.Release)
	r.Method, r.Path, r.Proto = "POST", "/shop.Basket/Put", message.HTTP11
	r.Header.AppendID(message.ContentType, media)
	r.Body, r.Length = stream{iotest.OneByteReader(strings.NewReader(body))}, int64(len(body))
	p, err = f(func(r *message.Request) (*message.Response, error) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		served = string(b)
		p := message.NewResponse(200)
		p.Header.AppendID(message.ContentType, "application/grpc")
		p.Body, p.Length = stream{content}, message.Unknown
		for i := 0; i+1 < len(trailers); i += 2 {
			p.Trailer.Append(message.Field{Name: trailers[i], Value: trailers[i+1], ID: message.NameID(trailers[i])})
		}
		return p, nil
	})(r)
	if err != nil {
		p = Render(r, err)
	}
	t.Cleanup(p.Release)
	b, err := io.ReadAll(p.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), p, served
}

func TestGRPCWebBinary(t *testing.T) {
	t.Parallel()
	answer := webFrame(0, "one") + webFrame(0, "two")
	got, p, served := webThrough(t, "application/grpc-web+proto", webFrame(0, "hello"), strings.NewReader(answer), "grpc-status", "0")
	if served != webFrame(0, "hello") {
		t.Errorf("the service got %q", served)
	}
	// The frame of status 0 as gRPC-Web's own documents show it.
	if want := answer + "\x80\x00\x00\x00\x0fgrpc-status:0\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if v := p.Header.Value(message.ContentType); v != "application/grpc-web+proto" {
		t.Errorf("media type %q", v)
	}
	if p.Trailer.Len() > 0 || !p.Stream || p.Length != message.Unknown {
		t.Errorf("trailers %v, stream %v, length %d", p.Trailer.Fields(), p.Stream, p.Length)
	}
}

func TestGRPCWebTrailerNamesAreLowerCase(t *testing.T) {
	t.Parallel()
	got, _, _ := webThrough(t, "application/grpc-web", webFrame(0, ""), strings.NewReader(""), "Grpc-Status", "0", "X-Cost-Bin", "AAE=")
	if want := webFrame(0x80, "grpc-status:0\r\nx-cost-bin:AAE=\r\n"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestGRPCWebAnswerThatBreaksOff(t *testing.T) {
	t.Parallel()
	content := io.MultiReader(strings.NewReader(webFrame(0, "one")), iotest.ErrReader(message.ErrAborted))
	got, _, _ := webThrough(t, "application/grpc-web", webFrame(0, "hello"), content)
	if want := webFrame(0, "one") + webFrame(0x80, "grpc-status:14\r\ngrpc-message:the service broke its answer off\r\n"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestGRPCWebTextPerFlush wants each read of the service's body to be readable by
// itself: a browser decodes what it has.
func TestGRPCWebTextPerFlush(t *testing.T) {
	t.Parallel()
	answer := webFrame(0, "x")
	got, _, _ := webThrough(t, "application/grpc-web-text", base64.StdEncoding.EncodeToString([]byte(webFrame(0, "hello"))),
		io.MultiReader(strings.NewReader(answer), strings.NewReader(answer)), "grpc-status", "0")
	one := base64.StdEncoding.EncodeToString([]byte(answer))
	if want := one + one + base64.StdEncoding.EncodeToString([]byte(webFrame(0x80, "grpc-status:0\r\n"))); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// FuzzGRPCWebRequest wants the same verdict and the same bytes however the
// request is cut into reads, and never more than one message to pass.
func FuzzGRPCWebRequest(f *testing.F) {
	for _, s := range []string{
		webFrame(0, "hello"), webFrame(1, ""), webFrame(2, "x"), webFrame(0, "a") + webFrame(0, "b"), webFrame(0x80, "x"),
		"AAAAAAVoZWxsbw==", "AAAAAA==BWhlbGxv", "AAAAAAVoZQ==", "AAA*", "\x00\xff\xff\xff\xff", "",
	} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, in []byte, text bool) {
		read := func(r io.Reader) ([]byte, string) {
			b := &webRequest{src: stream{r}, text: text, limit: 1 << 10}
			out, err := io.ReadAll(b)
			if err == nil {
				return out, ""
			}
			if b.problem() == nil {
				return nil, err.Error() // the body's own
			}
			return nil, b.problem().Reason
		}
		whole, verdict := read(bytes.NewReader(in))
		single, same := read(iotest.OneByteReader(bytes.NewReader(in)))
		if verdict != same || !bytes.Equal(whole, single) {
			t.Fatalf("whole: %q %q; cut: %q %q", whole, verdict, single, same)
		}
		if verdict != "" {
			return
		}
		if len(whole) < frameHead || len(whole) != frameHead+int(binary.BigEndian.Uint32(whole[1:])) {
			t.Fatalf("passed %q", whole)
		}
		if _, err := read(errorAfter(in)); err == "" && len(in) > 0 {
			t.Fatal("a body that broke off was taken for whole")
		}
	})
}

func errorAfter(in []byte) io.Reader {
	return io.MultiReader(bytes.NewReader(in), iotest.ErrReader(errors.Join(message.ErrAborted)))
}
