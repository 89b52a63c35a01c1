package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// load is the clients of the registry.
type load struct {
	base                string
	instances, services int
	client              http.Client
	renewed             int // where the renewals are
}

// clients is how many connections are used side by side.
const clients = 16

// registration is what the original's Java client posts.
const registration = `{"instance":{"instanceId":"%[1]s","hostName":"%[2]s","app":"%[3]s","ipAddr":"%[2]s","sid":"na","status":"UP","overriddenstatus":"UNKNOWN",` +
	`"port":{"$":%[4]s,"@enabled":"true"},"securePort":{"$":443,"@enabled":"false"},"countryId":1,` +
	`"dataCenterInfo":{"@class":"com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo","name":"MyOwn"},` +
	`"leaseInfo":{"renewalIntervalInSecs":30,"durationInSecs":90,"registrationTimestamp":0,"lastRenewalTimestamp":0,"evictionTimestamp":0,"serviceUpTimestamp":0},` +
	`"metadata":{"management.port":"9302","zone":"z1","version":"1.4.2"},"homePageUrl":"http://%[2]s:%[4]s/","statusPageUrl":"http://%[2]s:9302/actuator/info",` +
	`"healthCheckUrl":"http://%[2]s:9302/actuator/health","vipAddress":"%[3]s","secureVipAddress":"%[3]s","isCoordinatingDiscoveryServer":"false",` +
	`"lastUpdatedTimestamp":"1790000000000","lastDirtyTimestamp":"1790000000412"}}`

// place is the application and the id of the i-th instance.
func (l *load) place(i int) (app, id string) {
	app = fmt.Sprintf("SERVICE-%d", i%l.services)
	return app, fmt.Sprintf("10.4.%d.%d:%s:9301", i/250%250, i%250, strings.ToLower(app)) + fmt.Sprint("-", i)
}

// do makes one request and gives the size of the answer as it came.
func (l *load) do(ctx context.Context, method, path, body, accept string, want int) (size int64, err error) {
	req, err := http.NewRequestWithContext(ctx, method, l.base+path, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", accept)
	req.Header.Set("Accept-Encoding", "gzip") // and not unpacked
	resp, err := l.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	size, err = io.Copy(io.Discard, resp.Body)
	if err == nil && resp.StatusCode != want {
		err = fmt.Errorf("%s %s: status %d, not %d", method, path, resp.StatusCode, want)
	}
	return size, err
}

// registerAll registers every instance.
func (l *load) registerAll(ctx context.Context) error {
	l.client.Transport = &http.Transport{MaxIdleConnsPerHost: 4 * clients}
	var wait sync.WaitGroup
	failed := make(chan error, clients)
	for c := range clients {
		wait.Go(func() {
			for i := c; i < l.instances; i += clients {
				app, id := l.place(i)
				host, _, _ := strings.Cut(id, ":")
				_, err := l.do(ctx, http.MethodPost, "/apps/"+app, fmt.Sprintf(registration, id, host, app, "9301"), "application/json", http.StatusNoContent)
				if err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wait.Wait()
	close(failed)
	return <-failed
}

// during renews and polls at rates per second for a time; and, unless it is nil,
// lets act run meanwhile, which may end it earlier.
func (l *load) during(ctx context.Context, d time.Duration, renewals, polls float64, act func(context.Context) error) error {
	ctx, stop := context.WithTimeout(ctx, d)
	defer stop()
	failed := make(chan error, 3)
	var wait sync.WaitGroup
	begin := func(f func() error) {
		wait.Go(func() {
			if err := f(); err != nil && ctx.Err() == nil {
				failed <- err
				stop()
			}
		})
	}
	begin(func() error {
		return l.paced(ctx, renewals, func() error {
			app, id := l.place(l.renewed % l.instances)
			l.renewed++
			_, err := l.do(ctx, http.MethodPut, "/apps/"+app+"/"+id+"?status=UP&lastDirtyTimestamp=1790000000412", "", "application/json", http.StatusOK)
			return err
		})
	})
	begin(func() error {
		return l.paced(ctx, polls, func() error {
			_, err := l.do(ctx, http.MethodGet, "/apps/delta", "", "application/json", http.StatusOK)
			return err
		})
	})
	if act != nil {
		begin(func() error { defer stop(); return act(ctx) })
	}
	wait.Wait()
	close(failed)
	return <-failed
}

// paced calls f so many times a second until ctx ends; when it falls behind it
// makes up for that.
func (l *load) paced(ctx context.Context, rate float64, f func() error) error {
	if rate == 0 {
		return nil
	}
	begun := time.Now()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for done := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for ; float64(done) < rate*time.Since(begun).Seconds(); done++ {
			if err := f(); err != nil {
				return err
			}
		}
	}
}

// listing reads the full listing twice: the first is built, the second is there.
func (l *load) listing(ctx context.Context, format string) (first, second time.Duration, size int64, err error) {
	for _, took := range []*time.Duration{&first, &second} {
		begun := time.Now()
		if size, err = l.do(ctx, http.MethodGet, "/apps/", "", format, http.StatusOK); err != nil {
			return 0, 0, 0, err
		}
		*took = time.Since(begun).Round(100 * time.Microsecond)
	}
	return first, second, size, nil
}
