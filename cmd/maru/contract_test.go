package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestContractLintAndCoverage(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "a.yaml")
	if err := os.WriteFile(name, []byte("type: object\nproperties:\n  member_id: {type: integer}\n  b: {not: {const: 1}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	lint := contractLintCommand{Files: []string{name}, Color: "never", Names: "camelCase", Strict: true, out: &out}
	var exit exitError
	if err := lint.Run(); !errors.As(err, &exit) || exit != 2 {
		t.Errorf("warnings under strict: %v", err)
	}
	if want := ":3:3: warning: \"member_id\" is not in camelCase\n    3 |   member_id: {type: integer}\n      |   ^^^^^^^^^\n  fix: call it memberId\n"; !strings.Contains(out.String(), want) {
		t.Errorf("got\n%s", out.String())
	}
	out.Reset()
	if err := (&contractCoverageCommand{File: name, out: &out}).Run(); err != nil {
		t.Fatal(err)
	}
	if want := "a.yaml:4:6: not  a.yaml#/properties/b"; !strings.Contains(out.String(), want) {
		t.Errorf("got\n%s", out.String())
	}
	if err := (&contractCoverageCommand{File: name + "x", out: &out}).Run(); !errors.As(err, &exit) || exit != 2 {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestContractDiff(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, tier string) string {
		path := filepath.Join(dir, name)
		text := "type: object\nproperties:\n  tier: {enum: [" + tier + "]}\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	two, one := write("two.yaml", "basic, plus"), write("one.yaml", "basic")
	broken := filepath.Join(dir, "broken.yaml")
	if err := os.WriteFile(broken, []byte("type: ["), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		old, now, failOn string
		json             bool
		code             int
		want             string
	}{
		{two, one, "breaking", false, 1, "breaking  " + one + ":3:9: /tier: \"plus\" is no longer allowed\n1 breaking, 0 warnings, 0 for information\n"},
		{two, one, "none", false, 0, "1 breaking, "},
		{one, two, "breaking", false, 0, "0 breaking, 0 warnings, 1 for information\n"},
		{one, two, "info", true, 1, `"level": "info"`},
		{two, two, "info", true, 0, "[]\n"},
		{two, broken, "none", false, 2, ""},
		{filepath.Join(dir, "none", "a.yaml"), two, "none", false, -1, ""},
	} {
		var out strings.Builder
		err := (&contractDiffCommand{Old: test.old, New: test.now, FailOn: test.failOn, JSON: test.json, out: &out}).Run()
		code := 0
		if exit, known := errors.AsType[exitError](err); known {
			code = int(exit)
		} else if err != nil {
			code = -1
		}
		if code != test.code || !strings.Contains(out.String(), test.want) {
			t.Errorf("%s → %s: code %d, %s", test.old, test.now, code, out.String())
		}
	}
}

func TestContractMock(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "member.yaml")
	text := `openapi: 3.1.0
info: {title: members, version: "1"}
paths:
  /members/{id}:
    get:
      responses:
        "200": {description: one, content: {application/json: {schema: {type: object, properties: {name: {type: string, example: 김서연}}}}}}
        "404": {description: none, content: {application/problem+json: {example: {status: 404}}}}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	said, ended := new(lockedBuffer), make(chan error, 1)
	cmd := &contractMockCommand{File: file, Listen: "127.0.0.1:0", Base: "/v2", out: said}
	go func() { ended <- cmd.serve(ctx) }()
	waitFor(t, func() bool { return strings.Contains(said.String(), "GET     /v2/members/{id}\n") })
	_, rest, _ := strings.Cut(said.String(), "answers at ")
	base, _, _ := strings.Cut(rest, "\n")
	for _, test := range []struct {
		method, path, prefer string
		status               int
		media, body          string
	}{
		{"GET", "/v2/members/7", "", 200, "application/json", `{"name":"김서연"}`},
		{"GET", "/v2/members/7", "code=404", 404, "application/problem+json", `{"status":404}`},
		{"GET", "/v2/members/7", "return=minimal, code=410", 200, "application/json", `{"name":"김서연"}`},
		{"HEAD", "/v2/members/7", "", 200, "application/json", ""},
		{"PUT", "/v2/members/7", "", 405, "application/problem+json", "method_not_allowed"},
		{"GET", "/members/7", "", 404, "application/problem+json", "no_operation"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), test.method, base+test.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Prefer", test.prefer)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != test.status || res.Header.Get("Content-Type") != test.media || !strings.Contains(string(body), test.body) {
			t.Errorf("%+v: %d %s %s (%v)", test, res.StatusCode, res.Header, body, err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
