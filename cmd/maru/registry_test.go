package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/maru-msa/maru/registry"
)

// newRegistry serves a registry with some instances of auction and gives its URL.
func newRegistry(t *testing.T, ids ...string) string {
	t.Helper()
	g := registry.New(registry.Config{}, registry.Env{})
	go func() { _ = g.Run(t.Context()) }()
	for !g.Overview().Open {
		time.Sleep(time.Millisecond)
	}
	s := httptest.NewServer(g)
	t.Cleanup(s.Close)
	for _, id := range ids {
		body := strings.Replace(registration(id, "127.0.0.1:9103"), `"dataCenterInfo"`, `"lastDirtyTimestamp":"1000","metadata":{"zone":"a"},"dataCenterInfo"`, 1)
		if status := tell(t, http.MethodPost, s.URL+"/eureka/apps/AUCTION", body); status != http.StatusNoContent {
			t.Fatalf("register: %d", status)
		}
	}
	return s.URL + "/eureka/"
}

func TestRegistryCommands(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	said := func(err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		text := out.String()
		out.Reset()
		return text
	}
	url := newRegistry(t, "b:1", "b 2")
	list := registryListCommand{URL: url, printer: printer{out: &out}}
	want := "SERVICE  INSTANCE  STATUS  SET TO  URL                    ZONE\n" +
		"auction  b 2       UP      -       http://127.0.0.1:9103  a\n" +
		"auction  b:1       UP      -       http://127.0.0.1:9103  a\n"
	if got := said(list.Run()); got != want {
		t.Errorf("the list is\n%s\nnot\n%s", got, want)
	}
	drain := registryDrainCommand{registeredAt{App: "auction", ID: "b 2", Registry: url, out: &out}}
	if got := said(drain.Run()); !strings.HasPrefix(got, "b 2 of auction is OUT_OF_SERVICE") {
		t.Errorf("drain says %s", got)
	}
	list.JSON = true
	var rows []listed
	if err := json.Unmarshal([]byte(said(list.Run())), &rows); err != nil || len(rows) != 2 ||
		rows[0].Status != "OUT_OF_SERVICE" || rows[0].Override != "OUT_OF_SERVICE" || rows[1].Status != "UP" || rows[1].Meta["zone"] != "a" {
		t.Errorf("as JSON the list is %+v: %v", rows, err)
	}
	restore := registryRestoreCommand{registeredAt{App: "Auction", ID: "b 2", Registry: url, out: &out}}
	said(restore.Run())
	if said(list.Run()); rows[1].Status != "UP" {
		t.Errorf("restored it is %+v", rows[1])
	}
	list.Service = "none"
	if got := said(list.Run()); got != "[]\n" {
		t.Errorf("the list of a service that is not there is %s", got)
	}
	drain.ID = "none"
	if err := drain.Run(); err == nil || !strings.Contains(err.Error(), "AUCTION/none: it is not registered") {
		t.Errorf("draining nobody gives %v", err)
	}
}

func TestRegistryDiff(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	one, two := newRegistry(t, "1", "2", "3"), newRegistry(t, "2", "3", "4")
	diff := registryDiffCommand{First: one, Second: one, printer: printer{out: &out}}
	if err := diff.Run(); err != nil || out.String() != "both have the same 3 instances\n" {
		t.Errorf("a registry and itself: %v %s", err, out.String())
	}
	tell(t, http.MethodPut, two+"apps/AUCTION/3/status?value=OUT_OF_SERVICE", "")
	tell(t, http.MethodPut, two+"apps/AUCTION/2/metadata?zone=b", "")
	want := `SERVICE  INSTANCE  WHAT              FIRST    SECOND
auction  1         whole instance    UP       -
auction  2         metadata          zone=a   zone=b
auction  3         status            UP       OUT_OF_SERVICE
auction  3         overriddenStatus  UNKNOWN  OUT_OF_SERVICE
auction  4         whole instance    -        UP
`
	diff.Second = two
	out.Reset()
	if err := diff.Run(); err != exitError(1) || out.String() != want { //nolint:errorlint // it is itself
		t.Errorf("%v\n%s\nnot\n%s", err, out.String(), want)
	}
	diff.Skip = []string{"Auction"}
	out.Reset()
	if err := diff.Run(); err != nil {
		t.Errorf("without the service that differs: %v", err)
	}
	for _, bad := range []string{"http://127.0.0.1:1/eureka", "http://user:secret@127.0.0.1:1", "nonsense", one + "/apps"} {
		diff.Second = bad
		if err := diff.Run(); err != exitError(2) { //nolint:errorlint // as above
			t.Errorf("%s gives %v", bad, err)
		}
	}
}
