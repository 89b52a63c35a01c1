package demo

import (
	"context"
	"database/sql"
	"net/http"
)

const rewardSchema = `
CREATE TABLE IF NOT EXISTS points (
	member INTEGER PRIMARY KEY, balance INTEGER NOT NULL CHECK (balance >= 0)
) STRICT;
CREATE TABLE IF NOT EXISTS coupon (
	id INTEGER PRIMARY KEY, member INTEGER NOT NULL, name TEXT NOT NULL, percent INTEGER NOT NULL
) STRICT;`

// Reward is what a member has saved.
type Reward struct {
	Member  int64    `json:"member"`
	Points  int64    `json:"points"`
	Coupons []Coupon `json:"coupons"`
}

// Coupon is a discount.
type Coupon struct {
	ID      int64  `json:"id"`
	Name    string `json:"name"`
	Percent int64  `json:"percent"`
}

func seedRewards(ctx context.Context, db *sql.DB) error {
	var points, coupons [][]any
	for m := range 12 {
		points = append(points, []any{m + 1, 1000 + 250*m})
		if m%3 == 0 {
			coupons = append(coupons, []any{m + 1, "첫 주문 쿠폰", 10})
		}
	}
	if err := fill(ctx, db, "points", "INSERT INTO points (member, balance) VALUES (?, ?)", points); err != nil {
		return err
	}
	return fill(ctx, db, "coupon", "INSERT INTO coupon (member, name, percent) VALUES (?, ?, ?)", coupons)
}

func rewardRoutes(s *service) map[string]action {
	return map[string]action{
		"GET /members/{id}":         s.reward,
		"POST /members/{id}/points": s.addPoints,
	}
}

func (s *service) reward(r *http.Request) (int, any, error) {
	n, err := id(r)
	if err != nil {
		return 0, nil, err
	}
	out, err := s.rewardOf(r.Context(), n)
	return http.StatusOK, out, err
}

func (s *service) rewardOf(ctx context.Context, n int64) (Reward, error) {
	out := Reward{Member: n}
	err := s.db.QueryRowContext(ctx, "SELECT balance FROM points WHERE member = ?", n).Scan(&out.Points)
	if err != nil {
		return out, err
	}
	out.Coupons, err = list(ctx, s.db, func(rows *sql.Rows, c *Coupon) error {
		return rows.Scan(&c.ID, &c.Name, &c.Percent)
	}, "SELECT id, name, percent FROM coupon WHERE member = ? ORDER BY id", n)
	return out, err
}

// addPoints credits a member for an accepted auction.
func (s *service) addPoints(r *http.Request) (int, any, error) {
	n, err := id(r)
	if err != nil {
		return 0, nil, err
	}
	in, err := read[struct {
		Points int64 `json:"points"`
	}](r)
	if err != nil {
		return 0, nil, err
	}
	if in.Points < 1 || in.Points > 100_000 {
		return 0, nil, bad("points must be from 1 to 100000")
	}
	_, err = s.db.ExecContext(r.Context(), `INSERT INTO points (member, balance) VALUES (?1, ?2)
		ON CONFLICT (member) DO UPDATE SET balance = balance + ?2`, n, in.Points)
	if err != nil {
		return 0, nil, err
	}
	out, err := s.rewardOf(r.Context(), n)
	return http.StatusOK, out, err
}
