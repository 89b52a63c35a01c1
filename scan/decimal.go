package scan

import (
	"cmp"
	"errors"
	"math/bits"
	"strconv"
)

// maxExponent is the largest exponent, either way, of a number for which a
// numeric keyword is decided.
const maxExponent = 10_000

// decimal is a number as its literal writes it: nothing is rounded. It is worth
// 0.d₁d₂d₃… × 10^scale with d₁ ≠ 0; zero has no digits.
type decimal struct {
	negative   bool
	whole      []byte // digits before the point, from the first that counts
	part       []byte // digits after it, up to the last that counts
	scale      int
	outOfRange bool // its exponent is beyond maxExponent
}

// parseDecimal reads a number that has passed the grammar.
func parseDecimal(s []byte) decimal {
	var d decimal
	if s[0] == '-' {
		d.negative, s = true, s[1:]
	}
	d.whole, s = leadingDigits(s)
	if len(s) > 0 && s[0] == '.' {
		d.part, s = leadingDigits(s[1:])
	}
	exponent := 0
	if len(s) > 0 {
		exponent, d.outOfRange = parseExponent(s[1:])
	}
	d.scale = len(d.whole) + exponent
	d.trim()
	return d
}

// leadingDigits splits s after its digits.
func leadingDigits(s []byte) (digits, rest []byte) {
	i := 0
	for i < len(s) && s[i]-'0' <= 9 {
		i++
	}
	return s[:i], s[i:]
}

// parseExponent reads what stands behind the e, up to where it is out of range.
func parseExponent(s []byte) (exponent int, outOfRange bool) {
	negative := s[0] == '-'
	for _, c := range s {
		if c == '-' || c == '+' {
			continue
		}
		if exponent = exponent*10 + int(c-'0'); exponent > maxExponent {
			exponent, outOfRange = maxExponent, true
			break
		}
	}
	if negative {
		exponent = -exponent
	}
	return exponent, outOfRange
}

// trim takes off zeros at both ends.
func (d *decimal) trim() {
	for len(d.whole) > 0 && d.whole[0] == '0' {
		d.whole = d.whole[1:]
		d.scale--
	}
	if len(d.whole) == 0 {
		for len(d.part) > 0 && d.part[0] == '0' {
			d.part = d.part[1:]
			d.scale--
		}
	}
	for len(d.part) > 0 && d.part[len(d.part)-1] == '0' {
		d.part = d.part[:len(d.part)-1]
	}
	if len(d.part) == 0 {
		for len(d.whole) > 0 && d.whole[len(d.whole)-1] == '0' {
			d.whole = d.whole[:len(d.whole)-1]
		}
	}
	if d.len() == 0 {
		d.negative, d.scale, d.outOfRange = false, 0, false
	}
}

// len is the number of digits that count.
func (d *decimal) len() int { return len(d.whole) + len(d.part) }

// digit is the digit at i, 0 beyond the last one.
func (d *decimal) digit(i int) byte {
	switch {
	case i < len(d.whole):
		return d.whole[i] - '0'
	case i-len(d.whole) < len(d.part):
		return d.part[i-len(d.whole)] - '0'
	}
	return 0
}

// integer tells whether there is no fractional part.
func (d *decimal) integer() bool { return d.scale >= d.len() }

// maxSmall is how many digits surely fit an int64.
const maxSmall = 18

// plainNumber is a number as most are: few digits, no exponent. It is worth
// digits / 10^places.
type plainNumber struct {
	digits int64
	places int
}

// parsePlain reads a literal that has passed the grammar.
func parsePlain(s []byte) (v plainNumber, fits bool) {
	if len(s) > maxSmall {
		return v, false
	}
	for i, c := range s {
		switch {
		case c-'0' <= 9:
			v.digits = v.digits*10 + int64(c-'0')
		case c == '.':
			v.places = len(s) - i - 1
		case c != '-' || i > 0:
			return v, false
		}
	}
	if s[0] == '-' {
		v.digits = -v.digits
	}
	return v, true
}

// power is 10^n, for n up to maxSmall.
func power(n int) int64 {
	v := int64(1)
	for range n {
		v *= 10
	}
	return v
}

// compare is negative, 0 or positive as v is less than, equal to or more than n.
func (v plainNumber) compare(n int64) int {
	if v.places == 0 {
		return cmp.Compare(v.digits, n)
	}
	by := power(v.places)
	if whole := v.digits / by; whole != n {
		return cmp.Compare(whole, n)
	}
	return cmp.Compare(v.digits%by, 0) // rounded towards 0: what is left has the sign of v
}

// small tells whether dividesPlain can tell.
func (by divisor) small() bool { return by.exponent <= 0 && by.exponent >= -maxSmall }

// dividesPlain is divides for plain numbers and small divisors:
// digits × 10^(-exponent - places) has to be a multiple of by.digits.
func (by divisor) dividesPlain(v plainNumber) bool {
	digits := uint64(max(v.digits, -v.digits))
	if shift := -by.exponent - v.places; shift < 0 {
		cut := uint64(power(-shift))
		return digits%cut == 0 && digits/cut%by.digits == 0
	} else if shift > 0 {
		return mulMod(digits%by.digits, uint64(power(shift))%by.digits, by.digits) == 0
	}
	return digits%by.digits == 0
}

// small is the value of a whole number of at most maxSmall digits.
func (d *decimal) small() (v int64, fits bool) {
	if !d.integer() || d.scale > maxSmall {
		return 0, false
	}
	for i := range d.scale {
		v = v*10 + int64(d.digit(i))
	}
	if d.negative {
		v = -v
	}
	return v, true
}

// compare is negative, 0 or positive as d is less than, equal to or more than e.
func (d *decimal) compare(e *decimal) int {
	sign := 1
	if d.negative {
		sign = -1
	}
	switch {
	case d.negative != e.negative:
		return sign // -0 is not negative
	case d.len() == 0 && e.len() == 0:
		return 0
	case d.len() == 0: // and e above it
		return -1
	case e.len() == 0:
		return 1
	case d.scale != e.scale:
		if d.scale < e.scale {
			return -sign
		}
		return sign
	}
	for i := range max(d.len(), e.len()) {
		if x, y := d.digit(i), e.digit(i); x < y {
			return -sign
		} else if x > y {
			return sign
		}
	}
	return 0
}

// divisor is a multipleOf: digits × 10^exponent.
type divisor struct {
	digits   uint64
	exponent int
}

// errDivisor says that a multipleOf cannot be decided on digits here.
var errDivisor = errors.New("multipleOf must be above 0 and have at most 18 digits")

// parseDivisor reads the literal of a multipleOf.
func parseDivisor(s []byte) (divisor, error) {
	d := parseDecimal(s)
	if d.negative || d.len() == 0 || d.len() > 18 || d.outOfRange {
		return divisor{}, errDivisor
	}
	var out divisor
	for i := range d.len() {
		out.digits = out.digits*10 + uint64(d.digit(i))
	}
	out.exponent = d.scale - d.len()
	return out, nil
}

// divides tells whether d is a multiple: d = v × 10^a with v not ending in 0, so
// that d/by = v × 10^(a-b) / digits.
func (by divisor) divides(d *decimal) bool {
	if d.len() == 0 {
		return true
	}
	shift := d.scale - d.len() - by.exponent
	if shift < 0 {
		return false // 10 would have to divide v
	}
	var rest uint64
	for i := range d.len() {
		if i >= maxSmall { // else it still fits
			rest %= by.digits
			rest = mulMod(rest, 10, by.digits)
		} else {
			rest *= 10
		}
		rest += uint64(d.digit(i))
	}
	if rest %= by.digits; rest == 0 {
		return true
	}
	for power := uint64(10) % by.digits; shift > 0; shift >>= 1 {
		if shift&1 == 1 {
			rest = mulMod(rest, power, by.digits)
		}
		power = mulMod(power, power, by.digits)
	}
	return rest == 0
}

// mulMod is x × y mod n, for x and y below n or y small.
func mulMod(x, y, n uint64) uint64 {
	high, low := bits.Mul64(x, y)
	_, rest := bits.Div64(high%n, low, n)
	return rest
}

// appendTo appends a form that is the same for equal numbers: 1, 1.0 and 1e0.
func (d *decimal) appendTo(dst []byte) []byte {
	if d.negative {
		dst = append(dst, '-')
	}
	dst = append(append(dst, d.whole...), d.part...)
	return strconv.AppendInt(append(dst, 'e'), int64(d.scale), 10)
}
