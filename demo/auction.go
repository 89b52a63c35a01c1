package demo

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"strings"
)

const auctionSchema = `
CREATE TABLE IF NOT EXISTS auction (
	id INTEGER PRIMARY KEY, member INTEGER NOT NULL, wish TEXT NOT NULL, people INTEGER NOT NULL, district INTEGER NOT NULL,
	opened TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now')),
	state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'accepted')),
	winner INTEGER
) STRICT;
CREATE TABLE IF NOT EXISTS bid (
	id INTEGER PRIMARY KEY, auction INTEGER NOT NULL REFERENCES auction(id), restaurant INTEGER NOT NULL,
	price INTEGER NOT NULL CHECK (price > 0), UNIQUE (auction, restaurant)
) STRICT;
CREATE INDEX IF NOT EXISTS auction_state ON auction (state, id);
CREATE INDEX IF NOT EXISTS auction_member ON auction (member, id);`

// The states of an auction.
const (
	stateOpen     = "open"
	stateAccepted = "accepted"
)

// Auction is what a member would like to eat, with the bids for it, the lowest
// first; of equal bids the earlier one stands first.
type Auction struct {
	ID       int64  `json:"id"`
	Member   int64  `json:"member"`
	Wish     string `json:"wish"`
	People   int64  `json:"people"`
	District int64  `json:"district"`
	Opened   string `json:"opened"` // RFC 3339, UTC
	State    string `json:"state"`  // open or accepted
	Bids     []Bid  `json:"bids"`
	Winner   *Bid   `json:"winner,omitempty"`
}

// Bid is a restaurant's offer for everything that was asked, in won.
type Bid struct {
	ID         int64 `json:"id"`
	Restaurant int64 `json:"restaurant"`
	Price      int64 `json:"price"`
}

// Summary is an auction in a list.
type Summary struct {
	ID       int64  `json:"id"`
	Member   int64  `json:"member"`
	Wish     string `json:"wish"`
	People   int64  `json:"people"`
	District int64  `json:"district"`
	State    string `json:"state"`
	Bids     int64  `json:"bids"`             // how many
	Lowest   *int64 `json:"lowest,omitempty"` // in won
}

// Offer is a bid with the auction that it is for.
type Offer struct {
	Bid

	Auction int64 `json:"auction"`
}

// Bounds of what is asked and offered.
const (
	maxWish   = 100        // characters
	maxPeople = 50         // more is catering
	minPrice  = 1_000      // won
	maxPrice  = 10_000_000 // won
	listed    = 20         // auctions in a list
)

func seedAuctions(ctx context.Context, db *sql.DB) error {
	return sow(ctx, db,
		seed{"auction", []string{"member", "wish", "people", "district"}, [][]any{
			{1, "생삼겹살에 김치찌개, 저녁 7시", 4, 1},
			{2, "아이 생일 피자 두 판과 샐러드", 6, 2},
			{3, "만두전골, 맵지 않게", 3, 3},
		}},
		seed{"bid", []string{"auction", "restaurant", "price"}, [][]any{
			{1, 1, 74000},
			{1, 2, 68000},
			{1, 7, 71000},
			{2, 5, 58000},
			{2, 6, 61500},
			{3, 8, 39000},
		}})
}

func auctionRoutes(s *Service) map[string]action {
	return map[string]action{
		"GET /auctions":              s.auctions,
		"POST /auctions":             s.ask,
		"GET /bids":                  s.bids,
		"GET /auctions/{id}":         s.auction,
		"POST /auctions/{id}/bids":   s.bid,
		"POST /auctions/{id}/accept": s.accept,
	}
}

// auctions lists the latest, or the latest of ?state= and ?member=; ?limit= of them.
func (s *Service) auctions(r *http.Request) (int, any, error) {
	state := r.URL.Query().Get("state")
	if state != "" {
		if err := oneOf("state", state, []string{stateOpen, stateAccepted}); err != nil {
			return 0, nil, err
		}
	}
	member, err := number(r, "member")
	if err != nil {
		return 0, nil, err
	}
	limit, err := number(r, "limit")
	if err != nil {
		return 0, nil, err
	}
	if limit == 0 {
		limit = listed
	}
	if err := between("limit", limit, 1, listed); err != nil {
		return 0, nil, err
	}
	var where []string
	if state != "" {
		where = append(where, "state = ?1")
	}
	if member > 0 {
		where = append(where, "member = ?2")
	}
	of := ""
	if len(where) > 0 {
		of = "WHERE " + strings.Join(where, " AND ")
	}
	out, err := list(r.Context(), s.db, func(row scanner, v *Summary) error {
		return row.Scan(&v.ID, &v.Member, &v.Wish, &v.People, &v.District, &v.State, &v.Bids, &v.Lowest)
	}, `SELECT id, member, wish, people, district, state, (SELECT count(*) FROM bid WHERE auction = a.id), (SELECT min(price) FROM bid WHERE auction = a.id)
		FROM auction a `+of+` ORDER BY id DESC LIMIT ?3`, state, member, limit)
	return http.StatusOK, out, err
}

// bids lists the bids of ?auctions=, the lowest of each first.
func (s *Service) bids(r *http.Request) (int, any, error) {
	wanted, err := someIDs(r, "auctions")
	if err != nil {
		return 0, nil, err
	}
	out, err := list(r.Context(), s.db, func(row scanner, o *Offer) error {
		return row.Scan(&o.ID, &o.Auction, &o.Restaurant, &o.Price)
	}, `SELECT id, auction, restaurant, price FROM bid
		WHERE auction IN (SELECT value FROM json_each(?)) ORDER BY auction, price, id`, wanted)
	return http.StatusOK, out, err
}

// ask opens an auction.
func (s *Service) ask(r *http.Request) (int, any, error) {
	in, err := read[struct {
		Member   int64  `json:"member"`
		Wish     string `json:"wish"`
		People   int64  `json:"people"`
		District int64  `json:"district"`
	}](r)
	if err != nil {
		return 0, nil, err
	}
	if err := firstOf(
		someID("member", in.Member),
		text("wish", in.Wish, maxWish),
		between("people", in.People, 1, maxPeople),
		someID("district", in.District),
	); err != nil {
		return 0, nil, err
	}
	var n int64
	err = s.db.QueryRowContext(r.Context(), "INSERT INTO auction (member, wish, people, district) VALUES (?, ?, ?, ?) RETURNING id",
		in.Member, strings.TrimSpace(in.Wish), in.People, in.District).Scan(&n)
	if err != nil {
		return 0, nil, err
	}
	out, err := load(r.Context(), s.db, n)
	return http.StatusCreated, out, err
}

func (s *Service) auction(r *http.Request) (int, any, error) {
	n, err := id(r)
	if err != nil {
		return 0, nil, err
	}
	a, err := load(r.Context(), s.db, n)
	return http.StatusOK, a, err
}

// load reads an auction with its bids.
func load(ctx context.Context, db querier, n int64) (Auction, error) {
	var a Auction
	var winner *int64
	err := db.QueryRowContext(ctx, "SELECT id, member, wish, people, district, opened, state, winner FROM auction WHERE id = ?", n).
		Scan(&a.ID, &a.Member, &a.Wish, &a.People, &a.District, &a.Opened, &a.State, &winner)
	if err != nil {
		return a, orMissing(err, "auction", n)
	}
	a.Bids, err = list(ctx, db, func(row scanner, b *Bid) error {
		return row.Scan(&b.ID, &b.Restaurant, &b.Price)
	}, "SELECT id, restaurant, price FROM bid WHERE auction = ? ORDER BY price, id", n)
	for i := range a.Bids {
		if winner != nil && a.Bids[i].ID == *winner {
			a.Winner = &a.Bids[i]
		}
	}
	return a, err
}

// bid records an offer. A restaurant has one bid in an auction and may lower it,
// never raise it; the same bid again changes nothing. A lowered bid is a new
// one: an equal bid that was there before it stays in front.
func (s *Service) bid(r *http.Request) (int, any, error) {
	ctx := r.Context()
	n, err := id(r)
	if err != nil {
		return 0, nil, err
	}
	in, err := read[struct {
		Restaurant int64 `json:"restaurant"`
		Price      int64 `json:"price"`
	}](r)
	if err != nil {
		return 0, nil, err
	}
	if err := firstOf(
		someID("restaurant", in.Restaurant),
		between("price", in.Price, minPrice, maxPrice),
	); err != nil {
		return 0, nil, err
	}
	status, out := http.StatusOK, Auction{}
	err = within(ctx, s.db, func(tx *sql.Tx) error {
		a, err := load(ctx, tx, n)
		if err != nil {
			return err
		}
		if a.State != stateOpen {
			return conflict("auction %d is closed: a bid of %d won was accepted", n, a.Winner.Price)
		}
		var last int64
		err = tx.QueryRowContext(ctx, "SELECT price FROM bid WHERE auction = ? AND restaurant = ?", n, in.Restaurant).Scan(&last)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			status = http.StatusCreated
		case err != nil:
			return err
		case in.Price > last:
			return conflict("your bid is %d won, and %d is not lower", last, in.Price)
		case in.Price == last:
			out = a
			return nil
		}
		if _, err := tx.ExecContext(ctx, "REPLACE INTO bid (auction, restaurant, price) VALUES (?, ?, ?)",
			n, in.Restaurant, in.Price); err != nil {
			return err
		}
		out, err = load(ctx, tx, n)
		return err
	})
	return status, out, err
}

// accept closes the auction: the lowest bid wins. An auction that is closed
// already is given back as it is, so that the request can be repeated.
func (s *Service) accept(r *http.Request) (int, any, error) {
	ctx := r.Context()
	n, err := id(r)
	if err != nil {
		return 0, nil, err
	}
	var out Auction
	err = within(ctx, s.db, func(tx *sql.Tx) error {
		a, err := load(ctx, tx, n)
		if err != nil {
			return err
		}
		if a.State == stateAccepted {
			out = a
			return nil
		}
		if len(a.Bids) == 0 {
			return conflict("auction %d has no bid yet", n)
		}
		if _, err := tx.ExecContext(ctx, "UPDATE auction SET state = ?, winner = ? WHERE id = ?",
			stateAccepted, a.Bids[0].ID, n); err != nil {
			return err
		}
		out, err = load(ctx, tx, n)
		return err
	})
	return http.StatusOK, out, err
}
