package http1

import "github.com/maru-msa/maru/message"

// lengthState collects the framing fields of a head; they are judged together,
// at its end (RFC 9112 §6).
type lengthState struct {
	cls, tes int
	cl, te   string
}

func (l *lengthState) addCL(v string) { l.cls++; l.cl = v }
func (l *lengthState) addTE(v string) { l.tes++; l.te = v }

// judge gives the length of a request's body, Unknown for a chunked one.
func (l *lengthState) judge(proto message.Proto) (length int64, chunked bool, ref *Refusal) {
	switch {
	case l.cls == 0 && l.tes == 0:
		return 0, false, nil
	case l.cls > 0 && l.tes > 0:
		return 0, false, refuseCLTE // RFC 9112 §6.1: never choose one
	case l.cls > 0:
		length, ref = l.parseCL()
		return length, false, ref
	}
	if ref = l.judgeTE(proto); ref != nil {
		return 0, false, ref
	}
	return message.Unknown, true, nil
}

const maxDigits = 18

// parseCL reads Content-Length (RFC 9110 §8.6), digits only.
func (l *lengthState) parseCL() (int64, *Refusal) {
	if l.cls > 1 {
		return 0, refuseCLMany
	}
	n, ref := parseLength(l.cl)
	return n, ref
}

func parseLength(s string) (n int64, ref *Refusal) {
	if s == "" {
		return 0, refuseCLSyntax
	}
	for i := range len(s) {
		c := s[i]
		if !digit(c) {
			for j := i; j < len(s); j++ {
				if s[j] == ',' {
					return 0, refuseCLMany
				}
			}
			return 0, refuseCLSyntax
		}
		if i < maxDigits {
			n = n*10 + int64(c-'0')
		}
	}
	if len(s) > maxDigits {
		return 0, refuseCLRange // RFC 9110 §8.6: never wrap
	}
	return n, nil
}

// judgeTE takes exactly one "chunked" (RFC 9112 §6.1, §6.3).
func (l *lengthState) judgeTE(proto message.Proto) *Refusal {
	switch {
	case proto == message.HTTP10:
		return refuseTEOn10
	case l.tes > 1:
		return refuseTEMany
	case foldEqual(l.te, "chunked"):
		return nil
	}
	chunkeds, known, last := 0, true, false
	for rest, more := l.te, true; more; {
		var m string
		m, rest, more = nextCoding(rest)
		last = foldEqual(m, "chunked")
		switch {
		case last:
			chunkeds++
		case !knownCoding(m):
			known = false
		}
	}
	switch {
	case chunkeds > 1:
		return refuseTEMany
	case chunkeds == 1 && known && last:
		return refuseTEUnsupported
	}
	return refuseTESyntax
}

// nextCoding cuts the first member off; unlike message.NextMember it tells an
// empty last member from the end.
func nextCoding(list string) (member, rest string, more bool) {
	for i := range len(list) {
		if list[i] == ',' {
			m, _ := message.NextMember(list[:i])
			return m, list[i+1:], true
		}
	}
	m, _ := message.NextMember(list)
	return m, "", false
}

// knownCoding tells the transfer codings of RFC 9112 §7.
func knownCoding(m string) bool {
	return foldEqual(m, "gzip") || foldEqual(m, "x-gzip") || foldEqual(m, "deflate") ||
		foldEqual(m, "compress") || foldEqual(m, "x-compress")
}
