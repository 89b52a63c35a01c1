package http1

import (
	"bytes"

	"github.com/maru-msa/maru/message"
)

var prefaceLine = []byte("PRI * HTTP/2.0\r\n") //nolint:gochecknoglobals // a constant

const maxMethod = 32

// parseRequestLine parses the request line at pos (RFC 9112 §3) and gives the
// start of the line behind it, 0 while bytes are missing.
func parseRequestLine(buf []byte, pos int, r *message.Request, st *requestState, lim *Limits) (int, *Refusal) {
	rest := buf[pos:]
	limit := int(lim.RequestLine) + 2
	n := bytes.IndexByte(rest[:min(len(rest), limit)], '\n')
	if n < 0 {
		switch {
		case len(rest) < limit:
			return 0, nil
		case bytes.IndexByte(rest[:min(len(rest), maxMethod+1)], ' ') < 0:
			return 0, refuseMethodTooLong
		}
		return 0, refuseTargetTooLong
	}
	line := rest[:n]
	if n == 0 || line[n-1] != '\r' {
		return 0, refuseBareLF
	}
	line = line[:n-1]
	const version = "HTTP/1.1"
	i := 0
	for i < len(line) && nameClass[line[i]] != nameEnd {
		i++
	}
	end := len(line) - len(version) - 1
	if i == 0 || i > maxMethod || i+1 >= end || line[i] != ' ' || line[end] != ' ' {
		return 0, requestLineFault(line)
	}
	switch string(line[end+1:]) {
	case version:
		r.Proto = message.HTTP11
	case "HTTP/1.0":
		r.Proto = message.HTTP10
	default:
		return 0, requestLineFault(line)
	}
	target := line[i+1 : end]
	if ref := parseMethod(line[:i], r, st, lim); ref != nil {
		if bytes.IndexByte(target, ' ') >= 0 || hasControl(line) {
			return 0, requestLineFault(line)
		}
		return 0, ref
	}
	if ref := parseTarget(target, r, st); ref != nil {
		if bytes.IndexByte(target, ' ') >= 0 || hasControl(line) {
			return 0, requestLineFault(line)
		}
		return 0, ref
	}
	return pos + n + 1, nil
}

// hasControl tells whether the line holds a CR or HTAB, which the table of
// targets does not tell from other octets.
func hasControl(line []byte) bool { return bytes.ContainsAny(line, "\r\t") }

// requestLineFault says what is wrong with a complete request line whose parts
// are not in their places. It is never nil.
func requestLineFault(line []byte) *Refusal {
	if bytes.IndexByte(line, '\r') >= 0 {
		return refuseBareCR
	}
	if len(line) == 0 {
		return refuseLeadingLines // the first one was skipped
	}
	first := bytes.IndexByte(line, ' ')
	last := bytes.LastIndexByte(line, ' ')
	if first < 0 && len(line) > maxMethod || first > maxMethod {
		return refuseMethodTooLong
	}
	if first <= 0 || bytes.IndexByte(line, '\t') >= 0 {
		return refuseRequestLine
	}
	if first == last { // RFC 9112 §2.3: HTTP/0.9 has no version
		if last == len(line)-1 {
			return refuseRequestLine
		}
		return refuseVersion
	}
	if last == first+1 || last == len(line)-1 || bytes.IndexByte(line[first+1:last], ' ') >= 0 {
		return refuseRequestLine
	}
	if !message.ValidToken(message.View(line[:first])) {
		return refuseMethod
	}
	v := line[last+1:]
	if len(v) != len("HTTP/1.1") || string(v[:5]) != "HTTP/" || v[6] != '.' || !digit(v[5]) || !digit(v[7]) {
		return refuseVersion // RFC 9112 §2.3: the name is case-sensitive, one digit each
	}
	return refuseOtherVersion
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// parseMethod sets r.Method, a constant for the known ones (RFC 9110 §9).
func parseMethod(b []byte, r *message.Request, st *requestState, lim *Limits) *Refusal {
	m, known := knownMethod(b)
	if !known {
		m = message.View(b)
		if standardFold(m) {
			return refuseMethodCase // RFC 9110 §9.1
		}
	}
	r.Method = m
	switch m {
	case "TRACE":
		return refuseMethodNotAllowed // RFC 9110 §9.3.8: it would reflect credentials
	case "CONNECT":
		if !lim.Connect {
			return refuseMethodNotAllowed
		}
		st.connect = true
	}
	return nil
}

func knownMethod(b []byte) (string, bool) {
	switch string(b) {
	case "GET":
		return "GET", true
	case "POST":
		return "POST", true
	case "PUT":
		return "PUT", true
	case "HEAD":
		return "HEAD", true
	case "DELETE":
		return "DELETE", true
	case "PATCH":
		return "PATCH", true
	case "OPTIONS":
		return "OPTIONS", true
	case "CONNECT":
		return "CONNECT", true
	case "TRACE":
		return "TRACE", true
	}
	return "", false
}

// standardFold tells whether m is a standard method but for its case.
func standardFold(m string) bool {
	var up [8]byte
	if len(m) > len(up) {
		return false
	}
	for i := range len(m) {
		c := m[i]
		if c >= 'a' && c <= 'z' {
			c &^= 0x20
		}
		up[i] = c
	}
	_, known := knownMethod(up[:len(m)])
	return known
}
