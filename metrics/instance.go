package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Times of an instance's stream.
const (
	silent     = 10 * time.Second // then it no longer counts
	deaf       = 30 * time.Second // then it is asked anew
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
)

// instance is one foreign process whose stream is read.
type instance struct {
	url    string
	kinds  *kinds
	client *http.Client
	log    *slog.Logger
	// self is the mark of this process's own streams, which are not read twice.
	self string

	mu      sync.Mutex
	objects map[identity]heard
	heard   time.Time // the last line, whatever it was
	bad     uint64    // lines that could not be read
	fault   string    // why it is not connected, "" while it is
}

// heard is an object and when it came.
type heard struct {
	object *object
	at     time.Time
}

// errSelf says that an instance is this very process.
var errSelf = errors.New("this is our own stream")

// run reads the stream until ctx ends, and connects again when it broke: after a
// second, doubled up to half a minute while nothing comes.
func (i *instance) run(ctx context.Context) {
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		began := time.Now()
		err := i.read(ctx)
		if ctx.Err() != nil || errors.Is(err, errSelf) {
			return
		}
		if heard := i.failed(err); !heard.Before(began) {
			wait = firstRetry
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// failed notes why the stream is not read, and gives when it was last heard.
func (i *instance) failed(err error) time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	if text := err.Error(); text != i.fault {
		i.fault = text
		i.log.Warn("a hystrix.stream can't be read", "url", i.url, "error", text)
	}
	return i.heard
}

// read reads the stream once.
func (i *instance) read(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	watch := time.AfterFunc(deaf, stop)
	defer watch.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, i.url, http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "text/event-stream")
	res, err := i.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %d", res.StatusCode)
	}
	if res.Header.Get(markField) == i.self {
		return errSelf
	}
	bad, err := readObjects(res.Body, i.kinds, func() {
		watch.Reset(deaf)
		i.mu.Lock()
		i.heard, i.fault = time.Now(), ""
		i.mu.Unlock()
	}, i.take)
	i.mu.Lock()
	i.bad += uint64(bad)
	i.mu.Unlock()
	return fmt.Errorf("the stream ended: %w", err)
}

// take keeps an object in the place of the one before.
func (i *instance) take(o *object) {
	i.mu.Lock()
	defer i.mu.Unlock()
	id := identity{o.kind, o.name}
	if _, known := i.objects[id]; known || len(i.objects) < mostObjects {
		i.objects[id] = heard{o, time.Now()}
	}
}

// last gives the objects that count at now, and forgets the others.
func (i *instance) last(now time.Time) []*object {
	i.mu.Lock()
	defer i.mu.Unlock()
	list := make([]*object, 0, len(i.objects))
	for id, h := range i.objects {
		if now.Sub(h.at) >= silent {
			delete(i.objects, id)
			continue
		}
		list = append(list, h.object)
	}
	return list
}

// connected tells whether the stream was heard lately.
func (i *instance) connected(now time.Time) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return !i.heard.IsZero() && now.Sub(i.heard) < silent
}

// streamClient makes the client that reads foreign streams. It follows no
// redirect and uses no proxy: it goes where the registration says, or nowhere.
func streamClient() *http.Client {
	dialer := net.Dialer{Timeout: 2 * time.Second}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSHandshakeTimeout: 3 * time.Second, ResponseHeaderTimeout: silent,
			DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 32 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
