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
) STRICT;
CREATE INDEX IF NOT EXISTS dish_restaurant ON dish (restaurant);`

// Restaurant is a place that bids.
type Restaurant struct {
	ID       int64   `json:"id"`
	Name     string  `json:"name"`
	District int64   `json:"district"`
	Cuisine  string  `json:"cuisine"`
	Rating   float64 `json:"rating"` // 0 to 5
}

// Dish is one line of a menu; Price is in won.
type Dish struct {
	ID    int64  `json:"id"`
	Name  string `json:"name"`
	Price int64  `json:"price"`
}

// cuisines lists the kinds of restaurants.
func cuisines() []string {
	return []string{"korean", "japanese", "chinese", "italian", "vietnamese", "western"}
}

// plate is a dish of a seeded menu.
type plate struct {
	name  string
	price int
}

// place is a seeded restaurant.
type place struct {
	name     string
	district int
	cuisine  string
	rating   float64
	menu     []plate
}

func places() []place {
	return []place{
		{"홍대 숯불삼겹", 1, "korean", 4.5, []plate{{"생삼겹살 200g", 16000}, {"목살 200g", 16000}, {"김치찌개", 8000}, {"볶음밥", 4000}}},
		{"연남 칼국수", 1, "korean", 4.2, []plate{{"바지락칼국수", 9500}, {"들깨칼국수", 10500}, {"수육 소", 24000}, {"왕만두", 8000}}},
		{"망원 스시", 1, "japanese", 4.7, []plate{{"모둠초밥 12p", 22000}, {"연어덮밥", 15000}, {"우동", 8500}}},
		{"합정 파스타바", 1, "italian", 4.1, []plate{{"봉골레", 17500}, {"라구 파파르델레", 19500}, {"티라미수", 8000}}},
		{"성수 화덕피자", 2, "italian", 4.4, []plate{{"마르게리타", 18500}, {"콰트로 포르마지", 21500}, {"루콜라 샐러드", 13000}}},
		{"뚝섬 쌀국수", 2, "vietnamese", 4.1, []plate{{"양지쌀국수", 10500}, {"분짜", 13500}, {"짜조", 7000}}},
		{"왕십리 곱창", 2, "korean", 4.3, []plate{{"야채곱창 2인", 26000}, {"막창구이", 18000}, {"날치알볶음밥", 5000}}},
		{"북촌 만두", 3, "korean", 4.6, []plate{{"만둣국", 11000}, {"고기만두", 9000}, {"김치만두", 9000}, {"만두전골 3인", 39000}}},
		{"광장 빈대떡", 3, "korean", 4.3, []plate{{"녹두빈대떡", 6000}, {"고기완자", 4000}, {"육회", 19000}, {"막걸리", 4000}}},
		{"서촌 중식당", 3, "chinese", 4.4, []plate{{"짜장면", 8000}, {"삼선짬뽕", 11000}, {"탕수육 중", 26000}}},
		{"강남 스테이크", 4, "western", 4.0, []plate{{"채끝 스테이크 200g", 42000}, {"수제버거", 14500}, {"시저샐러드", 12500}}},
		{"역삼 짬뽕", 4, "chinese", 4.2, []plate{{"차돌짬뽕", 12000}, {"간짜장", 9500}, {"유린기", 28000}}},
		{"선릉 순댓국", 4, "korean", 4.5, []plate{{"순댓국", 10000}, {"모둠순대", 22000}, {"술국", 15000}}},
		{"여의도 냉면", 5, "korean", 4.6, []plate{{"평양냉면", 14000}, {"비빔냉면", 14000}, {"녹두지짐", 12000}}},
		{"문래 양꼬치", 5, "chinese", 4.3, []plate{{"양꼬치 10개", 18000}, {"마라탕", 12000}, {"꿔바로우", 19000}}},
		{"이태원 타코", 6, "western", 4.2, []plate{{"카르니타스 타코 3p", 13500}, {"케사디야", 12500}, {"나초", 9000}}},
		{"용산 돈카츠", 6, "japanese", 4.5, []plate{{"로스카츠", 14000}, {"히레카츠", 15000}, {"카레우동", 11000}}},
		{"해방촌 분짜", 6, "vietnamese", 4.4, []plate{{"분짜", 14000}, {"반미", 9500}, {"넴 4p", 8000}}},
	}
}

func seedRestaurants(ctx context.Context, db *sql.DB) error {
	restaurants := seed{table: "restaurant", columns: []string{"id", "name", "district", "cuisine", "rating"}}
	dishes := seed{table: "dish", columns: []string{"restaurant", "name", "price"}}
	for i, p := range places() {
		restaurants.rows = append(restaurants.rows, []any{i + 1, p.name, p.district, p.cuisine, p.rating})
		for _, d := range p.menu {
			dishes.rows = append(dishes.rows, []any{i + 1, d.name, d.price})
		}
	}
	return sow(ctx, db, restaurants, dishes)
}

func restaurantRoutes(s *Service) map[string]action {
	return map[string]action{
		"GET /restaurants":           s.restaurants,
		"GET /restaurants/{id}":      s.restaurant,
		"GET /restaurants/{id}/menu": s.menu,
	}
}

const selectRestaurant = "SELECT id, name, district, cuisine, rating FROM restaurant"

func scanRestaurant(row scanner, v *Restaurant) error {
	return row.Scan(&v.ID, &v.Name, &v.District, &v.Cuisine, &v.Rating)
}

// restaurants lists all, or those of ?ids=, ?district= and ?cuisine=, the best first.
func (s *Service) restaurants(r *http.Request) (int, any, error) {
	district, err := number(r, "district")
	if err != nil {
		return 0, nil, err
	}
	wanted, err := ids(r, "ids")
	if err != nil {
		return 0, nil, err
	}
	cuisine := r.URL.Query().Get("cuisine")
	if cuisine != "" {
		if err := oneOf("cuisine", cuisine, cuisines()); err != nil {
			return 0, nil, err
		}
	}
	out, err := list(r.Context(), s.db, scanRestaurant, selectRestaurant+
		` WHERE (?1 = 0 OR district = ?1) AND (?2 = '' OR cuisine = ?2)
		AND (?3 = '' OR id IN (SELECT value FROM json_each(iif(?3 = '', '[]', ?3)))) ORDER BY rating DESC, id`, district, cuisine, wanted)
	return http.StatusOK, out, err
}

func (s *Service) restaurant(r *http.Request) (int, any, error) {
	n, err := id(r)
	if err != nil {
		return 0, nil, err
	}
	var v Restaurant
	err = scanRestaurant(s.db.QueryRowContext(r.Context(), selectRestaurant+" WHERE id = ?", n), &v)
	return http.StatusOK, v, orMissing(err, "restaurant", n)
}

// menu lists a restaurant's dishes. Every restaurant has some, so none means
// that there is no such restaurant.
func (s *Service) menu(r *http.Request) (int, any, error) {
	n, err := id(r)
	if err != nil {
		return 0, nil, err
	}
	out, err := list(r.Context(), s.db, func(row scanner, d *Dish) error {
		return row.Scan(&d.ID, &d.Name, &d.Price)
	}, "SELECT id, name, price FROM dish WHERE restaurant = ? ORDER BY id", n)
	if err == nil && len(out) == 0 {
		err = missing("restaurant", n)
	}
	return http.StatusOK, out, err
}
