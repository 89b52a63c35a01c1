package registry

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// originalPeer is a server of the original as its peers see it, after its source
// (PeerReplicationResource, ReplicationTaskProcessor): it lists what it holds in
// its own spelling, and answers batches item by item.
type originalPeer struct {
	mu      sync.Mutex
	listing string
	answers []string // of the next batches, else all items are fine
	got     []string // bodies of batches
	header  http.Header
}

func (o *originalPeer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/eureka/apps/":
		_, _ = io.WriteString(w, o.listing)
	case "/eureka/peerreplication/batch/":
		body, _ := io.ReadAll(r.Body)
		o.got, o.header = append(o.got, string(body)), r.Header.Clone()
		if len(o.answers) > 0 {
			_, _ = io.WriteString(w, o.answers[0])
			o.answers = o.answers[1:]
			return
		}
		items := strings.Count(string(body), `"action":`)
		_, _ = io.WriteString(w, `{"responseList":[`+strings.TrimSuffix(strings.Repeat(`{"statusCode":200,"responseEntity":null},`, items), ",")+`]}`)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// batches gives what came since the last time, and sets what to answer next.
func (o *originalPeer) batches(answers ...string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	got := strings.Join(o.got, "\n")
	o.got, o.answers = nil, answers
	return got
}

// originalInstance is an instance as the original lists it.
func originalInstance(id, status, override, dirty string) string {
	return fmt.Sprintf(`{"instanceId":%q,"hostName":"h","app":"BASKET","ipAddr":"10.4.0.7","status":%q,"overriddenStatus":%q,`+
		`"port":{"$":9301,"@enabled":"true"},"securePort":{"$":443,"@enabled":"false"},"countryId":1,`+
		`"dataCenterInfo":{"@class":"com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo","name":"MyOwn"},`+
		`"leaseInfo":{"renewalIntervalInSecs":30,"durationInSecs":90,"registrationTimestamp":946684700000,"lastRenewalTimestamp":946684790000,"evictionTimestamp":0,"serviceUpTimestamp":946684700000},`+
		`"metadata":{"@class":"java.util.Collections$EmptyMap"},"vipAddress":"basket","isCoordinatingDiscoveryServer":"false",`+
		`"lastUpdatedTimestamp":"946684700000","lastDirtyTimestamp":%q,"actionType":"ADDED"}`, id, status, override, dirty)
}

// maru joins a cluster of the original as one more peer, takes it over, and hands
// it back, with not one instance lost on the way; three times. What is sent is
// what the original's peers send, byte for byte (§10).
func TestTakeOverOfTheOriginal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := &originalPeer{listing: `{"applications":{"versions__delta":"1","apps__hashcode":"OUT_OF_SERVICE_1_UP_1_","application":[{"name":"BASKET","instance":[` +
			originalInstance("b1", "UP", "UNKNOWN", "1000") + "," + originalInstance("b2", "OUT_OF_SERVICE", "OUT_OF_SERVICE", "1000") + `]}]}}`}
		w := &wire{hosts: map[string]http.Handler{"original": o}}
		joined := Config{Peers: []string{"http://original/eureka/"}}
		env := Env{Client: &http.Client{Transport: w}, Dial: nobodyThere}
		g := New(joined, env)
		stop := run(t, g)
		// Clients renew and register: first with the original, which tells us.
		theirs := func(body string) string {
			_, answer := exchange{
				method: "POST", path: "/eureka/peerreplication/batch/", body: body,
				header: http.Header{"Content-Type": {"application/json"}, "X-Netflix-Discovery-Replication": {"true"}},
			}.run(t, g)
			return answer
		}
		for trip := range 3 {
			want := "map[BASKET/b1:UP BASKET/b2:OUT_OF_SERVICE]"
			if got := state(t, g); got != want {
				t.Fatalf("trip %d: joined, we have %s, not %s", trip, got, want)
			}
			if !g.doubled() {
				t.Error("among servers of the original leases do not last as theirs")
			}
			if got, want := theirs(`{"replicationList":[{"appName":"BASKET","id":"b1","lastDirtyTimestamp":1000,"status":"UP","action":"Heartbeat"},`+
				`{"appName":"BASKET","id":"b2","lastDirtyTimestamp":1000,"overriddenStatus":"OUT_OF_SERVICE","status":"OUT_OF_SERVICE","action":"Heartbeat"},`+
				`{"appName":"BASKET","id":"b3","lastDirtyTimestamp":1000,"status":"UP","action":"Heartbeat"}]}`),
				`{"responseList":[{"statusCode":200},{"statusCode":200},{"statusCode":404}]}`; got != want {
				t.Errorf("their heartbeats are answered %s", got)
			}
			theirs(`{"replicationList":[{"appName":"BASKET","id":"b3","lastDirtyTimestamp":1000,"status":"UP","instanceInfo":` + originalInstance("b3", "UP", "UNKNOWN", "1000") + `,"action":"Register"}]}`)
			if time.Sleep(time.Second); o.batches() != "" {
				t.Error("what they told us is told back")
			}
			takeOver(t, o, g)

			// The old servers leave; nothing else changes.
			stop()
			g.Configure(Config{})
			stop = run(t, g)
			if got, want := state(t, g), "map[BASKET/b1:UP BASKET/b2:OUT_OF_SERVICE BASKET/b4:UP]"; got != want || g.doubled() {
				t.Errorf("taken over, we have %s, not %s", got, want)
			}
			// And back: they join again, clients move, we are told of their end.
			stop()
			g.Configure(joined)
			stop = run(t, g)
			if time.Sleep(2 * time.Second); !g.doubled() {
				t.Error("joined again, leases do not last as theirs")
			}
			theirs(`{"replicationList":[{"appName":"BASKET","id":"b4","action":"Cancel"}]}`)
			o.batches()
		}
		if n := g.totals.evicted.Load(); n != 0 {
			t.Errorf("%d were evicted on the way", n)
		}
		stop()
	})
}

// takeOver lets the clients speak with us: the original hears of everything.
func takeOver(t *testing.T, o *originalPeer, g *Registry) {
	t.Helper()
	in := sample("BASKET", "b4")
	in.Dirty = 5000
	if err := g.register(in, false); err != nil {
		t.Fatal(err)
	}
	g.renew(key{"BASKET", "b1"}, renewal{dirty: 1000})
	g.renew(key{"BASKET", "b2"}, renewal{dirty: 1000})
	now := fmt.Sprint(g.env.Now().UnixMilli())
	time.Sleep(time.Second)
	want := strings.ReplaceAll(`{"replicationList":[{"appName":"BASKET","id":"b4","lastDirtyTimestamp":5000,"status":"UP",`+
		`"instanceInfo":{"instanceId":"b4","hostName":"h-b4","app":"BASKET","ipAddr":"10.0.0.1","status":"UP","overriddenStatus":"UNKNOWN",`+
		`"port":{"$":8080,"@enabled":"true"},"securePort":{"$":443,"@enabled":"false"},"countryId":1,`+
		`"dataCenterInfo":{"@class":"com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo","name":"MyOwn"},`+
		`"leaseInfo":{"renewalIntervalInSecs":30,"durationInSecs":90,"registrationTimestamp":TIME,"lastRenewalTimestamp":TIME,"evictionTimestamp":0,"serviceUpTimestamp":TIME},`+
		`"metadata":{"@class":"java.util.Collections$EmptyMap"},"vipAddress":"basket","isCoordinatingDiscoveryServer":"false",`+
		`"lastUpdatedTimestamp":"TIME","lastDirtyTimestamp":"5000","actionType":"ADDED"},"action":"Register"},`+
		`{"appName":"BASKET","id":"b1","lastDirtyTimestamp":1000,"status":"UP","action":"Heartbeat"},`+
		`{"appName":"BASKET","id":"b2","lastDirtyTimestamp":1000,"overriddenStatus":"OUT_OF_SERVICE","status":"OUT_OF_SERVICE","action":"Heartbeat"}]}`, "TIME", now)
	if got := o.batches(); got != want {
		t.Errorf("the original is told\n%s\nnot\n%s", got, want)
	}
	for name, value := range map[string]string{
		"X-Netflix-Discovery-Replication": "true", "User-Agent": "Java-EurekaClient-Replication", "Accept": "application/json", "Content-Type": "application/json",
	} {
		if got := o.header.Get(name); got != value {
			t.Errorf("%s is %q", name, got)
		}
	}
	// One it does not know is registered there; one that is newer there comes here.
	o.batches(`{"responseList":[{"statusCode":404,"responseEntity":null},{"statusCode":409,"responseEntity":` + originalInstance("b1", "UP", "UNKNOWN", "2000") + `}]}`)
	g.renew(key{"BASKET", "b3"}, renewal{})
	g.renew(key{"BASKET", "b1"}, renewal{})
	time.Sleep(3 * time.Second)
	if got := o.batches(); strings.Count(got, `"action":"Register"`) != 1 || !strings.Contains(got, `"instanceInfo":{"instanceId":"b3"`) {
		t.Errorf("after a 404 the original is told\n%s", got)
	}
	if dirty := g.records[key{"BASKET", "b1"}].Dirty; dirty != 2000 {
		t.Errorf("the newer instance did not come: %d", dirty)
	}
	g.records[key{"BASKET", "b1"}].Dirty = 1000 // for the next trip
	// Statuses and ends.
	g.setStatus(key{"BASKET", "b4"}, OutOfService, 0, false)
	g.clearStatus(key{"BASKET", "b4"}, Up, 0, false)
	g.cancel(key{"BASKET", "b3"}, false)
	time.Sleep(time.Second)
	want = `{"replicationList":[{"appName":"BASKET","id":"b4","lastDirtyTimestamp":5000,"status":"OUT_OF_SERVICE","action":"StatusUpdate"},` +
		`{"appName":"BASKET","id":"b4","lastDirtyTimestamp":5000,"status":"UP","action":"DeleteStatusOverride"},` +
		`{"appName":"BASKET","id":"b3","action":"Cancel"}]}`
	if got := o.batches(); got != want {
		t.Errorf("the original is told\n%s\nnot\n%s", got, want)
	}
}
