// Package demo is the first example estate: a reverse-auction food platform.
// A customer says what they would like to eat and for how many, several
// restaurants bid, and the lowest bid wins.
//
// The flow: five services, each a process with its own SQLite database and JSON
// over HTTP, know nothing of the gateway in front of them and nothing of each
// other:
//
//	member      who the customers are, and their tokens
//	location    districts and the customers' addresses
//	restaurant  restaurants and their menus (two instances)
//	auction     asks, bids, and which bid was accepted
//	reward      points and coupons
//
// [Service] serves one of them, [Config] is the gateway in front, [Walk] goes
// through a whole auction as a customer would, and [Load] keeps a gentle load.
package demo

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/maru-msa/maru/store"
)

// kind is one service of the estate.
type kind struct {
	schema string
	seed   func(ctx context.Context, db *sql.DB) error
	routes func(s *service) map[string]action
}

// kinds is the table of services.
func kinds() map[string]kind {
	return map[string]kind{
		"member":     {memberSchema, seedMembers, memberRoutes},
		"location":   {locationSchema, seedLocations, locationRoutes},
		"restaurant": {restaurantSchema, seedRestaurants, restaurantRoutes},
		"auction":    {auctionSchema, seedAuctions, auctionRoutes},
		"reward":     {rewardSchema, seedRewards, rewardRoutes},
	}
}

// Names lists the services.
func Names() []string { return []string{"member", "location", "restaurant", "auction", "reward"} }

// service is a running service.
type service struct {
	name     string
	instance string
	db       *sql.DB
}

// action answers one request with a status and something to write as JSON.
type action func(r *http.Request) (int, any, error)

// Service opens a service's database under dir and gives its handler. instance
// tells instances apart in the field X-Instance. The database is seeded once.
func Service(ctx context.Context, name, instance, dir string) (http.Handler, func() error, error) {
	k, ok := kinds()[name]
	if !ok {
		return nil, nil, fmt.Errorf("there is no service %q; there are %v", name, Names())
	}
	path := ":memory:"
	if dir != "" {
		path = filepath.Join(dir, name+".db")
	}
	db, err := store.Open(ctx, store.Options{Path: path, Schema: k.schema})
	if err != nil {
		return nil, nil, err
	}
	if err := k.seed(ctx, db); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("seed %s: %w", name, err), db.Close())
	}
	s := &service{name: name, instance: instance, db: db}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("ok\n"))
	})
	for pattern, a := range k.routes(s) {
		mux.HandleFunc(pattern, s.handle(a))
	}
	return mux, db.Close, nil
}

// maxBody bounds what a service reads of a request.
const maxBody = 64 << 10

// handle writes what an action gives.
func (s *service) handle(a action) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		status, v, err := a(r)
		var f *fault
		switch {
		case errors.As(err, &f):
			status, v = f.status, map[string]string{"error": f.text}
		case errors.Is(err, sql.ErrNoRows):
			status, v = http.StatusNotFound, map[string]string{"error": "not found"}
		case err != nil:
			status, v = http.StatusInternalServerError, map[string]string{"error": "internal error"}
		}
		body, err := json.Marshal(v)
		if err != nil {
			http.Error(w, "internal error", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.Header().Set("X-Service", s.name)
		w.Header().Set("X-Instance", s.instance)
		w.WriteHeader(status)
		_, _ = w.Write(append(body, '\n'))
	}
}

// fault is an error that the caller made.
type fault struct {
	status int
	text   string
}

func (f *fault) Error() string { return f.text }

func bad(format string, args ...any) error {
	return &fault{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// read decodes the request's JSON body; an unknown key is an error.
func read[T any](r *http.Request) (T, error) {
	var v T
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		return v, bad("body: %v", err)
	}
	return v, nil
}

// id reads the path value {id}.
func id(r *http.Request) (int64, error) {
	n, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil || n < 1 {
		return 0, bad("%q is not an id", r.PathValue("id"))
	}
	return n, nil
}

// list runs a query and scans every row.
func list[T any](ctx context.Context, db *sql.DB, scan func(rows *sql.Rows, v *T) error, query string, args ...any) ([]T, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	out := []T{}
	for rows.Next() {
		var v T
		if err := scan(rows, &v); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// fill inserts rows once: into an empty table, all or nothing.
func fill(ctx context.Context, db *sql.DB, table, insert string, rows [][]any) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if !slices.Contains(tables(), table) {
		return fmt.Errorf("unknown table %s", table)
	}
	var n int
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM "+table).Scan(&n); err != nil || n > 0 {
		return err
	}
	for _, row := range rows {
		if _, err := tx.ExecContext(ctx, insert, row...); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func tables() []string {
	return []string{"member", "district", "address", "restaurant", "dish", "auction", "bid", "points", "coupon"}
}
