package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// This file is what maru is compared with: the aggregation as a team would write it
// in Go, with one client for all, connections kept, calls side by side, typed
// structs where fields are picked, raw messages where whole answers pass, and owners
// of a list asked for in one call.

type byHand struct {
	client *http.Client
	base   string
}

func serveByHand(ctx context.Context, address, services string) error {
	h := &byHand{base: "http://" + services, client: &http.Client{
		Timeout:   2 * time.Second,
		Transport: &http.Transport{MaxIdleConns: 1000, MaxIdleConnsPerHost: 1000, DisableCompression: true},
	}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /merge", h.merge)
	mux.HandleFunc("GET /list", h.list)
	mux.HandleFunc("GET /screen", h.screen)
	srv := &http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		<-ctx.Done()
		_ = srv.Close()
	}()
	if err := srv.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// get decodes one answer into v.
func (h *byHand) get(ctx context.Context, path string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.base+path, http.NoBody)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return fmt.Errorf("call: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %d", path, resp.StatusCode)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	return nil
}

// all makes calls side by side and gives the first error.
func all(calls ...func() error) error {
	errs := make([]error, len(calls))
	var wait sync.WaitGroup
	for i, call := range calls {
		wait.Go(func() { errs[i] = call() })
	}
	wait.Wait()
	return errors.Join(errs...)
}

func reply(w http.ResponseWriter, v any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}

func (h *byHand) merge(w http.ResponseWriter, r *http.Request) {
	var out struct {
		A json.RawMessage `json:"a"`
		B json.RawMessage `json:"b"`
		C json.RawMessage `json:"c"`
	}
	err := all(
		func() error { return h.get(r.Context(), "/kilo/1", &out.A) },
		func() error { return h.get(r.Context(), "/kilo/2", &out.B) },
		func() error { return h.get(r.Context(), "/kilo/3", &out.C) },
	)
	reply(w, out, err)
}

type owner struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
	Tier string `json:"tier"`
}

type auction struct {
	ID     string `json:"id"`
	Title  string `json:"title"`
	Budget struct {
		Amount json.Number `json:"amount"`
	} `json:"budget"`
	OwnerID int `json:"ownerId"`
}

type auctionRow struct {
	ID    string      `json:"id"`
	Title string      `json:"title"`
	Total json.Number `json:"total"`
	Owner *owner      `json:"owner"`
}

func (h *byHand) list(w http.ResponseWriter, r *http.Request) {
	rows, err := h.auctions(r.Context())
	reply(w, map[string]any{"auctions": rows}, err)
}

// auctions joins the auctions with their owners: distinct keys, one call.
func (h *byHand) auctions(ctx context.Context) ([]auctionRow, error) {
	var page struct {
		Items []auction `json:"items"`
	}
	if err := h.get(ctx, "/auctions?limit=20", &page); err != nil {
		return nil, err
	}
	var ids []string
	seen := make(map[int]bool, len(page.Items))
	for i := range page.Items {
		if id := page.Items[i].OwnerID; !seen[id] {
			seen[id] = true
			ids = append(ids, strconv.Itoa(id))
		}
	}
	var owners []owner
	if err := h.get(ctx, "/members?ids="+strings.Join(ids, ","), &owners); err != nil {
		return nil, err
	}
	byID := make(map[int]*owner, len(owners))
	for i := range owners {
		byID[owners[i].ID] = &owners[i]
	}
	rows := make([]auctionRow, len(page.Items))
	for i := range page.Items {
		a := &page.Items[i]
		rows[i] = auctionRow{a.ID, a.Title, a.Budget.Amount, byID[a.OwnerID]}
	}
	return rows, nil
}

type screen struct {
	Me       *owner       `json:"me"`
	Points   *points      `json:"points"`
	Auctions []auctionRow `json:"auctions"`
	Top      []restaurant `json:"top"`
	News     []campaign   `json:"news"`
}

type points struct {
	Balance json.Number `json:"balance"`
}

type restaurant struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
}

type campaign struct {
	ID    int    `json:"id"`
	Title string `json:"title"`
}

func (h *byHand) screen(w http.ResponseWriter, r *http.Request) {
	var out screen
	var top struct {
		Items []restaurant `json:"items"`
	}
	ctx := r.Context()
	err := all(
		func() error { return h.get(ctx, "/member/1", &out.Me) },
		func() error { return h.get(ctx, "/points/1", &out.Points) },
		func() (err error) { out.Auctions, err = h.auctions(ctx); return err },
		func() error { return h.get(ctx, "/top?n=10", &top) },
		func() error { return h.get(ctx, "/campaigns", &out.News) },
	)
	out.Top = top.Items
	reply(w, out, err)
}
