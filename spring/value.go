package spring

import (
	"time"

	"github.com/maru-msa/maru/sketch"
)

// What the mappings write many hundred times has short names here.
type (
	value = sketch.Value
	entry = sketch.Entry
)

func keyed(key string, v value) entry   { return sketch.Pair(key, v) }
func word(s string) value               { return sketch.Word(s) }
func number(n int) value                { return sketch.Number(n) }
func text(s string) value               { return sketch.Text(s) }
func texts(list []string) value         { return sketch.Texts(list) }
func textMap(m map[string]string) value { return sketch.TextMap(m) }
func mapping(keys ...entry) value       { return sketch.Map(keys...) }
func span(d time.Duration) value        { return sketch.Span(d) }
func quoted(s string) string            { return sketch.Quoted(s) }
func none() value                       { return sketch.None() }
func comment(s string) string           { return sketch.Comment(s) }
func shorten(s string) string           { return sketch.Shorten(s) }
