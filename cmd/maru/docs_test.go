package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// pages lists the documents that are for users; those of docs/filters have a
// test of their own beside the filters.
func pages(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	return append(found, "../../README.md", "../../README.ko.md")
}

// block is one fenced block of a page.
type block struct {
	kind string // the word after the fence
	text string
	line int
}

func blocks(t *testing.T, page string) []block {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var all []block
	var open *block
	for i, line := range strings.Split(string(text), "\n") {
		kind, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && open == nil:
			open = &block{kind: kind, line: i + 1}
		case fence:
			all = append(all, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		}
	}
	if open != nil {
		t.Errorf("%s:%d: the block does not end", page, open.line)
	}
	return all
}

// Every configuration in the documents loads, and what maru check and maru
// explain are shown to say of it is what they say.
func TestDocumentsAreTrue(t *testing.T) {
	t.Parallel()
	commands := regexp.MustCompile(`(?m)^\$ maru (check|explain)\b(.*)\n((?:[^$].*\n)*)`)
	for _, page := range pages(t) {
		t.Run(filepath.Base(page), func(t *testing.T) {
			t.Parallel()
			config := ""
			for _, b := range blocks(t, page) {
				where := fmt.Sprintf("%s:%d", page, b.line)
				if b.kind == "yaml" {
					config = b.text
					if out, err := runOn(t, config, "check"); err != nil {
						t.Errorf("%s: %v\n%s", where, err, out)
					}
					continue
				}
				for _, m := range commands.FindAllStringSubmatch(b.text, -1) {
					file := config
					for says, change := range mistakes() {
						if strings.Contains(m[3], says) {
							file = change.Replace(file)
						}
					}
					out, _ := runOn(t, file, append([]string{m[1]}, strings.Fields(m[2])...)...) // what it says counts
					if out != m[3] {
						t.Errorf("%s: maru %s%s says\n%s\nnot\n%s", where, m[1], m[2], out, m[3])
					}
				}
			}
		})
	}
}

// mistakes are those that pages tell to make, by what maru check says of them.
func mistakes() map[string]*strings.Replacer {
	return map[string]*strings.Replacer{
		`"stirp"`:               strings.NewReplacer("strip: 1", "stirp: 1"),
		`"balanc"`:              strings.NewReplacer("points { balance }", "points { balanc }"),
		"once for each element": strings.NewReplacer(`many: "restaurant GET /restaurants?ids={keys,}"`, `one: "restaurant GET /restaurants/{id}"`, "auctions(first: 20)", "auctions"),
	}
}

// runOn runs maru where maru.yaml is the given text, beside the certificates and
// keys (NAME.pem, NAME.key) and the contracts (NAME.proto) that it names.
func runOn(t *testing.T, text string, args ...string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	files := map[string][]byte{"maru.yaml": []byte(text)}
	for _, name := range regexp.MustCompile(`\b[a-z-]+\.(pem|key)\b`).FindAllString(text, -1) {
		cert, key := certificate(t)
		stem, _, _ := strings.Cut(name, ".")
		files[stem+".pem"], files[stem+".key"] = cert, key
	}
	for _, name := range regexp.MustCompile(`\b[a-z-]+\.proto\b`).FindAllString(text, -1) {
		contract, err := os.ReadFile("../../config/testdata/area.proto")
		if err != nil {
			t.Fatal(err)
		}
		files[name] = contract
	}
	for _, name := range regexp.MustCompile(`\bspecs/[a-z-]+\.yaml\b`).FindAllString(text, -1) {
		files[name] = []byte("openapi: 3.1.0\ninfo: {title: a contract, version: 1.0.0}\npaths:\n  /members/{id}:\n" +
			"    get: {parameters: [{name: id, in: path, required: true, schema: {type: string}}], responses: {'200': {description: one}}}\n")
	}
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := maru(t, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// certificate makes a certificate that signs itself, with its key, in PEM.
func certificate(t *testing.T) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"shop.example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
	}
	cert, err = x509.CreateCertificate(rand.Reader, &template, &template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	if key, err = x509.MarshalPKCS8PrivateKey(private); err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
}

// The auction by hand of the demo's page is run as it stands there.
func TestDemoPageAuctionWorks(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not here; make test installs it where that is allowed")
	}
	const base = "B=http://127.0.0.1:8080\n"
	for _, b := range blocks(t, "../../docs/demo.md") {
		if !strings.HasPrefix(b.text, base) {
			continue
		}
		r := startDemo(t, "--load", "0")
		script := strings.Replace(b.text, base, "B="+r.word(t, "\n  gateway")+"\n", 1)
		out, err := exec.CommandContext(t.Context(), "sh", "-ec", script).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		for _, want := range []string{"access_token", "망원 스시", `"restaurant":1,"price":57000}}`, `"points":1570`, "다음 주문 5% 할인"} {
			if !strings.Contains(string(out), want) {
				t.Errorf("no %s in\n%s", want, out)
			}
		}
		if strings.Contains(string(out), `"error"`) {
			t.Errorf("an error in\n%s", out)
		}
		return
	}
	t.Error("the page has no auction by hand")
}

// What the pages link to in this repository is there.
func TestLinksOfDocumentsLeadSomewhere(t *testing.T) {
	t.Parallel()
	links := regexp.MustCompile(`\]\(([^)#\s]+)(#[^)]*)?\)`) // a destination has no space
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range links.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}

// The two readmes say the same: the same blocks but for words, as many headings
// and rows.
func TestReadmesAgree(t *testing.T) {
	t.Parallel()
	english, korean := blocks(t, "../../README.md"), blocks(t, "../../README.ko.md")
	if len(english) != len(korean) {
		t.Fatalf("%d blocks and %d", len(english), len(korean))
	}
	comment := regexp.MustCompile(`(?m) +# .*$`)
	for i := range english {
		if comment.ReplaceAllString(english[i].text, "") != comment.ReplaceAllString(korean[i].text, "") {
			t.Errorf("README.md:%d and README.ko.md:%d differ", english[i].line, korean[i].line)
		}
	}
	count := func(page, pattern string) int {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		return len(regexp.MustCompile(pattern).FindAll(text, -1))
	}
	for _, pattern := range []string{`(?m)^#`, `(?m)^\|`, `(?m)^- `, `\]\([^h]`} {
		if a, b := count("../../README.md", pattern), count("../../README.ko.md", pattern); a != b {
			t.Errorf("%s: %d and %d", pattern, a, b)
		}
	}
}
