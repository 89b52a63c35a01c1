package diag_test

import (
	"testing"

	"github.com/maru-msa/maru/diag"
)

func TestNearest(t *testing.T) {
	words := []string{"retry", "rewrite", "respond", "id"}
	for got, want := range map[string]string{
		"retri": "retry", "Retry": "retry", "rerty": "retry", "xyz": "", "ix": "id", "xx": "", "redirect": "",
	} {
		if best := diag.Nearest(got, words); best != want {
			t.Errorf("Nearest(%q) = %q, not %q", got, best, want)
		}
	}
}
