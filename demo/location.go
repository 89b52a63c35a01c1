package demo

import (
	"context"
	"database/sql"
	"net/http"
)

const locationSchema = `
CREATE TABLE IF NOT EXISTS district (
	id INTEGER PRIMARY KEY, name TEXT NOT NULL, lat REAL NOT NULL, lng REAL NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS address (
	id INTEGER PRIMARY KEY, member INTEGER NOT NULL, district INTEGER NOT NULL REFERENCES district(id), line TEXT NOT NULL
) STRICT;`

// District is a part of the city.
type District struct {
	ID   int64   `json:"id"`
	Name string  `json:"name"`
	Lat  float64 `json:"lat"`
	Lng  float64 `json:"lng"`
}

// Address is where a member lives.
type Address struct {
	ID       int64  `json:"id"`
	Member   int64  `json:"member"`
	District int64  `json:"district"`
	Line     string `json:"line"`
}

func seedLocations(ctx context.Context, db *sql.DB) error {
	err := fill(ctx, db, "district", "INSERT INTO district (name, lat, lng) VALUES (?, ?, ?)", [][]any{
		{"마포구", 37.5638, 126.9084},
		{"성동구", 37.5634, 127.0369},
		{"종로구", 37.5730, 126.9794},
		{"강남구", 37.5172, 127.0473},
	})
	if err != nil {
		return err
	}
	var rows [][]any
	streets := []string{"와우산로 21", "서울숲길 8", "북촌로 15", "테헤란로 152"}
	for m := range 12 {
		rows = append(rows, []any{m + 1, m%4 + 1, streets[m%4]})
	}
	return fill(ctx, db, "address", "INSERT INTO address (member, district, line) VALUES (?, ?, ?)", rows)
}

func locationRoutes(s *service) map[string]action {
	return map[string]action{
		"GET /districts":              s.districts,
		"GET /members/{id}/addresses": s.addresses,
	}
}

func (s *service) districts(r *http.Request) (int, any, error) {
	out, err := list(r.Context(), s.db, func(rows *sql.Rows, d *District) error {
		return rows.Scan(&d.ID, &d.Name, &d.Lat, &d.Lng)
	}, "SELECT id, name, lat, lng FROM district ORDER BY id")
	return http.StatusOK, out, err
}

func (s *service) addresses(r *http.Request) (int, any, error) {
	n, err := id(r)
	if err != nil {
		return 0, nil, err
	}
	out, err := list(r.Context(), s.db, func(rows *sql.Rows, a *Address) error {
		return rows.Scan(&a.ID, &a.Member, &a.District, &a.Line)
	}, "SELECT id, member, district, line FROM address WHERE member = ? ORDER BY id", n)
	return http.StatusOK, out, err
}
