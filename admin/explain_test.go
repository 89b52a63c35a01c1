package admin

import (
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, test := range []struct {
		body   string
		status int
		want   string
	}{
		{`{"method":"GET","url":"/rewards/7","listener":""}`, 400, "there is no listener"},
		{`{"methud":"GET"}`, 400, "methud"},
		{`{"url":1}`, 400, "the body is no query"},
		{`{"url":"/"} x`, 400, "something follows"},
		{``, 400, "the body is no query"},
	} {
		for _, path := range []string{"/v1/explain", "/v1/views/run"} {
			status, text := b.call(t, "POST", path, test.body)
			if status != test.status || !strings.Contains(text, test.want) {
				t.Errorf("%s %s: got %d %s, want %d … %s", path, test.body, status, text, test.status, test.want)
			}
		}
	}
	if status, text := b.call(t, "GET", "/v1/views", ""); status != 200 || strings.TrimSpace(text) != "[]" {
		t.Errorf("without views: %d %s", status, text)
	}
}
