package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/maru-msa/maru/message"
)

// duration reads "800ms". A bare number has no unit, and guessing one is how a
// time-out of 30 seconds becomes 30 nanoseconds.
func (d *decoder) duration(n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.ScalarNode {
		d.wants(n, "a duration such as 800ms, 15s or 5m")
		return
	}
	text, ok := d.text(n)
	if !ok {
		return
	}
	in := text.text
	if in == "0" {
		v.SetInt(0)
		return
	}
	if _, err := strconv.ParseFloat(in, 64); err == nil {
		d.fault(n, "value", "the duration "+in+" has no unit", "write "+in+"s or "+in+"ms")
		return
	}
	got, err := time.ParseDuration(in)
	switch {
	case err != nil && durationLike(in) == in:
		d.fault(n, "value", "the duration "+in+" is too long", "write 8760h or less")
	case err != nil:
		d.fault(n, "value", fmt.Sprintf("%q is not a duration", in), "write "+durationLike(in))
	case got < 0:
		d.fault(n, "value", "the duration "+in+" is negative", "write "+strings.TrimPrefix(in, "-"))
	default:
		v.SetInt(int64(got))
	}
}

// durationLike guesses what was meant: "5 sec" is 5s.
func durationLike(in string) string {
	i := 0
	for i < len(in) && (in[i] >= '0' && in[i] <= '9' || in[i] == '.') {
		i++
	}
	number, unit := in[:i], strings.ToLower(strings.TrimSpace(in[i:]))
	units := map[string]string{
		"ms": "ms", "msec": "ms", "millis": "ms", "milliseconds": "ms", "millisecond": "ms",
		"s": "s", "sec": "s", "secs": "s", "second": "s", "seconds": "s",
		"m": "m", "min": "m", "mins": "m", "minute": "m", "minutes": "m",
		"h": "h", "hr": "h", "hour": "h", "hours": "h", "us": "us", "µs": "us",
	}
	if u := units[unit]; u != "" && number != "" {
		return number + u
	}
	if days, err := strconv.Atoi(number); err == nil && days < 10_000 && (unit == "d" || unit == "day" || unit == "days") {
		return strconv.Itoa(days*24) + "h"
	}
	return "a number with a unit, such as 800ms, 15s, 5m or 1h"
}

// size reads "64KiB".
func (d *decoder) size(n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.ScalarNode {
		d.wants(n, "a size such as 512, 64KiB or 10MiB")
		return
	}
	text, ok := d.text(n)
	if !ok {
		return
	}
	var got message.Size
	if err := got.UnmarshalText([]byte(text.text)); err != nil {
		d.fault(n, "value", fmt.Sprintf("%q is not a size", text.text), "write "+sizeLike(text.text))
		return
	}
	v.SetInt(int64(got))
}

// sizeLike guesses what was meant: "16k" is 16KiB.
func sizeLike(in string) string {
	i := 0
	for i < len(in) && in[i] >= '0' && in[i] <= '9' {
		i++
	}
	number, unit := in[:i], strings.ToLower(strings.TrimSpace(in[i:]))
	units := map[string]string{
		"k": "KiB", "kib": "KiB", "kb": "KB", "kilobyte": "KB", "kilobytes": "KB",
		"m": "MiB", "mib": "MiB", "mb": "MB", "megabyte": "MB", "megabytes": "MB",
		"g": "GiB", "gib": "GiB", "gb": "GB", "gigabyte": "GB", "gigabytes": "GB",
		"b": "", "byte": "", "bytes": "",
	}
	if u, ok := units[unit]; ok && number != "" && len(number) < 7 {
		return number + u
	}
	return "a number of bytes, or one with a unit such as 64KiB or 10MiB"
}
