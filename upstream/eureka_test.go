package upstream

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maru-msa/maru/memnet"
)

const eurekaAnswer = `{"application":{"name":"A","instance":[
{"hostName":"h1","ipAddr":"10.0.0.1","status":"UP","port":{"$":8080,"@enabled":"true"},"metadata":{"zone":"z","weight":"3","n":1}},
{"hostName":"h2","ipAddr":"10.0.0.2","status":"DOWN","port":{"$":8080,"@enabled":"true"}},
{"hostName":"h3","ipAddr":"10.0.0.3","status":"UP","port":{"$":"8080","@enabled":"false"},"securePort":{"$":"8443","@enabled":true}},
{"hostName":"h 4","ipAddr":"10.0.0.4","status":"UP","port":{"$":8080,"@enabled":"true"}},
{"hostName":"h5","ipAddr":"10.0.0.5","status":"UP","port":{"$":8080,"@enabled":"true"},"metadata":{"preferIpAddress":"true"}}]}}`

func TestParseEureka(t *testing.T) {
	t.Parallel()
	addrs, err := parseEureka([]byte(eurekaAnswer), false)
	var got strings.Builder
	for _, a := range addrs {
		fmt.Fprintf(&got, "%s %s %d;", a.URL, a.Zone, a.Weight)
	}
	if want := "http://h1:8080 z 3;https://h3:8443  0;http://10.0.0.5:8080  0;"; err != nil || got.String() != want {
		t.Errorf("%s %v, not %s", got.String(), err, want)
	}
	one, err := parseEureka([]byte(`{"application":{"instance":{"hostName":"h","ipAddr":"10.0.0.9","status":"UP","port":{"$":1,"@enabled":"true"}}}}`), true)
	if err != nil || len(one) != 1 || one[0].URL != "http://10.0.0.9:1" {
		t.Errorf("an instance alone: %v %v", one, err)
	}
	for _, bad := range []string{"", "{}", "<html>", `{"application":{"instance":7}}`, `{"application":{"instance":[7]}}`} {
		if addrs, err := parseEureka([]byte(bad), false); err == nil {
			t.Errorf("%q gives %v", bad, addrs)
		}
	}
}

func FuzzEureka(f *testing.F) {
	f.Add([]byte(eurekaAnswer))
	f.Fuzz(func(t *testing.T, body []byte) {
		addrs, _ := parseEureka(body, false)
		for _, a := range addrs {
			if _, err := parseTarget(a.URL); err != nil || a.Weight < 0 || a.Weight > maxWeight {
				t.Errorf("%+v: %v", a, err)
			}
		}
	})
}

// Endpoints stay while the server is down, and while it was restarted and knows
// nobody; how old they are can be seen.
func TestEurekaSourceKeepsTheLastGoodEndpoints(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ln := memnet.Listen("registry:8761")
		defer ln.Close()
		var status atomic.Int32
		status.Store(http.StatusOK)
		server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/eureka/apps/AUCTION" {
				t.Errorf("asked for %s", r.URL.Path)
			}
			w.WriteHeader(int(status.Load()))
			fmt.Fprint(w, eurekaAnswer)
		})}
		go func() { _ = server.Serve(ln) }()
		defer server.Close()
		c, err := New("auction", Config{Registry: &RegistryConfig{Name: "auction", URL: "http://registry:8761/eureka/"}}, Env{Dial: ln.DialContext})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = c.Run(ctx) }()
		time.Sleep(10 * time.Second)
		if s := c.Stats(); len(s.Endpoints) != 3 || s.SourceError != "" || time.Since(s.SourceGood) > 2*time.Second {
			t.Errorf("%d endpoints, error %q, good %v", len(s.Endpoints), s.SourceError, s.SourceGood)
		}
		for _, code := range []int{404, 500, 403} {
			status.Store(int32(code))
			time.Sleep(time.Minute)
			if s := c.Stats(); len(s.Endpoints) != 3 || s.SourceError == "" || time.Since(s.SourceGood) < time.Minute {
				t.Errorf("status %d: %d endpoints, error %q, good %v", code, len(s.Endpoints), s.SourceError, s.SourceGood)
			}
		}
		status.Store(http.StatusOK)
		time.Sleep(2 * time.Second)
		if s := c.Stats(); s.SourceError != "" {
			t.Errorf("the error stays: %s", s.SourceError)
		}
		cancel()
		<-done
	})
}
