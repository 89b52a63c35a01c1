package message

import (
	"fmt"
	"strconv"
	"strings"
)

// Size is a number of bytes; in configuration "512", "64KiB", "1MiB", "2GiB"
// (also KB, MB, GB in powers of ten).
type Size int64

// UnmarshalText reads the configuration form.
func (s *Size) UnmarshalText(text []byte) error {
	in := string(text)
	units := []struct {
		suffix string
		factor int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}, {"", 1}}
	for _, u := range units {
		digits, ok := strings.CutSuffix(in, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 0 || n > (1<<62)/u.factor {
			return fmt.Errorf("%q is not a size; write a number of bytes or one with a unit such as 64KiB, 1MiB", in)
		}
		*s = Size(n * u.factor)
		return nil
	}
	return nil
}

// MarshalText writes the largest binary unit that divides the size.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String writes the largest binary unit that divides the size.
func (s Size) String() string {
	for _, u := range []struct {
		suffix string
		factor Size
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if s != 0 && s%u.factor == 0 {
			return strconv.FormatInt(int64(s/u.factor), 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(s), 10)
}
