package aggregate

import (
	"bytes"
	"strconv"
)

// scalar writes a value as its type says, and tells whether it is of that type.
// Nothing is decoded: what is right goes out as it came, but for 1.0 as an Int and
// a number as an ID, which GraphQL writes as 1 and as text (§3.5).
func (x *run) scalar(typ string, span []byte) bool {
	switch typ {
	case "String":
		if span[0] != '"' {
			return false
		}
	case "Boolean":
		if span[0] != 't' && span[0] != 'f' {
			return false
		}
	case "Float":
		if !numeral(span) {
			return false
		}
	case "Int", "Long":
		return x.whole(typ, span)
	case "ID":
		switch {
		case span[0] == '"':
		case numeral(span) && !bytes.ContainsAny(span, ".eE"):
			x.out.Byte('"')
			x.out.Span(span)
			x.out.Byte('"')
			return true
		default:
			return false
		}
	}
	x.out.Span(span)
	return true
}

// whole writes a whole number of 32 bits (Int) or 64 (Long).
func (x *run) whole(typ string, span []byte) bool {
	if !numeral(span) {
		return false
	}
	bits := 64
	if typ == "Int" && x.p.graphql {
		bits = 32
	}
	if bytes.ContainsAny(span, ".eE") {
		f, err := strconv.ParseFloat(string(span), 64)
		if err != nil || f != float64(int64(f)) || f > 1<<53 || f < -1<<53 {
			return false
		}
		span = strconv.AppendInt(nil, int64(f), 10)
	}
	if len(span) <= 9 {
		x.out.Span(span)
		return true
	}
	if _, err := strconv.ParseInt(string(span), 10, bits); err != nil && (x.p.graphql || typ == "Long") {
		return false
	}
	x.out.Span(span)
	return true
}
