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
		status, text := b.call(t, "POST", "/v1/explain", test.body)
		if status != test.status || !strings.Contains(text, test.want) {
			t.Errorf("%s: got %d %s, want %d … %s", test.body, status, text, test.status, test.want)
		}
	}
}
