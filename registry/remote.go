package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Remote is a registry elsewhere as its clients see it: a maru or any server of
// the protocol.
type Remote struct {
	// URL such as http://127.0.0.1:8761/eureka; it may hold user and password.
	URL string
	// Client makes the requests (default one with a time-out of 10 seconds).
	Client *http.Client
}

const remoteTimeout = 10 * time.Second

// ask makes one request; the caller closes the body. Errors do not tell the URL's
// password.
func (r Remote) ask(ctx context.Context, method, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(r.URL, "/")+path, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("%s is not the URL of a registry", redacted(r.URL))
	}
	req.Header.Set("Accept", "application/json")
	client := r.Client
	if client == nil {
		client = &http.Client{Timeout: remoteTimeout}
	}
	resp, err := client.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		return nil, fmt.Errorf("registry %s: %w", redacted(r.URL), err)
	}
	return resp, nil
}

// list reads the full listing; maru tells what kind of server gave it.
func (r Remote) list(ctx context.Context) (list []posted, maru bool, err error) {
	resp, err := r.ask(ctx, http.MethodGet, "/apps/")
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, false, fmt.Errorf("registry %s: status %d", redacted(r.URL), resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, listingBytes))
	if err == nil {
		list, err = decodeListing(body)
	}
	if err != nil {
		return nil, false, fmt.Errorf("registry %s: %w", redacted(r.URL), err)
	}
	return list, strings.HasPrefix(resp.Header.Get("Server"), "maru"), nil
}

// Instances reads everything that is registered, by application and id.
func (r Remote) Instances(ctx context.Context) ([]*Instance, error) {
	list, _, err := r.list(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]*Instance, len(list))
	for i := range list {
		out[i] = list[i].instance(0)
		out[i].clamp()
	}
	slices.SortFunc(out, func(a, b *Instance) int { return cmp.Or(cmp.Compare(a.App, b.App), cmp.Compare(a.ID, b.ID)) })
	return out, nil
}

// SetStatus overrides the status of an instance. The error is ErrUnknown when it
// is not registered there.
func (r Remote) SetStatus(ctx context.Context, app, id string, status Status) error {
	return r.change(ctx, http.MethodPut, app, id, status)
}

// ClearStatus removes an override; the instance shows status until it reports
// another. The error is ErrUnknown when it is not registered there.
func (r Remote) ClearStatus(ctx context.Context, app, id string, status Status) error {
	return r.change(ctx, http.MethodDelete, app, id, status)
}

func (r Remote) change(ctx context.Context, method, app, id string, status Status) error {
	path := "/apps/" + url.PathEscape(strings.ToUpper(app)) + "/" + url.PathEscape(id) + "/status?value=" + status.String()
	resp, err := r.ask(ctx, method, path)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusNotFound:
		return fmt.Errorf("registry %s: %s/%s: %w", redacted(r.URL), strings.ToUpper(app), id, ErrUnknown)
	}
	return fmt.Errorf("registry %s: status %d", redacted(r.URL), resp.StatusCode)
}

// Difference is one thing that two registries do not have in common.
type Difference struct {
	App string `json:"app"`
	ID  string `json:"id"`
	// Field is what differs; "" means that one of them lacks the instance.
	Field string `json:"field,omitempty"`
	// First and Second are what they have; of a whole instance its status, "" when
	// it is not there.
	First  string `json:"first"`
	Second string `json:"second"`
}

// Differences compares two listings instance by instance, in what clients act on.
// What each server stamps for itself (registration, renewal, last update) does not
// count.
func Differences(first, second []*Instance) []Difference {
	var out []Difference
	here, there := byKey(first), byKey(second)
	keys := slices.Collect(maps.Keys(here))
	for k := range there {
		if here[k] == nil {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b key) int { return cmp.Or(cmp.Compare(a.app, b.app), cmp.Compare(a.id, b.id)) })
	for _, k := range keys {
		a, b := here[k], there[k]
		switch {
		case b == nil:
			out = append(out, Difference{App: k.app, ID: k.id, First: a.Status.String()})
		case a == nil:
			out = append(out, Difference{App: k.app, ID: k.id, Second: b.Status.String()})
		default:
			for i, f := range a.told() {
				if other := b.told()[i].Value; f.Value != other {
					out = append(out, Difference{k.app, k.id, f.Key, f.Value, other})
				}
			}
		}
	}
	return out
}

func byKey(list []*Instance) map[key]*Instance {
	m := make(map[key]*Instance, len(list))
	for _, in := range list {
		m[in.key()] = in
	}
	return m
}

// told is what an instance tells of itself, by the names on the wire.
func (in *Instance) told() []Pair {
	port := func(p Port) string {
		if !p.Enabled {
			return "off"
		}
		return strconv.Itoa(p.Number)
	}
	pairs := func(list []Pair) string {
		var out []string
		for _, p := range list {
			out = append(out, p.Key+"="+p.Value)
		}
		return strings.Join(out, " ")
	}
	return []Pair{
		{"status", in.Status.String()},
		{"overriddenStatus", in.Overridden.String()},
		{"hostName", in.HostName},
		{"ipAddr", in.IPAddr},
		{"port", port(in.Port)},
		{"securePort", port(in.SecurePort)},
		{"vipAddress", in.VIP},
		{"secureVipAddress", in.SecureVIP},
		{"homePageUrl", in.HomePage},
		{"statusPageUrl", in.StatusPage},
		{"healthCheckUrl", in.HealthCheck},
		{"secureHealthCheckUrl", in.SecureHealthCheck},
		{"dataCenterInfo", in.DataCenter.Name + " " + pairs(in.DataCenter.Meta)},
		{"metadata", pairs(in.Meta)},
		{"renewalIntervalInSecs", strconv.Itoa(in.RenewalSecs)},
		{"durationInSecs", strconv.Itoa(in.DurationSecs)},
		{"lastDirtyTimestamp", strconv.FormatInt(in.Dirty, 10)},
	}
}

// CallURL is where clients call the instance; "" when they can't.
func (in *Instance) CallURL() string {
	if !in.callable(false) {
		return ""
	}
	return in.url(false)
}
