package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"time"
)

// Client calls the estate through the gateway, as a front end would.
type Client struct {
	// Base is the gateway's URL.
	Base string
	// HTTP does the calls.
	HTTP *http.Client
	// Seen is told of each call; nil means nobody listens. failed is nil when the
	// answer was the expected one.
	Seen func(service string, took time.Duration, failed error)
}

// call is one request, and the answer it should get.
type call struct {
	method string
	path   string
	body   any // written as JSON; nil means none
	header http.Header
	want   int // the expected status; 0 takes any
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// maxAnswer bounds what a call reads, in bytes.
const maxAnswer = 1 << 20

// unexpected is an answer with another status than the wanted one.
type unexpected struct {
	call call
	got  answer
}

func (e *unexpected) Error() string {
	body := strings.TrimSpace(string(e.got.body))
	if len(body) > 200 {
		body = body[:200] + "…"
	}
	return fmt.Sprintf("%s %s: %d instead of %d: %s", e.call.method, e.call.path, e.got.status, e.call.want, body)
}

// do makes a call. An answer that is not the expected one is an error.
func (c *Client) do(ctx context.Context, k call) (answer, error) {
	began := time.Now()
	a, err := c.exchange(ctx, k)
	if err == nil && k.want != 0 && a.status != k.want {
		err = &unexpected{k, a}
	}
	if c.Seen != nil && ctx.Err() == nil { // what we broke off ourselves is no failure
		c.Seen(serviceOf(k.path), time.Since(began), err)
	}
	return a, err
}

func (c *Client) exchange(ctx context.Context, k call) (answer, error) {
	var body io.Reader = http.NoBody
	if k.body != nil {
		b, err := json.Marshal(k.body)
		if err != nil {
			return answer{}, err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, k.method, c.Base+k.path, body)
	if err != nil {
		return answer{}, err
	}
	maps.Copy(req.Header, k.header)
	if k.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.HTTP.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	a := answer{status: res.StatusCode, header: res.Header}
	if a.body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer)); err != nil {
		return a, fmt.Errorf("%s %s: read the answer: %w", k.method, k.path, err)
	}
	return a, nil
}

// get calls with GET and reads the JSON answer.
func get[T any](ctx context.Context, c *Client, path string) (T, error) {
	return fetch[T](ctx, c, call{method: http.MethodGet, path: path, want: http.StatusOK})
}

// post sends body as JSON and reads the JSON answer.
func post[T any](ctx context.Context, c *Client, path string, body any, want int) (T, error) {
	return fetch[T](ctx, c, call{method: http.MethodPost, path: path, body: body, want: want})
}

func fetch[T any](ctx context.Context, c *Client, k call) (T, error) {
	var v T
	a, err := c.do(ctx, k)
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal(a.body, &v); err != nil {
		return v, errors.Join(fmt.Errorf("%s %s: the answer is not the expected JSON", k.method, k.path), err)
	}
	return v, nil
}

// serviceOf tells which service the gateway's route leads to; the screens lead to
// several.
func serviceOf(path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	first, _, _ = strings.Cut(first, "?")
	switch first {
	case "oauth":
		return "member"
	case "home", "auctions", "orders":
		return "views"
	}
	return first
}
