package edge

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
)

// refuseHandshake ends a connection whose handshake failed. Scanners and
// clients that don't like our certificate are daily life: the log has them at
// its lowest level, the counter always.
func (f *front) refuseHandshake(c net.Conn, peer netip.AddrPort, err error) {
	reason := "tls_handshake"
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		reason = "tls_timeout"
	case spokePlain(err):
		reason = "plain_on_tls"
		_, _ = c.Write([]byte(plainAnswer))
	}
	_ = c.Close()
	f.rt.env.Refused(f.name, reason)
	f.rt.env.Log.Debug("TLS handshake failed", "reason", reason, "listener", f.name, "client", peer, "error", err)
}

// plainAnswer is for people who typed http:// where https:// belongs.
const plainAnswer = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\nConnection: close\r\nContent-Length: 110\r\n\r\n" +
	`{"type":"urn:maru:problem:plain-on-tls","title":"This port speaks HTTPS","status":400,"reason":"plain_on_tls"}`

// spokePlain tells whether a handshake failed because the client spoke HTTP
// without TLS: the first bytes are a method.
func spokePlain(err error) bool {
	var head tls.RecordHeaderError
	if !errors.As(err, &head) || head.Conn == nil {
		return false
	}
	switch string(head.RecordHeader[:4]) {
	case "GET ", "POST", "HEAD", "PUT ", "PATC", "DELE", "OPTI":
		return true
	}
	return false
}
