package edge

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/memnet"
)

func TestTicketKeysRotate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := new(TicketKeys)
		first := k.derive("a")
		if again := k.derive("a"); len(first) != 1 || again[0] != first[0] {
			t.Fatal("a key changed before its time")
		}
		if other := k.derive("b"); other[0] == first[0] {
			t.Error("two purposes have one key")
		}
		for n := range 4 {
			time.Sleep(ticketLife)
			keys := k.derive("a")
			if want := min(n+2, ticketKeys); len(keys) != want {
				t.Errorf("after %d rotations %d keys, want %d", n+1, len(keys), want)
			}
			if opens := contains(keys[1:], first[0]); opens != (n+1 < ticketKeys) || keys[0] == first[0] {
				t.Errorf("after %d rotations the first key still opens: %t", n+1, opens)
			}
		}
		if k.untilNext(time.Now()) != ticketLife {
			t.Errorf("the next change is in %s", k.untilNext(time.Now()))
		}
	})
}

func contains(keys [][32]byte, key [32]byte) bool {
	return slices.Contains(keys, key)
}

// TestRunningSourceRotates: a ticket resumes a session for a day, over changes of
// the key, and not for ever.
func TestRunningSourceRotates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{Listen: map[string]ListenerConfig{"public": {Address: "127.0.0.1:0", TLS: &TLSConfig{Development: true}}}}
		rt, err := Build(cfg, Env{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		source := rt.listeners["public"].tls
		ctx, stop := context.WithCancel(t.Context())
		var alive sync.WaitGroup
		alive.Go(func() { _ = source.Run(ctx) })
		defer alive.Wait()
		defer stop()
		ln := memnet.Listen("tls")
		cache := tls.NewLRUClientSessionCache(1)
		visit := func() bool {
			a, err := ln.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			b, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			server, client := tls.Server(b, source.config), tls.Client(a, &tls.Config{
				ServerName: "localhost", ClientSessionCache: cache, InsecureSkipVerify: true,
			})
			var done sync.WaitGroup
			done.Go(func() { _, _ = server.Write([]byte("x")); _ = server.Close() })
			if _, err := io.ReadAll(client); err != nil { // the ticket comes before the data
				t.Fatal(err)
			}
			_ = client.Close()
			done.Wait()
			return client.ConnectionState().DidResume
		}
		if visit() || !visit() {
			t.Fatal("the second visit must resume, the first can't")
		}
		held, _ := cache.Get("localhost")
		time.Sleep(2*ticketLife - time.Minute)
		cache.Put("localhost", held)
		if !visit() {
			t.Error("not resumed within a day")
		}
		time.Sleep(2 * ticketLife)
		cache.Put("localhost", held)
		if visit() {
			t.Error("resumed after all keys changed")
		}
	})
}

func TestUnchangedTLSIsCarriedOver(t *testing.T) {
	t.Parallel()
	build := func(prev *Runtime, tls *TLSConfig) *Runtime {
		rt, err := Build(Config{Listen: map[string]ListenerConfig{"public": {Address: "127.0.0.1:0", TLS: tls}}}, Env{}, prev)
		if err != nil {
			t.Fatal(err)
		}
		return rt
	}
	first := build(nil, &TLSConfig{Development: true})
	same := build(first, &TLSConfig{Development: true})
	other := build(same, &TLSConfig{Development: true, TLSPolicy: TLSPolicy{MinVersion: "1.3"}})
	if same.listeners["public"].tls != first.listeners["public"].tls {
		t.Error("an unchanged source was made again: every connection would be drained")
	}
	if other.listeners["public"].tls == first.listeners["public"].tls {
		t.Error("a changed source was carried over")
	}
	if other.env.Tickets != first.env.Tickets {
		t.Error("a reload made other ticket keys")
	}
}

func TestACMEFaultsAtBuild(t *testing.T) {
	t.Parallel()
	rows := []struct {
		cfg        ACMEConfig
		path, text string
	}{
		{ACMEConfig{}, "hosts", "no host"},
		{ACMEConfig{Hosts: []string{"*.a.example"}}, "hosts[0]", "wildcard"},
		{ACMEConfig{Hosts: []string{"a.example", "10.0.0.1"}}, "hosts[1]", "not a host"},
		{ACMEConfig{Hosts: []string{"a.example"}, Directory: "http://acme.example/dir"}, "directory", "not an https URL"},
		{ACMEConfig{Hosts: []string{"a.example"}, CA: "nowhere.pem"}, "ca", "cannot read"},
	}
	for _, row := range rows {
		row.cfg.Storage = t.TempDir()
		cfg := Config{Listen: map[string]ListenerConfig{"public": {Address: "127.0.0.1:8443", TLS: &TLSConfig{ACME: &row.cfg}}}}
		_, err := Build(cfg, Env{}, nil)
		found := diag.Flatten(err)
		if len(found) != 1 || found[0].Path != "listen.public.tls.acme."+row.path || !strings.Contains(found[0].Text, row.text) {
			t.Errorf("%+v: %v, want %s: …%s…", row.cfg, err, row.path, row.text)
		}
	}
}

// TestACMEPorts: challenges are answered where clients can come: on the lowest
// plain listener and on the listener itself.
func TestACMEPorts(t *testing.T) {
	t.Parallel()
	acme := &TLSConfig{ACME: &ACMEConfig{Hosts: []string{"a.example"}, Storage: t.TempDir()}}
	rows := []struct {
		listen      map[string]ListenerConfig
		plain, alpn int
	}{
		{map[string]ListenerConfig{"public": {Address: ":443", TLS: acme}}, 0, 443},
		{map[string]ListenerConfig{"public": {Address: ":443", TLS: acme}, "a": {Address: ":8080"}, "b": {Address: ":80"}}, 80, 443},
		{map[string]ListenerConfig{"public": {Address: ":443", TLS: acme}, "a": {Address: ":444", TLS: &TLSConfig{Development: true}}}, 0, 443},
		{map[string]ListenerConfig{"public": {Address: ":0", TLS: acme}, "a": {Address: ":8080"}}, 8080, 0},
	}
	for _, row := range rows {
		rt, err := Build(Config{Listen: row.listen}, Env{Log: slog.New(slog.DiscardHandler)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		is := rt.acme[0].issuer
		if is.AltHTTPPort != row.plain || is.AltTLSALPNPort != row.alpn || is.DisableHTTPChallenge != (row.plain == 0) ||
			is.DisableTLSALPNChallenge != (row.alpn == 0) {
			t.Errorf("%v: http-01 on %d (off %t), tls-alpn-01 on %d (off %t)", row.listen,
				is.AltHTTPPort, is.DisableHTTPChallenge, is.AltTLSALPNPort, is.DisableTLSALPNChallenge)
		}
	}
}
