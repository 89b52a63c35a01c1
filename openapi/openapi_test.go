package openapi_test

import (
	"flag"
	"path/filepath"
	"testing"

	"github.com/maru-msa/maru/openapi"
	"github.com/maru-msa/maru/sketch/sketchtest"
)

var update = flag.Bool("update", false, "write the golden files again") //nolint:gochecknoglobals // flags are

func TestExamples(t *testing.T) {
	t.Parallel()
	for _, e := range sketchtest.Examples(t) {
		t.Run(filepath.Base(e.Dir), func(t *testing.T) {
			t.Parallel()
			r := openapi.Import(e.Name, e.Text)
			sketchtest.Golden(t, &e, &r, *update)
		})
	}
}

func FuzzImport(f *testing.F) {
	for _, e := range sketchtest.Examples(f) {
		f.Add(e.Text)
	}
	f.Add([]byte(`{"openapi":"3.0.0","components":{"schemas":{"A":{"allOf":[{"$ref":"#/components/schemas/A"}],"properties":{"a":{"$ref":"#/components/schemas/A"}}}}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 4096 {
			return
		}
		sketchtest.Loads(t, openapi.Import("api.yaml", text).YAML)
	})
}
