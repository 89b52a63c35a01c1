package demo

import (
	"encoding/json"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// Whatever a caller sends, a service answers with JSON, says what is wrong, and
// never that something inside it is.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []struct{ method, path, body string }{
		{"POST", "/auctions", `{"member":1,"wish":"냉면","people":2,"district":5}`},
		{"POST", "/auctions", `{"member":1e400,"wish":"\ud800","people":-0}`},
		{"POST", "/auctions/1/bids", `{"restaurant":1,"price":5000}`},
		{"POST", "/auctions/1/accept", `[`},
		{"GET", "/auctions?state=%00", ""},
		{"GET", "/auctions/9223372036854775808", ""},
		{"DELETE", "/auctions/1", ""},
		{"GET", "//auctions/../1", ""},
	} {
		f.Add(seed.method, seed.path, seed.body)
	}
	s, err := Open(f.Context(), Options{Name: "auction"})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close() })
	f.Fuzz(func(t *testing.T, method, path, body string) {
		if !slices.Contains([]string{"GET", "POST", "DELETE", "HEAD"}, method) || !strings.HasPrefix(path, "/") {
			return
		}
		r := httptest.NewRequestWithContext(t.Context(), method, "/", strings.NewReader(body))
		u, err := r.URL.Parse("http://auction" + path)
		if err != nil {
			return // no gateway would send it
		}
		r.URL = u
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		switch {
		case w.Code >= 300 && w.Code < 400: // to the clean path
		case w.Code >= 500:
			t.Errorf("%s %s %q: %d %s", method, path, body, w.Code, w.Body)
		case !json.Valid(w.Body.Bytes()):
			t.Errorf("%s %s %q: no JSON: %s", method, path, body, w.Body)
		case w.Code >= 400:
			var said Failure
			if err := json.Unmarshal(w.Body.Bytes(), &said); err != nil || said.Error == "" {
				t.Errorf("%s %s %q: %d says nothing: %s", method, path, body, w.Code, w.Body)
			}
		}
	})
}
