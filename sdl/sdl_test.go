package sdl_test

import (
	"flag"
	"path/filepath"
	"testing"

	"github.com/maru-msa/maru/sdl"
	"github.com/maru-msa/maru/sketch/sketchtest"
)

var update = flag.Bool("update", false, "write the golden files again") //nolint:gochecknoglobals // flags are

func TestExamples(t *testing.T) {
	for _, e := range sketchtest.Examples(t) {
		t.Run(filepath.Base(e.Dir), func(t *testing.T) {
			r := sdl.Import(e.Name, e.Text)
			sketchtest.Golden(t, &e, &r, *update)
		})
	}
}

func FuzzImport(f *testing.F) {
	for _, e := range sketchtest.Examples(f) {
		f.Add(e.Text)
	}
	f.Add([]byte("type Query { a: [[A]] } type A { _: A! x(y: Int): B } union B = A"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 4096 {
			return
		}
		sketchtest.Loads(t, sdl.Import("s.graphql", text).YAML)
	})
}
