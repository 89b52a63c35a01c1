package http1

import (
	"testing"

	"github.com/maru-msa/maru/message"
)

// browserRequest is what a browser sends, 20 fields.
const browserRequest = "GET /restaurants/42/menu?lang=ko&sort=price HTTP/1.1\r\n" +
	"Host: www.Example.com\r\n" +
	"Connection: keep-alive\r\n" +
	"Cache-Control: max-age=0\r\n" +
	"sec-ch-ua: \"Chromium\";v=\"126\", \"Not-A.Brand\";v=\"99\"\r\n" +
	"sec-ch-ua-mobile: ?0\r\n" +
	"sec-ch-ua-platform: \"Linux\"\r\n" +
	"Upgrade-Insecure-Requests: 1\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" +
	"Sec-Fetch-Site: none\r\n" +
	"Sec-Fetch-Mode: navigate\r\n" +
	"Sec-Fetch-User: ?1\r\n" +
	"Sec-Fetch-Dest: document\r\n" +
	"Referer: https://www.example.com/restaurants\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
	"Accept-Language: ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7\r\n" +
	"Cookie: session=4f2a9c1e8b7d6053; theme=dark; consent=1\r\n" +
	"If-None-Match: \"33a64df551425fcc55e4d42a148795d9f25f89d4\"\r\n" +
	"X-Requested-With: XMLHttpRequest\r\n" +
	"Priority: u=0, i\r\n\r\n"

// serviceResponse is what a service answers, 10 fields.
const serviceResponse = "HTTP/1.1 200 OK\r\n" +
	"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n" +
	"Content-Type: application/json; charset=utf-8\r\n" +
	"Content-Length: 1024\r\n" +
	"Connection: keep-alive\r\n" +
	"Keep-Alive: timeout=5\r\n" +
	"ETag: \"33a64df551425fcc55e4d42a148795d9f25f89d4\"\r\n" +
	"Cache-Control: private, max-age=60\r\n" +
	"Vary: Accept-Encoding, Origin\r\n" +
	"X-Powered-By: Express\r\n" +
	"Set-Cookie: session=4f2a9c1e8b7d6053; Path=/; HttpOnly; Secure\r\n\r\n"

// forwardRequest parses, strips and writes a request; nil when it was refused.
func forwardRequest(buf []byte, r *message.Request, lim *Limits, out []byte) []byte {
	r.Reset()
	r.Scheme = "http"
	if h, ok, err := parseRequest(buf, r, lim); !ok || err != nil || h.size != len(buf) || StripRequest(r) != nil {
		return nil
	}
	return appendRequestHead(out[:0], r, r.Authority)
}

// forwardResponse parses, strips and writes a response; nil when it was refused.
func forwardResponse(buf []byte, p *message.Response, lim *ResponseLimits, out []byte) []byte {
	p.Reset()
	if h, ok, err := parseResponse(buf, p, "GET", lim); !ok || err != nil || h.size != len(buf) {
		return nil
	}
	StripResponse(p)
	return appendResponseHead(out[:0], p, responseOptions{proto: message.HTTP11})
}

func TestCodecDoesNotAllocate(t *testing.T) {
	lim := limitsOf(nil)
	rl := ResponseLimits{}.WithDefaults()
	r, p := newRequest(""), message.NewResponse(0)
	req, res, out := []byte(browserRequest), []byte(serviceResponse), make([]byte, 0, 4096)
	bad := []byte("GET / HTTP/1.1\r\nHost : a\r\n\r\n")
	chunked := []byte("5;a=b\r\nhello\r\n0\r\n\r\n")
	var d chunkDecoder
	for name, run := range map[string]func(){
		"request": func() {
			if out = forwardRequest(req, r, lim, out); out == nil {
				t.Fatal("refused")
			}
		},
		"response": func() {
			if out = forwardResponse(res, p, &rl, out); out == nil {
				t.Fatal("refused")
			}
		},
		"refusal": func() {
			if _, _, err := parseRequest(bad, r, lim); err == nil {
				t.Fatal("not refused")
			}
		},
		"chunks": func() {
			d.reset(lim.chunk(), &r.Trailer)
			in := chunked
			for !d.done {
				skip, data, err := d.next(in)
				if err != nil {
					t.Fatal(err)
				}
				in = in[skip+data:]
			}
			out = appendLastChunk(appendChunkHead(out[:0], 5), &r.Trailer)
		},
	} {
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkParseRequest(b *testing.B) {
	lim, r, buf := limitsOf(nil), newRequest(""), []byte(browserRequest)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		r.Reset()
		if _, ok, err := parseRequest(buf, r, lim); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

func BenchmarkParseResponse(b *testing.B) {
	lim, p, buf := ResponseLimits{}.WithDefaults(), message.NewResponse(0), []byte(serviceResponse)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		p.Reset()
		if _, ok, err := parseResponse(buf, p, "GET", &lim); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

func BenchmarkForwardRequest(b *testing.B) {
	lim, r, buf, out := limitsOf(nil), newRequest(""), []byte(browserRequest), make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if out = forwardRequest(buf, r, lim, out); out == nil {
			b.Fatal("refused")
		}
	}
}

func BenchmarkForwardResponse(b *testing.B) {
	lim, p, buf, out := ResponseLimits{}.WithDefaults(), message.NewResponse(0), []byte(serviceResponse), make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if out = forwardResponse(buf, p, &lim, out); out == nil {
			b.Fatal("refused")
		}
	}
}

func BenchmarkSmallRequest(b *testing.B) {
	lim, r, buf := limitsOf(nil), newRequest(""), []byte("GET /a HTTP/1.1\r\nHost: localhost:8080\r\n\r\n")
	b.ReportAllocs()
	for b.Loop() {
		r.Reset()
		if _, ok, err := parseRequest(buf, r, lim); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}
