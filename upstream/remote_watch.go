package upstream

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Numbers of watching a maru.
const (
	// silence ends a watch on which nothing comes, not even the comment that maru
	// sends each 15 s.
	silence = 40 * time.Second
	// mostNamed is how many services a watch names; with more it takes all.
	mostNamed = 100
	// gather joins the services that begin to be followed at once.
	gather = 20 * time.Millisecond
)

// watchedInstance is an instance as a watch tells it.
type watchedInstance struct {
	Service  string `json:"service"`
	Action   string `json:"action"`
	Instance struct {
		ID     string            `json:"id"`
		URL    string            `json:"url"`
		Status string            `json:"status"`
		Zone   string            `json:"zone"`
		Meta   map[string]string `json:"metadata"`
	} `json:"instance"`
}

// remote is what counts of it.
func (w *watchedInstance) remote() remoteInstance {
	in := &w.Instance
	a := Addr{URL: in.URL, Zone: in.Zone, Weight: weightOf(in.Meta), Meta: in.Meta}
	_, err := parseTarget(a.URL)
	return remoteInstance{in.Status, a, err == nil}
}

// watch follows the server's stream of changes until it ends; streams is false
// when it has none. Without an error it ended because other services are followed
// now.
func (r *eurekaReader) watch(ctx context.Context) (streams bool, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	names := r.names()
	to := watchURL(r.server, names, r.byIP)
	if to == "" {
		return false, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, to, http.NoBody)
	if err != nil {
		return false, err
	}
	req.Header.Set("Accept", "text/event-stream")
	resp, err := r.streams.Do(req)
	if err != nil {
		return true, withoutURL(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		return false, nil
	}
	silent := time.AfterFunc(silence, stop)
	defer silent.Stop()
	ended := make(chan error, 1)
	go func() { ended <- r.stream(bufio.NewScanner(resp.Body), names, func() { silent.Reset(silence) }) }()
	for {
		select {
		case err := <-ended:
			return true, err
		case <-r.followed:
			if len(names) == 0 || !r.others(names) {
				continue
			}
			stop()
			<-ended //nolint:errcheck // we broke it off
			return true, nil
		}
	}
}

// watchURL is where a maru streams the changes of services; "" when the URL is
// not one that a maru has.
func watchURL(server string, names []string, byIP bool) string {
	u, err := url.Parse(server)
	if err != nil {
		return ""
	}
	path := strings.TrimRight(u.Path, "/")
	if i := strings.LastIndex(path, "/v"); i >= 0 && strings.Trim(path[i+2:], "0123456789") == "" {
		path = path[:i]
	}
	if path, _ = strings.CutSuffix(path, "/eureka"); path != "" {
		return ""
	}
	q := make(url.Values)
	for _, n := range names {
		q.Add("service", n)
	}
	if byIP {
		q.Set("prefer", "ip")
	}
	u.Path, u.RawPath, u.RawQuery = "/registry/v1/watch", "", q.Encode()
	return u.String()
}

// names are the services that are followed, in upper case; none means all.
func (r *eurekaReader) names() []string {
	// Services begin to be followed one after another at the start, and the stream
	// would begin anew with each.
	time.Sleep(gather) //nolint:forbidigo // as above
	select {
	case <-r.followed:
	default:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	set := make(map[string]bool, len(r.sources))
	for s := range r.sources {
		set[s.name] = true
	}
	if len(set) > mostNamed {
		return nil
	}
	return slices.Sorted(maps.Keys(set))
}

// others tells whether services are followed that are not among the named.
func (r *eurekaReader) others(names []string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s := range r.sources {
		if !slices.Contains(names, s.name) {
			return true
		}
	}
	return false
}

// stream reads server-sent events until they end.
func (r *eurekaReader) stream(in *bufio.Scanner, names []string, alive func()) error {
	in.Buffer(make([]byte, 0, 64<<10), maxAnswer)
	kind, first := "", true
	for in.Scan() {
		alive()
		line := in.Bytes()
		switch {
		case bytes.HasPrefix(line, []byte("event: ")):
			kind = string(line[len("event: "):])
		case bytes.HasPrefix(line, []byte("data: ")):
			if err := r.event(kind, line[len("data: "):], names, first); err != nil {
				return err
			}
			first = false
		case bytes.HasPrefix(line, []byte(":")) && !first:
			r.mu.Lock()
			r.told() // nothing changed, and we know it
			r.mu.Unlock()
		}
	}
	if err := in.Err(); err != nil {
		return fmt.Errorf("the watch broke: %w", err)
	}
	return errors.New("the watch ended")
}

// event takes one event in.
func (r *eurekaReader) event(kind string, data []byte, names []string, first bool) error {
	switch {
	case kind == "all":
		var list []watchedInstance
		if err := json.Unmarshal(data, &list); err != nil {
			return fmt.Errorf("the watch can't be read: %w", err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.keepOnly(names, func(keep map[string]map[string]bool) {
			for i := range list {
				w := &list[i]
				r.put(w.Service, w.Instance.ID, w.remote())
				note(keep, w.Service, w.Instance.ID)
			}
		})
		r.told()
	case kind == "change" && !first:
		var w watchedInstance
		if err := json.Unmarshal(data, &w); err != nil {
			return fmt.Errorf("the watch can't be read: %w", err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if w.Action == "DELETED" {
			r.drop(w.Service, w.Instance.ID)
		} else {
			r.put(w.Service, w.Instance.ID, w.remote())
		}
		r.told()
	default:
		return fmt.Errorf("the watch begins with %q", kind)
	}
	return nil
}
