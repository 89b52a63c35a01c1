package edge

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maru-msa/maru/memnet"
)

// FuzzProxyHeader: no input panics, reads past its header, or gives an address
// that is half there.
func FuzzProxyHeader(f *testing.F) {
	for _, seed := range []string{
		"PROXY TCP4 203.0.113.9 198.51.100.1 4711 443\r\nGET", "PROXY TCP6 ::1 ::2 1 2\r\n", "PROXY UNKNOWN\r\n", "PROXY UNKNOWN x\r\n",
		"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x09\xc6\x33\x64\x01\x12\x67\x01\xbbGET", "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00",
		"\r\n\r\n\x00\r\nQUIT\n\x21\x21\x00\x24" + "0123456789abcdef0123456789abcdef\x01\x02\x03\x04", "\r\n\r\n\x00\r\nQUIT\n\x21\x31\x00\xd8", "GET / HTTP/1.1\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		r := bytes.NewReader(input)
		p, err := readProxyHeader(r)
		if err != nil {
			if p.peer.IsValid() || p.local.IsValid() {
				t.Fatalf("an error and an address: %+v, %v", p, err)
			}
			return
		}
		if p.peer.IsValid() != p.local.IsValid() {
			t.Fatalf("half an address: %+v", p)
		}
		used := input[:len(input)-r.Len()]
		again, err := readProxyHeader(io.MultiReader(bytes.NewReader(used), errReader{}))
		if err != nil || again != p {
			t.Fatalf("the %d octets that were read give %+v, %v; all gave %+v", len(used), again, err, p)
		}
	})
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errors.New("read past the header") }

// TestProxyHeaderMustNotTakeLong: a trusted peer that is silent, or stops inside
// its header, is dropped after five seconds.
func TestProxyHeaderMustNotTakeLong(t *testing.T) {
	t.Parallel()
	for _, begin := range []string{"", "PROXY TCP4 203.0", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"} {
		synctest.Test(t, func(t *testing.T) {
			ln := memnet.Listen("balancer")
			client, err := ln.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			server, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			defer client.Close()
			if _, err := client.Write([]byte(begin)); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			_, err = acceptTimed(server)
			if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != proxyHeaderTime || proxyReason(err) != "proxy_timeout" {
				t.Errorf("after %q: %v after %s", begin, err, time.Since(began))
			}
		})
	}
}
