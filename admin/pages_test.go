package admin

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestPages(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.api.Console = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "page "+r.URL.Path) })
	b.serve(t)
	for _, tt := range []struct {
		name, path, accept string
		want               string
	}{
		{"a browser is sent to the console", "/", "text/html,application/xhtml+xml,*/*;q=0.8", "page /"},
		{"curl gets the calls", "/", "*/*", "maru admin"},
		{"the folder without its slash", "/console", "*/*", "page /"},
		{"a deep link", "/console/services/auction", "text/html", "page /services/auction"},
		{"the API stays beside it", "/healthz", "text/html", `"ok": true`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if status, text := b.call(t, "GET", tt.path, "", "Accept: "+tt.accept); status != 200 || !strings.Contains(text, tt.want) {
				t.Errorf("%d %s", status, text)
			}
		})
	}
	plain := newBench(t)
	if _, text := plain.call(t, "GET", "/", "", "Accept: text/html"); !strings.HasPrefix(text, "maru admin") {
		t.Errorf("without pages a browser gets %q", text)
	}
}
