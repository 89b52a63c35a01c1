package edge

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/pires/go-proxyproto"
)

const (
	// proxyHeaderTime is how long the PROXY header may take.
	proxyHeaderTime = 5 * time.Second
	// The shortest headers: "PROXY UNKNOWN\r\n", and the fixed part of version 2.
	proxyV1Least, proxyV2Least = 15, 16
	// proxyV1Most is the longest line that version 1 allows.
	proxyV1Most = 107
	// proxyV2Most bounds version 2 with its TLVs, which are read and not used.
	proxyV2Most = 4 << 10
)

// Errors of the PROXY header, by what is counted.
var (
	errProxyUntrusted = errors.New("the peer is no trusted proxy")
	errProxyHeader    = errors.New("no good PROXY header")
)

// proxied is what a PROXY header said: the client's end of the connection and
// the one it meant to reach. Both are invalid when the header left that open
// (LOCAL, UNKNOWN): then the socket's own addresses count.
type proxied struct{ peer, local netip.AddrPort }

// acceptProxy takes the PROXY header (versions 1 and 2) off a new connection. It
// reads not a byte more, so that the socket itself goes on to TLS or to the
// engine, which waits, peeks and splices on it.
func acceptProxy(c net.Conn, t *trust) (proxied, error) {
	if !t.trusts(peerOf(c).Addr()) {
		return proxied{}, errProxyUntrusted
	}
	return acceptTimed(c)
}

// acceptTimed reads the header within its time.
func acceptTimed(c net.Conn) (proxied, error) {
	if err := c.SetReadDeadline(time.Now().Add(proxyHeaderTime)); err != nil {
		return proxied{}, err
	}
	p, err := readProxyHeader(c)
	if err != nil {
		return proxied{}, err
	}
	return p, c.SetReadDeadline(time.Time{})
}

// readProxyHeader reads exactly one header.
func readProxyHeader(r io.Reader) (proxied, error) {
	head := make([]byte, proxyV1Least, 64)
	if _, err := io.ReadFull(r, head); err != nil {
		return proxied{}, err
	}
	var err error
	switch {
	case bytes.HasPrefix(head, []byte("PROXY ")):
		head, err = readProxyV1(r, head)
	case bytes.HasPrefix(head, proxyproto.SIGV2):
		head, err = readProxyV2(r, head)
	default:
		err = errProxyHeader
	}
	if err != nil {
		return proxied{}, err
	}
	return parseProxyHeader(head)
}

// readProxyV1 reads on to the line end. Where it is nobody can know, and what
// is behind it is not ours to read: octet by octet.
func readProxyV1(r io.Reader, head []byte) ([]byte, error) {
	for !bytes.HasSuffix(head, []byte("\r\n")) {
		n := len(head)
		if n == proxyV1Most {
			return nil, errProxyHeader
		}
		head = append(head, 0)
		if _, err := io.ReadFull(r, head[n:]); err != nil {
			return nil, err
		}
	}
	return head, nil
}

// readProxyV2 reads what the length field announces.
func readProxyV2(r io.Reader, head []byte) ([]byte, error) {
	head = head[:proxyV2Least] //nolint:gosec // its capacity is the longest header
	if _, err := io.ReadFull(r, head[proxyV1Least:]); err != nil {
		return nil, err
	}
	size := int(binary.BigEndian.Uint16(head[14:]))
	if size > proxyV2Most {
		return nil, fmt.Errorf("%w: %d bytes", errProxyHeader, size)
	}
	head = append(head, make([]byte, size)...)
	_, err := io.ReadFull(r, head[proxyV2Least:])
	return head, err
}

// parseProxyHeader reads a whole header.
func parseProxyHeader(head []byte) (proxied, error) {
	const familyAt, unspecified = 13, 0
	if head[0] != 'P' && head[familyAt] == unspecified && head[familyAt-1]>>4 == 2 {
		return proxied{}, nil // not TCP or not known to the proxy: as UNKNOWN in version 1
	}
	rest := bytes.NewReader(head)
	buffered := bufio.NewReaderSize(rest, len(head))
	h, err := proxyproto.Read(buffered)
	if err != nil {
		return proxied{}, fmt.Errorf("%w: %w", errProxyHeader, err)
	}
	if buffered.Buffered() > 0 || rest.Len() > 0 {
		return proxied{}, errProxyHeader
	}
	if h.Command.IsLocal() || h.TransportProtocol == proxyproto.UNSPEC {
		return proxied{}, nil
	}
	from, to, ok := h.TCPAddrs()
	if !ok {
		return proxied{}, fmt.Errorf("%w: it is not for TCP", errProxyHeader)
	}
	return proxied{peer: plainAddr(from), local: plainAddr(to)}, nil
}

// plainAddr is the address without the IPv6 form of an IPv4 one.
func plainAddr(a *net.TCPAddr) netip.AddrPort {
	ap := a.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// proxyReason is the word that a failed header is counted under.
func proxyReason(err error) string {
	switch {
	case errors.Is(err, errProxyUntrusted):
		return "proxy_untrusted"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "proxy_timeout"
	}
	return "proxy_header"
}
