package upstream

import "testing"

// A service without endpoints opens no breaker: the first that comes is called
// at once.
func TestNoEndpointOpensNoBreaker(t *testing.T) {
	s := serve(t, ok)
	c := cluster(t, Config{URL: s.url()}, Env{})
	<-c.Filled()
	for range 3 {
		if err := c.Set(nil); err != nil {
			t.Fatal(err)
		}
		for range 200 {
			_, err := c.Do(request("GET", "/"))
			wantProblem(t, err, 503, "no_endpoint")
		}
		if err := c.Set([]Addr{{URL: s.url()}}); err != nil {
			t.Fatal(err)
		}
		if status, body := do(t, c, request("GET", "/")); status != 200 {
			t.Fatalf("the first call after that gives %d %s", status, body)
		}
	}
	if n := c.Stats().Guard.Counts.Failure; n != 600 {
		t.Errorf("%d failures are counted, not 600", n)
	}
}
