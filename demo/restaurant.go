package demo

import (
	"context"
	"database/sql"
	"net/http"
)

const restaurantSchema = `
CREATE TABLE IF NOT EXISTS restaurant (
	id INTEGER PRIMARY KEY, name TEXT NOT NULL, district INTEGER NOT NULL, cuisine TEXT NOT NULL, rating REAL NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS dish (
	id INTEGER PRIMARY KEY, restaurant INTEGER NOT NULL REFERENCES restaurant(id), name TEXT NOT NULL, price INTEGER NOT NULL
) STRICT;`

// Restaurant is a place that bids.
type Restaurant struct {
	ID       int64   `json:"id"`
	Name     string  `json:"name"`
	District int64   `json:"district"`
	Cuisine  string  `json:"cuisine"`
	Rating   float64 `json:"rating"`
}

// Dish is one line of a menu; Price is in won.
type Dish struct {
	ID    int64  `json:"id"`
	Name  string `json:"name"`
	Price int64  `json:"price"`
}

func seedRestaurants(ctx context.Context, db *sql.DB) error {
	err := fill(ctx, db, "restaurant", "INSERT INTO restaurant (name, district, cuisine, rating) VALUES (?, ?, ?, ?)", [][]any{
		{"홍대 삼겹살집", 1, "korean", 4.5},
		{"연남 칼국수", 1, "korean", 4.2},
		{"망원 스시", 1, "japanese", 4.7},
		{"성수 화덕피자", 2, "italian", 4.4},
		{"뚝섬 쌀국수", 2, "vietnamese", 4.1},
		{"북촌 만두", 3, "korean", 4.6},
		{"광장시장 빈대떡", 3, "korean", 4.3},
		{"강남 스테이크", 4, "western", 4.0},
		{"역삼 짬뽕", 4, "chinese", 4.2},
	})
	if err != nil {
		return err
	}
	menu := []struct {
		name  string
		price int
	}{{"대표 메뉴", 15000}, {"점심 특선", 9900}, {"2인 세트", 29000}, {"4인 잔치상", 68000}}
	var rows [][]any
	for r := range 9 {
		for i, d := range menu {
			rows = append(rows, []any{r + 1, d.name, d.price + 500*((r+i)%4)})
		}
	}
	return fill(ctx, db, "dish", "INSERT INTO dish (restaurant, name, price) VALUES (?, ?, ?)", rows)
}

func restaurantRoutes(s *service) map[string]action {
	return map[string]action{
		"GET /restaurants":           s.restaurants,
		"GET /restaurants/{id}":      s.restaurant,
		"GET /restaurants/{id}/menu": s.menu,
	}
}

func scanRestaurant(rows *sql.Rows, v *Restaurant) error {
	return rows.Scan(&v.ID, &v.Name, &v.District, &v.Cuisine, &v.Rating)
}

// restaurants lists all, or those of ?district=.
func (s *service) restaurants(r *http.Request) (int, any, error) {
	const all = "SELECT id, name, district, cuisine, rating FROM restaurant"
	district := r.URL.Query().Get("district")
	if district == "" {
		out, err := list(r.Context(), s.db, scanRestaurant, all+" ORDER BY id")
		return http.StatusOK, out, err
	}
	out, err := list(r.Context(), s.db, scanRestaurant, all+" WHERE district = CAST(? AS INTEGER) ORDER BY id", district)
	return http.StatusOK, out, err
}

func (s *service) restaurant(r *http.Request) (int, any, error) {
	n, err := id(r)
	if err != nil {
		return 0, nil, err
	}
	var v Restaurant
	err = s.db.QueryRowContext(r.Context(), "SELECT id, name, district, cuisine, rating FROM restaurant WHERE id = ?", n).
		Scan(&v.ID, &v.Name, &v.District, &v.Cuisine, &v.Rating)
	return http.StatusOK, v, err
}

func (s *service) menu(r *http.Request) (int, any, error) {
	n, err := id(r)
	if err != nil {
		return 0, nil, err
	}
	out, err := list(r.Context(), s.db, func(rows *sql.Rows, d *Dish) error {
		return rows.Scan(&d.ID, &d.Name, &d.Price)
	}, "SELECT id, name, price FROM dish WHERE restaurant = ? ORDER BY id", n)
	return http.StatusOK, out, err
}
