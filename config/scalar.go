package config

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// text is a scalar's text with the environment filled in; false says that a
// finding was made.
func (d *decoder) text(n *yaml.Node) (expanded, bool) {
	x := substitute(n.Value, d.lookup)
	if x.changed || len(x.missing) > 0 {
		d.foreigners++
	}
	for _, name := range x.missing {
		d.fault(n, "environment", "the environment variable "+name+" is not set",
			fmt.Sprintf("set it, or give a default: ${%s:-default}", name))
	}
	if x.changed {
		d.src.secret(x.text, n.Value)
		for _, v := range x.used { // a package may take the text apart and quote a part
			d.src.secret(v.value, v.shown)
		}
	}
	return x, len(x.missing) == 0
}

// scalar fills text, numbers and booleans.
func (d *decoder) scalar(n *yaml.Node, v reflect.Value) {
	x, ok := d.text(n)
	if !ok {
		return
	}
	tag := n.ShortTag()
	if x.changed {
		tag = "" // what it stands for decides, quoted or not
	}
	switch v.Kind() {
	case reflect.String:
		if tag == "!!bool" {
			d.fault(n, "type", n.Value+" is a boolean, not text", `write "`+n.Value+`" in quotes`)
			return
		}
		v.SetString(x.text)
	case reflect.Bool:
		d.boolean(n, x.text, tag, v)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		d.integer(n, x.text, tag, v)
	case reflect.Float32, reflect.Float64:
		f, err := strconv.ParseFloat(x.text, 64)
		switch {
		case tag == "!!str" && err == nil:
			d.fault(n, "type", "the number is in quotes", "write "+x.text+" without quotes")
		case err != nil || math.IsNaN(f) || math.IsInf(f, 0):
			d.fault(n, "type", fmt.Sprintf("%q is not a number", x.text), "write a number such as 0.5")
		default:
			v.SetFloat(f)
		}
	default:
		d.fault(n, "type", "this key cannot be set in a file", "remove it")
	}
}

func (d *decoder) boolean(n *yaml.Node, text, tag string, v reflect.Value) {
	switch text {
	case "true", "false":
		if tag == "!!str" {
			d.fault(n, "type", "the boolean is in quotes", "write "+text+" without quotes")
			return
		}
		v.SetBool(text == "true")
		return
	}
	fix := "write true or false"
	switch strings.ToLower(text) {
	case "yes", "on", "y", "1", "true", "enabled":
		fix = "write true"
	case "no", "off", "n", "0", "false", "disabled":
		fix = "write false"
	}
	d.fault(n, "type", fmt.Sprintf("%q is not a boolean", text), fix)
}

func (d *decoder) integer(n *yaml.Node, text, tag string, v reflect.Value) {
	i, err := strconv.ParseInt(text, 10, 64)
	digits := strings.TrimPrefix(text, "-")
	switch {
	case err == nil && tag == "!!str":
		d.fault(n, "type", "the number is in quotes", "write "+text+" without quotes")
		return
	case err == nil && len(digits) > 1 && digits[0] == '0':
		d.fault(n, "value", text+" starts with 0; some readers take it as octal", "write "+strconv.FormatInt(i, 10))
		return
	case errors.Is(err, strconv.ErrRange):
		d.outOfRange(n, text, v)
		return
	case err != nil:
		d.fault(n, "type", fmt.Sprintf("%q is not a whole number", text), "write "+wholeLike(text))
		return
	}
	switch {
	case v.CanUint() && i >= 0 && !v.OverflowUint(uint64(i)):
		v.SetUint(uint64(i))
	case v.CanInt() && !v.OverflowInt(i):
		v.SetInt(i)
	default:
		d.outOfRange(n, text, v)
	}
}

func (d *decoder) outOfRange(n *yaml.Node, text string, v reflect.Value) {
	bits := v.Type().Bits()
	most := int64(math.MaxInt64) >> (64 - bits)
	fix := fmt.Sprintf("write a number from %d to %d", -most-1, most)
	if v.CanUint() {
		fix = "write a number from 0 to " + strconv.FormatUint(uint64(math.MaxUint64)>>(64-bits), 10)
	}
	d.fault(n, "value", text+" is out of range", fix)
}

// wholeLike guesses what was meant: "1_000" is 1000, "0x100" is 256.
func wholeLike(text string) string {
	if plain := strings.NewReplacer("_", "", ",", "").Replace(text); plain != text {
		if _, err := strconv.ParseInt(plain, 10, 64); err == nil {
			return plain
		}
	}
	if i, err := strconv.ParseInt(text, 0, 64); err == nil {
		return strconv.FormatInt(i, 10)
	}
	return "a whole number in decimal digits"
}
