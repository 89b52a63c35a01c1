package edge

import (
	"io"
	"net/netip"
	"testing"

	"golang.org/x/net/http2"

	"github.com/maru-msa/maru/http1"
	"github.com/maru-msa/maru/memnet"
	"github.com/maru-msa/maru/message"
)

// FuzzH2Frames feeds a connection with what comes behind the preface: it must
// end when the client does, with nothing left running.
func FuzzH2Frames(f *testing.F) {
	settings := appendFrameHead(nil, 0, http2.FrameSettings, 0, 0)
	get := []byte{0x82, 0x86, 0x84, 0x41, 0x01, 'h'} // :method GET, :scheme http, :path /, :authority h
	request := appendFrameHead(nil, len(get), http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, 1)
	request = append(request, get...)
	upload := append(appendFrameHead(nil, len(get), http2.FrameHeaders, http2.FlagHeadersEndHeaders, 3), get...)
	upload = append(appendFrameHead(upload, 4, http2.FrameData, http2.FlagDataEndStream, 3), "body"...)
	f.Add(settings)
	f.Add(append(append([]byte(nil), settings...), request...))
	f.Add(append(append([]byte(nil), settings...), upload...))
	f.Add(appendReset(append(append([]byte(nil), settings...), upload...), 3, http2.ErrCodeCancel))
	f.Add(appendWindowUpdate(append([]byte(nil), settings...), 0, maxWindow))
	f.Add(appendGoAway(append([]byte(nil), settings...), 7, http2.ErrCodeNo))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	env := Env{}.withDefaults()
	f.Fuzz(func(t *testing.T, in []byte) {
		s := newH2(&engines{}, http1.Limits{}, env)
		s.handle = func(r *message.Request) *message.Response {
			_, _ = message.ReadAll(nil, r.Body, 1<<20)
			p := message.NewResponse(200)
			p.SetBytes([]byte("answer"))
			return p
		}
		s.refuse = func(ref *http1.Refusal, _ netip.AddrPort, _ []byte) *message.Response {
			return message.NewResponse(ref.Status)
		}
		ln := memnet.Listen("fuzz")
		defer ln.Close()
		client, err := ln.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		server, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			_, _ = io.WriteString(client, http2.ClientPreface)
			_, _ = client.Write(in)
			if w, ok := client.(interface{ CloseWrite() error }); ok {
				_ = w.CloseWrite()
			}
		}()
		go func() { _, _ = io.Copy(io.Discard, client) }()
		s.serveConn(server, connInfo{listener: "fuzz", scheme: "http"})
		_ = client.Close()
		if len(s.conns) > 0 {
			t.Error("the connection is still known")
		}
	})
}
