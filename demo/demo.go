// Package demo is the first example estate: a reverse-auction food platform.
// A customer says what they would like to eat and for how many, several
// restaurants bid, and the lowest bid wins.
//
// The flow: five services, each a process with its own SQLite database and JSON
// over HTTP, know nothing of the gateway in front of them and nothing of each
// other; all they tell is where they are, to a registry:
//
//	member      who the customers are, and their tokens
//	location    districts and the customers' addresses (two instances)
//	restaurant  restaurants and their menus (three)
//	auction     asks, bids, and which bid won (two)
//	reward      points and coupons
//
// [Open] opens one of them and [Serve] runs it as a process. [Estate] starts
// all as children of the calling program, starts again what dies, and ends them
// with it. [Config] writes the maru.yaml of the gateway in front, [Walk] goes
// through a whole auction as a customer would and checks every answer, [Load]
// keeps a gentle load, and [Chaos] breaks instances meanwhile, on a script.
package demo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"

	"github.com/maru-msa/maru/store"
)

// kind is one service of the estate.
type kind struct {
	schema string
	seed   func(ctx context.Context, db *sql.DB) error
	routes func(s *Service) map[string]action
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

// Names lists the services in the order a customer meets them.
func Names() []string { return []string{"member", "location", "restaurant", "auction", "reward"} }

// Options say which service to open.
type Options struct {
	// Name is one of [Names].
	Name string
	// Instance tells instances apart in the field X-Instance; empty means Name.
	Instance string
	// Dir holds the database, NAME.db, which instances share; empty keeps it in
	// memory.
	Dir string
	// Registry is the URL of the registry, such as
	// http://127.0.0.1:8761/eureka; [Serve] registers there. Empty is none.
	Registry string
	// Address is where [Serve] listens, host:port; when it is empty or taken, a
	// free port is used.
	Address string
	// Log is told of what goes wrong inside the service; nil discards.
	Log *slog.Logger
}

// Service is an open service: its handler and its database.
type Service struct {
	name     string
	instance string
	db       *sql.DB
	log      *slog.Logger
	mux      *http.ServeMux
}

// Open opens a service's database and seeds it when it is empty. The caller
// closes the Service.
func Open(ctx context.Context, o Options) (*Service, error) {
	k, ok := kinds()[o.Name]
	if !ok {
		return nil, fmt.Errorf("there is no service %q; there are %v", o.Name, Names())
	}
	s := &Service{name: o.Name, instance: o.Instance, log: o.Log, mux: http.NewServeMux()}
	if s.instance == "" {
		s.instance = o.Name
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	path := ":memory:"
	if o.Dir != "" {
		path = filepath.Join(o.Dir, o.Name+".db")
	}
	db, err := store.Open(ctx, store.Options{Path: path, Schema: k.schema})
	if err != nil {
		return nil, err
	}
	if err := k.seed(ctx, db); err != nil {
		return nil, errors.Join(fmt.Errorf("seed %s: %w", o.Name, err), db.Close())
	}
	s.db = db
	s.mux.HandleFunc("GET /health", s.handle(s.health))
	for pattern, a := range k.routes(s) {
		s.mux.HandleFunc(pattern, s.handle(a))
	}
	return s, nil
}

// Close closes the database.
func (s *Service) Close() error { return s.db.Close() }

// Health is what a service says of itself.
type Health struct {
	Service  string `json:"service"`
	Instance string `json:"instance"`
	Status   string `json:"status"`
}

// health answers whether the service can work: its database answers too.
func (s *Service) health(r *http.Request) (int, any, error) {
	if err := s.db.PingContext(r.Context()); err != nil {
		return 0, nil, err
	}
	return http.StatusOK, Health{Service: s.name, Instance: s.instance, Status: "ok"}, nil
}
