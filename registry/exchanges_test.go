package registry

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// templates are the bodies that exchanges name; {key} is filled in.
func templates() map[string]string {
	return map[string]string{
		"json": `{"instance":{"instanceId":"{id}","hostName":"{host}","app":"{app}","ipAddr":"10.4.0.7","sid":"na","status":"{status}",` +
			`"overriddenstatus":"UNKNOWN","port":{"$":9301,"@enabled":"true"},"securePort":{"$":443,"@enabled":"false"},"countryId":1,` +
			`"dataCenterInfo":{"@class":"com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo","name":"MyOwn"},` +
			`"leaseInfo":{"renewalIntervalInSecs":30,"durationInSecs":90},"metadata":{"zone":"z1","blue_green":"a"},` +
			`"homePageUrl":"http://b7:9301/","secureHealthCheckUrl":null,"vipAddress":"{vip}","secureVipAddress":"{vip}",` +
			`"isCoordinatingDiscoveryServer":"false","lastUpdatedTimestamp":"900000000000","lastDirtyTimestamp":"{dirty}"}}`,
		"xml": `<?xml version="1.0" encoding="UTF-8"?><instance><instanceId>{id}</instanceId><hostName>{host}</hostName><app>{app}</app>` +
			`<ipAddr>10.4.0.7</ipAddr><status>{status}</status><overriddenstatus>UNKNOWN</overriddenstatus><port enabled="true">9301</port>` +
			`<securePort enabled="false">443</securePort><dataCenterInfo class="com.netflix.appinfo.MyDataCenterInfo"><name>MyOwn</name></dataCenterInfo>` +
			`<leaseInfo><renewalIntervalInSecs>30</renewalIntervalInSecs><durationInSecs>90</durationInSecs></leaseInfo>` +
			`<metadata><blue__green>a</blue__green></metadata><vipAddress>{vip}</vipAddress><lastDirtyTimestamp>{dirty}</lastDirtyTimestamp></instance>`,
		"posted": `{"instance":{"instanceId":"{id}","hostName":"{host}","app":"{app}","ipAddr":"10.4.0.7","sid":"na","status":"{status}","overriddenstatus":"UNKNOWN",` +
			`"port":{"$":9301,"@enabled":"true"},"securePort":{"$":443,"@enabled":"false"},"countryId":1,` +
			`"dataCenterInfo":{"@class":"com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo","name":"MyOwn"},` +
			`"leaseInfo":{"renewalIntervalInSecs":30,"durationInSecs":90,"registrationTimestamp":0,"lastRenewalTimestamp":0,"evictionTimestamp":0,"serviceUpTimestamp":0},` +
			`"metadata":{"management.port":"9302","zone":"z1"},"homePageUrl":"http://b7:9301/","statusPageUrl":"http://b7:9302/actuator/info",` +
			`"healthCheckUrl":"http://b7:9302/actuator/health","secureHealthCheckUrl":null,"vipAddress":"{vip}","secureVipAddress":"{vip}",` +
			`"isCoordinatingDiscoveryServer":"false","lastUpdatedTimestamp":"900000000000","lastDirtyTimestamp":"{dirty}"}}`,
		"bare": `{"instanceId":"{id}","hostName":"{host}","app":"{app}","ipAddr":"10.4.0.7","dataCenterInfo":{"name":"MyOwn"}{more}}`,
	}
}

// exchange is one line of testdata/*.txt:
//
//	METHOD PATH [Header:value]… [packed] [@template key=value…] => STATUS [~ part]… [!~ absent]…
//
// A part stands in the body as it is, but for times, which are written TIME.
// "packed" sends the body as gzip, "wait 90s" lets time pass, "new" empties the
// registry.
type exchange struct {
	method, path string
	header       http.Header
	body         string
	status       int
	has, lacks   []string
}

func parseExchange(t *testing.T, line string) exchange {
	t.Helper()
	ask, want, ok := strings.Cut(line, " => ")
	if !ok {
		t.Fatalf("no => in %q", line)
	}
	words := strings.Fields(ask)
	e := exchange{method: words[0], path: words[1], header: make(http.Header)}
	values := map[string]string{"id": "b7:basket:9301", "host": "b7", "app": "BASKET", "status": "UP", "vip": "basket", "dirty": "900000000412", "more": ""}
	template, pack := "", false
	for _, w := range words[2:] {
		if name, ok := strings.CutPrefix(w, "@"); ok {
			template = templates()[name]
			if template == "" {
				t.Fatalf("no template in %q", line)
			}
		} else if w == "packed" {
			pack = true
		} else if raw, ok := strings.CutPrefix(w, "body="); ok {
			e.body = raw
		} else if k, v, ok := strings.Cut(w, "="); ok && !strings.Contains(k, ":") {
			values[k] = v
		} else if k, v, ok := strings.Cut(w, ":"); ok {
			e.header.Set(k, strings.ReplaceAll(v, "+", " "))
		}
	}
	if template != "" {
		e.body = template
		for k, v := range values {
			e.body = strings.ReplaceAll(e.body, "{"+k+"}", v)
		}
	}
	if pack {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		if _, err := io.WriteString(w, e.body); err != nil || w.Close() != nil {
			t.Fatal(err)
		}
		e.body = b.String()
	}
	for i, part := range regexp.MustCompile(` (!?~) `).Split(want, -1) {
		if i == 0 {
			if _, err := fmt.Sscanf(part, "%d", &e.status); err != nil {
				t.Fatalf("no status in %q", line)
			}
			continue
		}
		if strings.Contains(want, " !~ "+part) {
			e.lacks = append(e.lacks, part)
		} else {
			e.has = append(e.has, part)
		}
	}
	return e
}

func (e exchange) run(t *testing.T, g *Registry) (*http.Response, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), e.method, "http://registry"+e.path, strings.NewReader(e.body))
	r.Header = e.header
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	resp := w.Result()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Header.Get("Content-Encoding") == "gzip" {
		in, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if data, err = io.ReadAll(in); err != nil {
			t.Fatal(err)
		}
	}
	return resp, string(data)
}

// nobodyThere is a network of instances that are not looked at.
func nobodyThere(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("no route to host")
}

// started runs a registry in the bubble of the test until the test ends.
func started(t *testing.T, cfg Config) *Registry {
	t.Helper()
	g := New(cfg, Env{Dial: nobodyThere})
	run(t, g)
	return g
}

// The exchanges of testdata are the specification's rules and examples, section by
// section, written by hand as the clients of §13 make them and as the original
// answers by its source: spec.txt the examples of §2, §4, §5, §8 and §10 as they
// stand there, json.txt and xml.txt every operation of §3 in both formats, status.txt
// the rules of §8 and the batches of §10, bad.txt the tolerance of §6 and the
// refusals of §7. What is compared is the status, the format and the parts of the
// body that carry the meaning.
func TestExchanges(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no exchanges", err)
	}
	total, times := 0, regexp.MustCompile(`\b9\d{11}\b`)
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.Base(name), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := started(t, Config{})
				in := bufio.NewScanner(bytes.NewReader(text))
				for n := 1; in.Scan(); n++ {
					line := strings.TrimSpace(in.Text())
					word, rest, _ := strings.Cut(line, " ")
					switch {
					case line == "" || line[0] == '#':
					case word == "new":
						g = started(t, Config{})
					case word == "wait":
						d, err := time.ParseDuration(rest)
						if err != nil {
							t.Fatal(err)
						}
						time.Sleep(d)
						synctest.Wait()
					default:
						total++
						e := parseExchange(t, line)
						resp, body := e.run(t, g)
						if resp.StatusCode != e.status {
							t.Errorf("%s:%d: %s %s gives %d %q, not %d", name, n, e.method, e.path, resp.StatusCode, body, e.status)
						}
						body = times.ReplaceAllString(body, "TIME")
						for _, part := range e.has {
							part = times.ReplaceAllString(part, "TIME")
							if !strings.Contains(body, part) {
								t.Errorf("%s:%d: %s %s lacks %s:\n%s", name, n, e.method, e.path, part, body)
							}
						}
						for _, part := range e.lacks {
							if strings.Contains(body, part) {
								t.Errorf("%s:%d: %s %s has %s:\n%s", name, n, e.method, e.path, part, body)
							}
						}
						if resp.StatusCode >= 300 && resp.StatusCode != 400 && resp.StatusCode != 409 && body != "" {
							t.Errorf("%s:%d: %d has a body: %s", name, n, resp.StatusCode, body)
						}
					}
				}
			})
		})
	}
	t.Logf("%d exchanges", total)
	if total < 200 {
		t.Errorf("%d exchanges are fewer than 200", total)
	}
}
