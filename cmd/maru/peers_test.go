package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// leased is a registration that renews each second and is believed for five.
func leased(id string) string {
	return strings.Replace(registration(id, "127.0.0.1:9"), `"dataCenterInfo"`,
		`"lastDirtyTimestamp":"1000","leaseInfo":{"renewalIntervalInSecs":1,"durationInSecs":5},"dataCenterInfo"`, 1)
}

// follower is a client that reads everything once and then lives on deltas.
type follower struct {
	client *clientOf
	known  map[string]string
	fulls  int // how often it had to read everything
}

// poll takes one delta, and everything when the hash says so.
func (f *follower) poll() {
	var hash string
	if f.known != nil && f.read("/eureka/apps/delta", &hash) && hash == f.hash() {
		return
	}
	f.known = make(map[string]string)
	if f.read("/eureka/apps", &hash) {
		f.fulls++
	}
	if hash != f.hash() {
		f.client.t.Errorf("the listing's hash is %s, its body has %s", hash, f.hash())
	}
}

func (f *follower) read(path string, hash *string) bool {
	var answer struct {
		Applications struct {
			Hash string `json:"apps__hashcode"`
			List []struct {
				Instance []struct{ App, InstanceID, Status, ActionType string }
			} `json:"application"`
		} `json:"applications"`
	}
	status, body := f.client.do("GET", path, "")
	if status != http.StatusOK || json.Unmarshal([]byte(body), &answer) != nil {
		return false
	}
	for _, app := range answer.Applications.List {
		for _, in := range app.Instance {
			name := in.App + "/" + in.InstanceID
			if f.known[name] = in.Status; in.ActionType == "DELETED" {
				delete(f.known, name)
			}
		}
	}
	*hash = answer.Applications.Hash
	return true
}

func (f *follower) hash() string {
	counts := make(map[string]int)
	for _, status := range f.known {
		counts[status]++
	}
	var text strings.Builder
	for _, status := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(&text, "%s_%d_", status, counts[status])
	}
	return text.String()
}

// Two peers replicate everything. One is killed: the clients go on with the
// other, which loses no lease and evicts nobody; the one that was killed comes
// back, from its copy or from its peer, with all of them.
func TestPeersSurviveKill(t *testing.T) {
	t.Parallel()
	for _, kept := range []bool{false, true} {
		t.Run(map[bool]string{false: "from the peer", true: "from its copy"}[kept], func(t *testing.T) {
			t.Parallel()
			killAPeer(t, kept)
		})
	}
}

// twoPeers starts two registries that are peers; the first keeps a copy on disk
// when it shall. again starts the first once more.
func twoPeers(t *testing.T, kept bool) (a, b *process, addresses [2]string, again func() *process) {
	t.Helper()
	addresses = [2]string{freeAddress(t), freeAddress(t)}
	file := func(i int, more string) string {
		return fmt.Sprintf("registry: {address: %q, self: 'http://%s/eureka'%s}\nlisten: {}\n", addresses[i], addresses[i], more)
	}
	peers := fmt.Sprintf(", peers: ['http://%s/eureka', 'http://%s/eureka/']", addresses[0], addresses[1])
	b = newProcess(t)
	b.write(file(1, ""), false)
	b.start()
	data := ""
	if kept {
		data = fmt.Sprintf(", data: %q", filepath.Join(t.TempDir(), "data"))
	}
	first := file(0, peers+data)
	again = func() *process {
		p := newProcess(t)
		p.write(first, false)
		p.start()
		return p
	}
	a = again()
	b.write(file(1, peers), true)
	b.until("the peers are followed", func() bool { return b.live().Version == 2 })
	return a, b, addresses, again
}

func killAPeer(t *testing.T, kept bool) {
	t.Helper()
	a, b, at, again := twoPeers(t, kept)
	toA, toB := &clientOf{t: t, at: at[:1]}, &clientOf{t: t, at: at[1:]}
	both := &clientOf{t: t, at: at[:]}
	const path = "/eureka/apps/AUCTION"
	var ids []string
	for i := range 40 {
		c := []*clientOf{toA, toB}[i%2]
		ids = append(ids, fmt.Sprintf("i%02d", i))
		if status, _ := c.do("POST", path, leased(ids[i])); status != http.StatusNoContent {
			t.Fatalf("register: %d", status)
		}
	}
	agree := func(want string) func() bool {
		return func() bool { return toA.statuses() == want && toB.statuses() == want }
	}
	b.until("both have all", agree(strings.Join(ids, ":UP ")+":UP"))
	toA.do("PUT", path+"/i01/status?value=OUT_OF_SERVICE", "")
	toB.do("PUT", path+"/i02/status?value=OUT_OF_SERVICE", "")
	toB.do("DELETE", path+"/i03", "")
	toA.do("DELETE", path+"/i04", "")
	want := "i00:UP i01:OUT_OF_SERVICE i02:OUT_OF_SERVICE " + strings.Join(ids[5:], ":UP ") + ":UP"
	b.until("both have the changes", agree(want))
	toB.do("DELETE", path+"/i02/status?value=UP", "")
	want = strings.Replace(want, "i02:OUT_OF_SERVICE", "i02:UP", 1)
	b.until("both have the override off", agree(want))

	stop, ended := make(chan struct{}), make(chan struct{})
	var lost atomic.Int64
	go func() { // every client renews each second, at the first registry that answers
		defer close(ended)
		live := slices.Concat(ids[:3], ids[5:])
		tick := time.NewTicker(time.Second / time.Duration(len(live)))
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			if status, _ := both.do("PUT", path+"/"+live[n%len(live)]+"?status=UP&lastDirtyTimestamp=1000", ""); status != http.StatusOK {
				lost.Add(1)
				t.Errorf("the renewal of %s is answered %d", live[n%len(live)], status)
			}
		}
	}()
	f := &follower{client: toB}
	f.poll()
	follow := func(d time.Duration) {
		for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			f.poll()
		}
	}
	follow(2 * time.Second)
	a.signal(syscall.SIGKILL)
	follow(time.Second)
	toB.do("PUT", path+"/i05/status?value=OUT_OF_SERVICE", "")
	toB.do("POST", path, leased("new"))
	toB.do("PUT", path+"/new/metadata?color=a", "")
	follow(6 * time.Second) // longer than a lease
	want = strings.Replace(want, "i05:UP", "i05:OUT_OF_SERVICE", 1) + " new:UP"
	if got := toB.statuses(); got != want {
		t.Errorf("the other has %s, not %s", got, want)
	}
	a = again()
	a.until("the first has everything", agree(want))
	follow(7 * time.Second)
	close(stop)
	<-ended
	if !agree(want)() {
		t.Errorf("in the end there are %s and %s, not %s", toA.statuses(), toB.statuses(), want)
	}
	if f.fulls != 1 {
		t.Errorf("a client of deltas had to read everything %d times", f.fulls)
	}
	for _, p := range []*process{a, b} {
		if _, body := p.ask("GET", "/v1/registry"); !strings.Contains(string(body), `"evicted": 0`) {
			t.Errorf("somebody was evicted: %s", body)
		}
	}
}
