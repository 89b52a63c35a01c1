package registry

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// Registration keeps a lease for a process that can't do so itself: it
// registers, renews, registers again when the registry forgot it, and
// deregisters at the end. It works with any server of the protocol.
type Registration struct {
	// Registries are URLs of servers, such as http://127.0.0.1:8761/eureka; the
	// first that answers is used.
	Registries []string
	// Service is the name to register under, URL where the process is called.
	Service, URL string
	// ID is the id of the instance; "" means host:service:port.
	ID string
	// Meta is the metadata.
	Meta map[string]string
	// Check is a path that is asked before each renewal: an answer of 400 or
	// more, or none, makes the instance DOWN; "" means that it always is UP.
	Check string
	// Every is the time between two renewals, from 1s (default 10s); the lease
	// lasts three of them.
	Every time.Duration
	// Client makes the requests (default one with a time-out of 5 seconds).
	Client *http.Client
	// Log is for operators; nil discards.
	Log *slog.Logger
}

const (
	defaultRenewal = 10 * time.Second
	leaseRenewals  = 3
	askTimeout     = 5 * time.Second
)

// instance is what is registered; an error says which setting is wrong.
func (r *Registration) instance() (*Instance, error) {
	u, err := url.Parse(r.URL)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q is not http://host:port", r.URL)
	}
	fallback := "80"
	if u.Scheme == "https" {
		fallback = "443"
	}
	port, err := strconv.Atoi(cmp.Or(u.Port(), fallback))
	if err != nil {
		return nil, fmt.Errorf("%q is not http://host:port", r.URL)
	}
	host := u.Hostname()
	in := &Instance{
		ID: r.ID, App: strings.ToUpper(r.Service), HostName: host, IPAddr: host, SID: "na", CountryID: 1, Status: Up,
		Port: Port{port, u.Scheme == "http"}, SecurePort: Port{443, false},
		DataCenter: DataCenter{Class: plainCenter, Name: "MyOwn"}, VIP: r.Service, SecureVIP: r.Service,
		RenewalSecs: int(r.Every / time.Second), DurationSecs: leaseRenewals * int(r.Every/time.Second),
	}
	if u.Scheme == "https" {
		in.SecurePort = Port{port, true}
	}
	if in.ID == "" {
		name, err := os.Hostname()
		if err != nil || net.ParseIP(host) == nil || !net.ParseIP(host).IsLoopback() {
			name = host
		}
		in.ID = fmt.Sprintf("%s:%s:%d", name, strings.ToLower(r.Service), port)
	}
	for k, v := range r.Meta {
		in.Meta = append(in.Meta, Pair{k, v})
	}
	in.Meta = sortPairs(in.Meta)
	return in, in.check("")
}

// Run keeps the lease until ctx ends, and deregisters then. It returns an error
// at once when a setting is wrong; a registry that can't be reached is tried
// again at each renewal.
func (r *Registration) Run(ctx context.Context) error {
	c := *r
	c.Every = max(cmp.Or(c.Every, defaultRenewal), time.Second)
	if c.Client == nil {
		c.Client = &http.Client{Timeout: askTimeout}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	in, err := c.instance()
	if err != nil {
		return fmt.Errorf("register %s: %w", r.Service, err)
	}
	if len(c.Registries) == 0 {
		return fmt.Errorf("register %s: no registry is named", r.Service)
	}
	in.Dirty = time.Now().UnixMilli()
	registered := false
	for before := error(nil); ; {
		if status := c.look(ctx); status != in.Status {
			in.Status, in.Dirty, registered = status, time.Now().UnixMilli(), false // a new status is a new registration
			c.Log.Info("the status changed", "service", c.Service, "status", status)
		}
		registered, err = c.renew(ctx, in, registered)
		if ctx.Err() == nil && (err == nil) != (before == nil) {
			c.tell(in, err)
		}
		before = err
		if !pause(ctx, c.Every) {
			break
		}
	}
	end, stop := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
	defer stop()
	if code, err := c.ask(end, http.MethodDelete, "/"+url.PathEscape(in.ID), nil); err != nil || code >= 300 && code != http.StatusNotFound {
		return fmt.Errorf("deregister %s: status %d: %w", in.ID, code, cmp.Or(err, errors.New("refused")))
	}
	c.Log.Info("deregistered", "service", c.Service, "id", in.ID)
	return nil
}

// tell logs that the registry is lost, or there again.
func (r *Registration) tell(in *Instance, err error) {
	if err != nil {
		r.Log.Warn("the registry does not take the instance; it is tried again", "service", r.Service, "id", in.ID, "error", err)
		return
	}
	r.Log.Info("the registry is back", "service", r.Service, "id", in.ID)
}

// renew renews, or registers where that is needed; it gives whether the registry
// knows the instance now.
func (r *Registration) renew(ctx context.Context, in *Instance, registered bool) (bool, error) {
	if registered {
		code, err := r.ask(ctx, http.MethodPut, fmt.Sprintf("/%s?status=%s&lastDirtyTimestamp=%d", url.PathEscape(in.ID), in.Status, in.Dirty), nil)
		switch {
		case err != nil:
			return true, err
		case code == http.StatusOK:
			return true, nil
		case code != http.StatusNotFound:
			return true, fmt.Errorf("it answers a renewal with status %d", code)
		}
	}
	body := append(appendJSON([]byte(`{"instance":`), in, 0, style{}), '}')
	code, err := r.ask(ctx, http.MethodPost, "", body)
	if err != nil {
		return false, err
	}
	if code != http.StatusNoContent && code != http.StatusOK {
		return false, fmt.Errorf("it answers the registration with status %d", code)
	}
	r.Log.Info("registered", "service", r.Service, "id", in.ID, "status", in.Status)
	return true, nil
}

// ask asks the registries in order until one answers.
func (r *Registration) ask(ctx context.Context, method, path string, body []byte) (int, error) {
	var errs []error
	for _, base := range r.Registries {
		to := strings.TrimRight(base, "/") + "/apps/" + url.PathEscape(strings.ToUpper(r.Service)) + path
		req, err := http.NewRequestWithContext(ctx, method, to, bytes.NewReader(body))
		if err != nil {
			return 0, err
		}
		if body != nil {
			req.Header.Set("Content-Type", "application/json")
		}
		resp, err := r.Client.Do(req)
		if err != nil {
			if e, ok := errors.AsType[*url.Error](err); ok {
				err = e.Err // without the URL, which may hold a password
			}
			errs = append(errs, fmt.Errorf("%s: %w", redacted(base), err))
			continue
		}
		_ = resp.Body.Close()
		if resp.StatusCode < http.StatusInternalServerError {
			return resp.StatusCode, nil
		}
		errs = append(errs, fmt.Errorf("%s: status %d", redacted(base), resp.StatusCode))
	}
	return 0, errors.Join(errs...)
}

// look asks the process how it is.
func (r *Registration) look(ctx context.Context) Status {
	if r.Check == "" {
		return Up
	}
	ctx, stop := context.WithTimeout(ctx, min(r.Every, askTimeout))
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(r.URL, "/")+"/"+strings.TrimLeft(r.Check, "/"), http.NoBody)
	if err != nil {
		return Down
	}
	resp, err := r.Client.Do(req)
	if err != nil {
		return Down
	}
	_ = resp.Body.Close()
	if resp.StatusCode >= http.StatusBadRequest {
		return Down
	}
	return Up
}
