package demo

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
)

const auctionSchema = `
CREATE TABLE IF NOT EXISTS auction (
	id INTEGER PRIMARY KEY, member INTEGER NOT NULL, wish TEXT NOT NULL, people INTEGER NOT NULL,
	district INTEGER NOT NULL, state TEXT NOT NULL DEFAULT 'open', accepted INTEGER
) STRICT;
CREATE TABLE IF NOT EXISTS bid (
	id INTEGER PRIMARY KEY, auction INTEGER NOT NULL REFERENCES auction(id), restaurant INTEGER NOT NULL,
	price INTEGER NOT NULL, UNIQUE (auction, restaurant)
) STRICT;`

// Auction is an ask with its bids, the lowest first.
type Auction struct {
	ID       int64  `json:"id"`
	Member   int64  `json:"member"`
	Wish     string `json:"wish"`
	People   int64  `json:"people"`
	District int64  `json:"district"`
	State    string `json:"state"` // open or accepted
	Accepted *int64 `json:"accepted,omitempty"`
	Bids     []Bid  `json:"bids"`
}

// Bid is a restaurant's offer in won.
type Bid struct {
	ID         int64 `json:"id"`
	Restaurant int64 `json:"restaurant"`
	Price      int64 `json:"price"`
}

func seedAuctions(ctx context.Context, db *sql.DB) error {
	err := fill(ctx, db, "auction", "INSERT INTO auction (member, wish, people, district) VALUES (?, ?, ?, ?)", [][]any{
		{1, "삼겹살 4인분", 4, 1},
		{2, "생일 피자", 6, 2},
		{3, "만두 한 판", 2, 3},
	})
	if err != nil {
		return err
	}
	return fill(ctx, db, "bid", "INSERT INTO bid (auction, restaurant, price) VALUES (?, ?, ?)", [][]any{
		{1, 1, 62000}, {1, 2, 58000}, {2, 4, 88000}, {2, 5, 91000}, {3, 6, 17000},
	})
}

func auctionRoutes(s *service) map[string]action {
	return map[string]action{
		"GET /auctions":              s.auctions,
		"POST /auctions":             s.ask,
		"GET /auctions/{id}":         s.auction,
		"POST /auctions/{id}/bids":   s.bid,
		"POST /auctions/{id}/accept": s.accept,
	}
}

func (s *service) auctions(r *http.Request) (int, any, error) {
	out, err := list(r.Context(), s.db, func(rows *sql.Rows, a *Auction) error {
		a.Bids = []Bid{}
		return rows.Scan(&a.ID, &a.Member, &a.Wish, &a.People, &a.District, &a.State)
	}, "SELECT id, member, wish, people, district, state FROM auction ORDER BY id DESC LIMIT 20")
	return http.StatusOK, out, err
}

// ask opens an auction.
func (s *service) ask(r *http.Request) (int, any, error) {
	a, err := read[Auction](r)
	if err != nil {
		return 0, nil, err
	}
	if a.Member < 1 || a.Wish == "" || a.People < 1 {
		return 0, nil, bad("member, wish and people are needed")
	}
	res, err := s.db.ExecContext(r.Context(), "INSERT INTO auction (member, wish, people, district) VALUES (?, ?, ?, ?)",
		a.Member, a.Wish, a.People, a.District)
	if err != nil {
		return 0, nil, err
	}
	n, err := res.LastInsertId()
	if err != nil {
		return 0, nil, err
	}
	out, err := s.load(r.Context(), n)
	return http.StatusCreated, out, err
}

func (s *service) auction(r *http.Request) (int, any, error) {
	n, err := id(r)
	if err != nil {
		return 0, nil, err
	}
	a, err := s.load(r.Context(), n)
	return http.StatusOK, a, err
}

func (s *service) load(ctx context.Context, n int64) (Auction, error) {
	var a Auction
	err := s.db.QueryRowContext(ctx, "SELECT id, member, wish, people, district, state, accepted FROM auction WHERE id = ?", n).
		Scan(&a.ID, &a.Member, &a.Wish, &a.People, &a.District, &a.State, &a.Accepted)
	if err != nil {
		return a, err
	}
	a.Bids, err = list(ctx, s.db, func(rows *sql.Rows, b *Bid) error {
		return rows.Scan(&b.ID, &b.Restaurant, &b.Price)
	}, "SELECT id, restaurant, price FROM bid WHERE auction = ? ORDER BY price, id", n)
	return a, err
}

// bid records an offer; a restaurant's later offer must be lower.
func (s *service) bid(r *http.Request) (int, any, error) {
	n, err := id(r)
	if err != nil {
		return 0, nil, err
	}
	b, err := read[Bid](r)
	if err != nil {
		return 0, nil, err
	}
	if b.Restaurant < 1 || b.Price < 1 {
		return 0, nil, bad("restaurant and price are needed")
	}
	res, err := s.db.ExecContext(r.Context(), `INSERT INTO bid (auction, restaurant, price)
		SELECT id, ?, ? FROM auction WHERE id = ? AND state = 'open'
		ON CONFLICT (auction, restaurant) DO UPDATE SET price = excluded.price WHERE excluded.price < price`, b.Restaurant, b.Price, n)
	if err != nil {
		return 0, nil, err
	}
	if changed, err := res.RowsAffected(); err != nil || changed == 0 {
		return 0, nil, errors.Join(err, &fault{http.StatusConflict, "the auction is closed, or your bid is not lower than your last"})
	}
	a, err := s.load(r.Context(), n)
	return http.StatusCreated, a, err
}

// accept closes the auction with the lowest bid.
func (s *service) accept(r *http.Request) (int, any, error) {
	n, err := id(r)
	if err != nil {
		return 0, nil, err
	}
	res, err := s.db.ExecContext(r.Context(), `UPDATE auction SET state = 'accepted',
		accepted = (SELECT id FROM bid WHERE auction = ?1 ORDER BY price, id LIMIT 1)
		WHERE id = ?1 AND state = 'open' AND EXISTS (SELECT 1 FROM bid WHERE auction = ?1)`, n)
	if err != nil {
		return 0, nil, err
	}
	if changed, err := res.RowsAffected(); err != nil || changed == 0 {
		return 0, nil, errors.Join(err, &fault{http.StatusConflict, "the auction is closed or has no bid"})
	}
	a, err := s.load(r.Context(), n)
	return http.StatusOK, a, err
}
