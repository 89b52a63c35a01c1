package message

// tables of RFC 9110 §5.6.2 and §5.5; index is the octet.
var (
	tokenOctet = octets("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") //nolint:gochecknoglobals // read-only table
)

func octets(set string) (t [256]bool) {
	for i := range len(set) {
		t[set[i]] = true
	}
	return t
}

// TokenOctet tells whether c may stand in a token (RFC 9110 §5.6.2).
func TokenOctet(c byte) bool { return tokenOctet[c] }

// ValidToken tells whether s is a token: a method, a field name.
func ValidToken(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		if !tokenOctet[s[i]] {
			return false
		}
	}
	return true
}

// ValueOctet tells whether c may stand in a field value: HTAB, SP, VCHAR,
// obs-text (RFC 9110 §5.5).
func ValueOctet(c byte) bool { return c >= 0x20 && c != 0x7F || c == '\t' }

// ValidValue tells whether s may be a field value. White space at its ends is refused too.
func ValidValue(s string) bool {
	if s == "" {
		return true
	}
	if c := s[0]; c == ' ' || c == '\t' {
		return false
	}
	if c := s[len(s)-1]; c == ' ' || c == '\t' {
		return false
	}
	for i := range len(s) {
		if !ValueOctet(s[i]) {
			return false
		}
	}
	return true
}

// Fold gives the form under which CGI, WSGI, PHP and others would read a field
// name: lower case, every octet outside [a-z0-9] as '-' (http1 §4). It appends to dst.
func Fold(dst []byte, name string) []byte {
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'A' && c <= 'Z':
			c |= 0x20
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		default:
			c = '-'
		}
		dst = append(dst, c)
	}
	return dst
}

// Lookalike tells which known name a field name folds onto without being it:
// Content_Length gives (ContentLength, true). Plain names cost one pass.
func Lookalike(name string) (ID, bool) {
	odd := false
	for i := range len(name) {
		c := name[i]
		if c != '-' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			odd = true
			break
		}
	}
	if !odd || len(name) > maxKnownName {
		return Other, false
	}
	var buf [maxKnownName]byte
	id := NameID(View(Fold(buf[:0], name)))
	return id, id != Other
}
