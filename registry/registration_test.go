package registry

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A registration lives as long as its process, comes back after the registry
// forgot it or was away, follows the check, and ends with a deregistration.
func TestRegistration(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := started(t, Config{Protect: "off"})
		var health atomic.Int32
		health.Store(http.StatusOK)
		w := &wire{hosts: map[string]http.Handler{
			"registry": g,
			"own:9000": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/health" {
					t.Errorf("the check asks for %s", r.URL.Path)
				}
				w.WriteHeader(int(health.Load()))
			}),
		}}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		r := &Registration{
			Registries: []string{"http://gone/eureka", "http://registry/eureka/"}, Service: "Auction", URL: "http://own:9000/",
			Meta: map[string]string{"zone": "z1"}, Check: "health", Client: &http.Client{Transport: w},
		}
		go func() { ended <- r.Run(ctx) }()
		shows := func(what, part string) {
			t.Helper()
			synctest.Wait()
			if body := get(t, g, "/eureka/apps"); !strings.Contains(body, part) {
				t.Errorf("%s: the listing lacks %s: %s", what, part, body)
			}
		}
		shows("at the start", `"instanceId":"own:auction:9000","hostName":"own","app":"AUCTION"`)
		shows("at the start", `"renewalIntervalInSecs":10,"durationInSecs":30`)
		time.Sleep(5 * time.Minute)
		shows("after five minutes", `"apps__hashcode":"UP_1_"`)
		health.Store(http.StatusInternalServerError)
		time.Sleep(10 * time.Second)
		shows("when the check fails", `"apps__hashcode":"DOWN_1_"`)
		health.Store(http.StatusNoContent)
		time.Sleep(10 * time.Second)
		shows("when it is good again", `"apps__hashcode":"UP_1_"`)
		g.cancel(key{"AUCTION", "own:auction:9000"}, true)
		time.Sleep(10 * time.Second)
		shows("after the registry forgot it", `"apps__hashcode":"UP_1_"`)
		w.cut.Store(true)
		time.Sleep(time.Minute)
		shows("while the registry is away", `"apps__hashcode":""`)
		w.cut.Store(false)
		time.Sleep(10 * time.Second)
		shows("when it is back", `"apps__hashcode":"UP_1_"`)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		shows("at the end", `"apps__hashcode":""`)
	})
}

func TestRegistrationOfRubbish(t *testing.T) {
	t.Parallel()
	one := []string{"http://registry/eureka"}
	for _, r := range []Registration{
		{Service: "a", URL: "http://own:9000"},
		{Registries: one, Service: "a", URL: "own:9000"},
		{Registries: one, Service: "a", URL: "http://own:x"},
		{Registries: one, Service: "", URL: "http://own:9000"},
		{Registries: one, Service: "a\n", URL: "http://own:9000"},
	} {
		if err := r.Run(t.Context()); err == nil {
			t.Errorf("%+v is taken", r)
		}
	}
}
