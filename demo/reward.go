package demo

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
)

const rewardSchema = `
CREATE TABLE IF NOT EXISTS account (
	member INTEGER PRIMARY KEY, points INTEGER NOT NULL CHECK (points >= 0)
) STRICT;
CREATE TABLE IF NOT EXISTS entry (
	member INTEGER NOT NULL, reason TEXT NOT NULL, points INTEGER NOT NULL, PRIMARY KEY (member, reason)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS coupon (
	id INTEGER PRIMARY KEY, member INTEGER NOT NULL, reason TEXT NOT NULL, name TEXT NOT NULL, percent INTEGER NOT NULL,
	used INTEGER NOT NULL DEFAULT 0, UNIQUE (member, reason)
) STRICT;
CREATE INDEX IF NOT EXISTS coupon_unused ON coupon (member) WHERE used = 0;`

// Reward is what a member has saved: points, and coupons that are not used yet.
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
	Used    bool   `json:"used"`
}

func seedRewards(ctx context.Context, db *sql.DB) error {
	accounts := seed{table: "account", columns: []string{"member", "points"}}
	entries := seed{table: "entry", columns: []string{"member", "reason", "points"}}
	coupons := seed{table: "coupon", columns: []string{"member", "reason", "name", "percent"}}
	for i := range 12 {
		member, points := i+1, 1000+250*i
		accounts.rows = append(accounts.rows, []any{member, points})
		entries.rows = append(entries.rows, []any{member, "welcome", points})
		if i%3 == 0 {
			coupons.rows = append(coupons.rows, []any{member, "welcome", "첫 주문 10% 할인", 10})
		}
	}
	return sow(ctx, db, accounts, entries, coupons)
}

func rewardRoutes(s *Service) map[string]action {
	return map[string]action{
		"GET /members/{id}":          s.reward,
		"POST /members/{id}/points":  s.addPoints,
		"POST /members/{id}/coupons": s.addCoupon,
		"POST /coupons/{id}/use":     s.useCoupon,
	}
}

// reward tells what a member has. Who the members are is not known here: one
// that never got anything has nothing.
func (s *Service) reward(r *http.Request) (int, any, error) {
	n, err := id(r)
	if err != nil {
		return 0, nil, err
	}
	out, err := rewardOf(r.Context(), s.db, n)
	return http.StatusOK, out, err
}

func rewardOf(ctx context.Context, db querier, member int64) (Reward, error) {
	out := Reward{Member: member}
	err := db.QueryRowContext(ctx, "SELECT points FROM account WHERE member = ?", member).Scan(&out.Points)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return out, err
	}
	out.Coupons, err = list(ctx, db, scanCoupon,
		"SELECT id, name, percent, used FROM coupon WHERE member = ? AND used = 0 ORDER BY id LIMIT 50", member)
	return out, err
}

func scanCoupon(row scanner, c *Coupon) error {
	return row.Scan(&c.ID, &c.Name, &c.Percent, &c.Used)
}

// addPoints credits a member, once for each reason: the same request again
// changes nothing, and other points for the same reason are a conflict.
func (s *Service) addPoints(r *http.Request) (int, any, error) {
	ctx := r.Context()
	n, err := id(r)
	if err != nil {
		return 0, nil, err
	}
	in, err := read[struct {
		Points int64  `json:"points"`
		Reason string `json:"reason"`
	}](r)
	if err != nil {
		return 0, nil, err
	}
	if err := firstOf(between("points", in.Points, 1, 100_000), text("reason", in.Reason, 60)); err != nil {
		return 0, nil, err
	}
	status, out := http.StatusOK, Reward{}
	err = within(ctx, s.db, func(tx *sql.Tx) error {
		var before int64
		err := tx.QueryRowContext(ctx, "SELECT points FROM entry WHERE member = ? AND reason = ?", n, in.Reason).Scan(&before)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			status = http.StatusCreated
			err = credit(ctx, tx, n, in.Reason, in.Points)
		case err == nil && before != in.Points:
			err = conflict("member %d got %d points for %q already", n, before, in.Reason)
		}
		if err != nil {
			return err
		}
		out, err = rewardOf(ctx, tx, n)
		return err
	})
	return status, out, err
}

// credit books points: the entry and the sum belong together.
func credit(ctx context.Context, tx *sql.Tx, member int64, reason string, points int64) error {
	if _, err := tx.ExecContext(ctx, "INSERT INTO entry (member, reason, points) VALUES (?, ?, ?)", member, reason, points); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO account (member, points) VALUES (?1, ?2)
		ON CONFLICT (member) DO UPDATE SET points = points + ?2`, member, points)
	return err
}

// addCoupon gives a member a coupon, once for each reason.
func (s *Service) addCoupon(r *http.Request) (int, any, error) {
	ctx := r.Context()
	n, err := id(r)
	if err != nil {
		return 0, nil, err
	}
	in, err := read[struct {
		Name    string `json:"name"`
		Percent int64  `json:"percent"`
		Reason  string `json:"reason"`
	}](r)
	if err != nil {
		return 0, nil, err
	}
	if err := firstOf(text("name", in.Name, 40), between("percent", in.Percent, 1, 50), text("reason", in.Reason, 60)); err != nil {
		return 0, nil, err
	}
	status, out := http.StatusOK, Coupon{}
	err = within(ctx, s.db, func(tx *sql.Tx) error {
		err := scanCoupon(tx.QueryRowContext(ctx,
			"SELECT id, name, percent, used FROM coupon WHERE member = ? AND reason = ?", n, in.Reason), &out)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		status = http.StatusCreated
		return scanCoupon(tx.QueryRowContext(ctx,
			"INSERT INTO coupon (member, reason, name, percent) VALUES (?, ?, ?, ?) RETURNING id, name, percent, used",
			n, in.Reason, in.Name, in.Percent), &out)
	})
	return status, out, err
}

// useCoupon uses a coupon up. A second use is a conflict.
func (s *Service) useCoupon(r *http.Request) (int, any, error) {
	ctx := r.Context()
	n, err := id(r)
	if err != nil {
		return 0, nil, err
	}
	var out Coupon
	err = within(ctx, s.db, func(tx *sql.Tx) error {
		err := scanCoupon(tx.QueryRowContext(ctx, "SELECT id, name, percent, used FROM coupon WHERE id = ?", n), &out)
		if err != nil {
			return orMissing(err, "coupon", n)
		}
		if out.Used {
			return conflict("coupon %d is used already", n)
		}
		out.Used = true
		_, err = tx.ExecContext(ctx, "UPDATE coupon SET used = 1 WHERE id = ?", n)
		return err
	})
	return http.StatusOK, out, err
}
