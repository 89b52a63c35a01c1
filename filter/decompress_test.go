package filter

import (
	"errors"
	"strings"
	"testing"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// upload makes a POST with an encoded body.
func upload(coding, body string) *message.Request {
	r := ask("POST", "/", "Content-Encoding: "+coding, "Content-Digest: x=:y:")
	r.Body, r.Length = &trickle{data: []byte(body), size: 300}, int64(len(body))
	return r
}

// echo reads the request body as a service would.
func echo(r *message.Request) (*message.Response, error) {
	all, err := message.ReadAll(nil, r.Body, 1<<30)
	if err != nil {
		return nil, problem.Wrap(errors.New("the call was cut"), 502, "bad_response", "")
	}
	resp := message.NewResponse(200)
	for _, f := range r.Header.Fields() {
		resp.Header.Append(f)
	}
	resp.SetBytes(all)
	return resp, nil
}

func TestDecompressRequest(t *testing.T) {
	text := strings.Repeat("한글 text ", 400)
	for _, c := range []struct {
		name, coding, body string
		status             int
		want               string
	}{
		{"gzip", "gzip", encoded(t, "gzip", text), 200, text},
		{"br", "BR", encoded(t, "br", text), 200, text},
		{"zstd", "zstd", encoded(t, "zstd", text), 200, text},
		{"two layers", "zstd, gzip", encoded(t, "gzip", encoded(t, "zstd", text)), 200, text},
		{"identity", "identity", text, 200, text},
		{"unknown", "lzma", text, 415, ""},
		{"unknown under known", "lzma, gzip", encoded(t, "gzip", text), 415, ""},
		{"too many layers", "gzip, gzip, gzip, gzip", text, 415, ""},
		{"not gzip", "gzip", text, 400, ""},
		{"not br", "br", "\xff\xff\xff\xff" + text, 400, ""},
		{"not zstd", "zstd", text, 400, ""},
		{"cut", "gzip", encoded(t, "gzip", text)[:30], 400, ""},
		{"more after the end", "br", encoded(t, "br", text) + strings.Repeat("x", 9000), 400, ""},
		{"ratio", "gzip", encoded(t, "gzip", strings.Repeat("\x00", 3<<20)), 413, ""},
		{"ratio br", "br", encoded(t, "br", strings.Repeat("\x00", 3<<20)), 413, ""},
		{"ratio of layers", "br, gzip", encoded(t, "gzip", encoded(t, "br", strings.Repeat("\x00", 8<<20))), 413, ""},
		{"limit", "zstd", encoded(t, "zstd", random(11<<20)), 413, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, err := build(t, &Decompress{}, echo)(upload(c.coding, c.body))
			if err != nil {
				if p := problem.Of(err); p.Status != c.status {
					t.Errorf("%v, want status %d", err, c.status)
				}
				return
			}
			if c.status != 200 {
				t.Fatalf("passed, want %d", c.status)
			}
			if readBody(t, resp.Body) != c.want {
				t.Error("the body changed")
			}
			if resp.Header.Has(message.ContentEncoding) || resp.Header.Get("Content-Digest") != "" {
				t.Errorf("fields about the encoded bytes are left: %v", resp.Header.Fields())
			}
		})
	}
}

func TestDecompressResponse(t *testing.T) {
	text := strings.Repeat("plain ", 1000)
	serve := func(r *message.Response) (*message.Response, error) {
		return build(t, &Decompress{Response: true}, func(*message.Request) (*message.Response, error) { return r, nil })(ask("GET", "/"))
	}
	resp, err := serve(answer(200, encoded(t, "br", text), "Content-Encoding: br", `ETag: "a"`))
	if err != nil || readBody(t, resp.Body) != text || resp.Length != message.Unknown || resp.Header.Get("ETag") != `W/"a"` {
		t.Errorf("br: %v %v", resp.Header.Fields(), err)
	}
	resp.Release()
	for _, keep := range []*message.Response{
		answer(200, text, "Content-Encoding: lzma"),
		answer(206, text, "Content-Encoding: gzip"),
		answer(200, text, "Content-Encoding: gzip", "Cache-Control: no-transform"),
	} {
		resp, err := serve(keep)
		if err != nil || !resp.Header.Has(message.ContentEncoding) || readBody(t, resp.Body) != text {
			t.Errorf("changed: %v %v", resp.Header.Fields(), err)
		}
	}
	resp, err = serve(answer(200, encoded(t, "gzip", strings.Repeat("\x00", 9<<20)), "Content-Encoding: gzip"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = message.ReadAll(nil, resp.Body, 1<<30)
	if p := problem.Of(err); p.Status != 502 || p.Reason != "decompressed_too_large" {
		t.Errorf("a bomb gives %v, want 502", err)
	}
	resp.Release()
}

// TestDecompressClose: what is given back is not used again by its old body.
func TestDecompressClose(t *testing.T) {
	text := strings.Repeat("plain ", 1000)
	src := &trickle{data: []byte(encoded(t, "zstd", text)), size: 10}
	f := build(t, &Decompress{Response: true}, func(*message.Request) (*message.Response, error) {
		r := answer(200, "", "Content-Encoding: zstd")
		r.Body, r.Length = src, 100
		return r, nil
	})
	resp, err := f(ask("GET", "/"))
	if err != nil {
		t.Fatal(err)
	}
	body := resp.Body
	for range 2 {
		if err := body.Close(); err != nil {
			t.Error(err)
		}
	}
	if n, err := body.Read(make([]byte, 10)); n != 0 || err == nil {
		t.Errorf("read %d, %v after Close", n, err)
	}
	if src.closed != 1 {
		t.Errorf("source closed %d times", src.closed)
	}
}

func TestDecompressConfig(t *testing.T) {
	no, zero := false, message.Size(0)
	_, err := (&Decompress{Request: &no, Limit: &zero, Ratio: -1}).Filter(Bare())
	for _, want := range []string{"limit", "ratio", "request"} {
		if err == nil || !strings.Contains(err.Error(), want+":") {
			t.Errorf("no finding for %s in %v", want, err)
		}
	}
}

func TestDecompressPlainAllocs(t *testing.T) {
	resp := answer(200, "", "Content-Type: text/plain")
	f := build(t, &Decompress{Response: true}, func(*message.Request) (*message.Response, error) { return resp, nil })
	req := ask("POST", "/")
	req.Length = 10
	if n := testing.AllocsPerRun(100, func() { _, _ = f(req) }); n != 0 {
		t.Errorf("%v allocations for plain bodies", n)
	}
}

func FuzzDecompress(f *testing.F) {
	for i, c := range []string{"gzip", "br", "zstd"} {
		f.Add([]byte(encoded(f, c, strings.Repeat("seed ", 50))), uint8(i))
	}
	limit := message.Size(1 << 20)
	deco, err := (&Decompress{Limit: &limit}).Filter(Bare())
	if err != nil {
		f.Fatal(err)
	}
	fn := deco(echo)
	f.Fuzz(func(t *testing.T, body []byte, pick uint8) {
		resp, err := fn(upload([]string{"gzip", "br", "zstd"}[pick%3], string(body)))
		if err != nil {
			if s := problem.Of(err).Status; s != 400 && s != 413 {
				t.Fatalf("status %d: %v", s, err)
			}
			return
		}
		if resp.Length > 1<<20 {
			t.Fatalf("%d bytes came through", resp.Length)
		}
	})
}
