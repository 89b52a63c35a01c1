package registry

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestUsers(t *testing.T) {
	t.Parallel()
	hash := func(secret string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(secret))) }
	cfg := Config{Users: map[string]string{"shop": hash("s3cret"), "empty": hash("")}}
	if err := cfg.Check(); err != nil {
		t.Fatal(err)
	}
	g := New(cfg, Env{})
	g.opened.Store(true)
	ask := func(method, path, credentials string) *http.Response {
		h := http.Header{"Accept": {"application/json"}}
		if credentials != "" {
			h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(credentials)))
		}
		resp, body := exchange{method: method, path: path, header: h}.run(t, g)
		if resp.StatusCode == http.StatusUnauthorized && (body != "" || !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Basic ")) {
			t.Errorf("401 with %q and %v", body, resp.Header)
		}
		return resp
	}
	for _, path := range []string{"/eureka/apps", "/registry/v1/watch", "/registry/v1/health", "/", "/nothing", "/eureka/peerreplication/batch"} {
		for _, bad := range []string{"", "shop", "shop:", "shop:S3cret", "shop:s3cret2", "nobody:", "nobody:s3cret", ":", ":s3cret", "Shop:s3cret"} {
			if code := ask("GET", path, bad).StatusCode; code != http.StatusUnauthorized {
				t.Errorf("%s with %q gives %d", path, bad, code)
			}
		}
	}
	for _, good := range []string{"shop:s3cret", "empty:"} {
		if code := ask("GET", "/eureka/apps", good).StatusCode; code != http.StatusOK {
			t.Errorf("with %q: %d", good, code)
		}
	}
	if n := g.Overview().Counts["denied"]; n != 60 {
		t.Errorf("%d are counted, not 60", n)
	}
}

func TestReadLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := started(t, Config{ReadLimit: 5})
		add(t, g, "BASKET", "1")
		read := func(n int) (answered int) {
			for i := range n {
				resp, body := exchange{method: "GET", path: []string{"/eureka/apps", "/eureka/apps/delta", "/eureka/apps/BASKET"}[i%3]}.run(t, g)
				switch {
				case resp.StatusCode == http.StatusOK:
					answered++
				case resp.StatusCode != http.StatusServiceUnavailable || body != "":
					t.Errorf("%d %s", resp.StatusCode, body)
				}
			}
			return answered
		}
		if n := read(20); n != 5 {
			t.Errorf("%d of 20 readings at once are answered, not 5", n)
		}
		if code, _ := g.renew(key{"BASKET", "1"}, renewal{}); code != http.StatusOK {
			t.Errorf("a renewal is answered %d", code)
		}
		time.Sleep(400 * time.Millisecond)
		if n := read(20); n != 2 {
			t.Errorf("%d are answered after 0.4 s, not 2", n)
		}
		time.Sleep(time.Hour)
		if n := read(20); n != 5 {
			t.Errorf("%d are answered after an hour, not 5", n)
		}
		if n := g.Overview().Counts["throttled"]; n != 48 {
			t.Errorf("%d are counted, not 48", n)
		}
	})
}

// We stand among the peers under the name of the configuration, whatever
// credentials are in the list.
func TestOwnName(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{Self: "http://b7:8761/eureka", Name: "Hall", Peers: []string{"http://user:secret@b7:8761/eureka/"}}
		g := started(t, cfg)
		if len(*g.peers.Load()) != 0 {
			t.Error("it is its own peer")
		}
		if body := get(t, g, "/eureka/apps/HALL/b7:hall:8761"); !strings.Contains(body, `"hostName":"b7"`) || !strings.Contains(body, `"isCoordinatingDiscoveryServer":"true"`) {
			t.Errorf("it is registered as %s", body)
		}
	})
}
