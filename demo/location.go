package demo

import (
	"context"
	"database/sql"
	"math"
	"net/http"
	"strconv"
)

const locationSchema = `
CREATE TABLE IF NOT EXISTS district (
	id INTEGER PRIMARY KEY, name TEXT NOT NULL, lat REAL NOT NULL, lng REAL NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS address (
	id INTEGER PRIMARY KEY, member INTEGER NOT NULL, district INTEGER NOT NULL REFERENCES district(id), line TEXT NOT NULL,
	UNIQUE (member, district, line)
) STRICT;`

// District is a part of the city; Lat and Lng are degrees of its centre.
type District struct {
	ID   int64   `json:"id"`
	Name string  `json:"name"`
	Lat  float64 `json:"lat"`
	Lng  float64 `json:"lng"`
	// Km is the distance from the point that was asked for.
	Km *float64 `json:"km,omitempty"`
}

// Address is where a member has food brought to.
type Address struct {
	ID       int64  `json:"id"`
	Member   int64  `json:"member"`
	District int64  `json:"district"`
	Line     string `json:"line"`
}

// maxAddresses is how many addresses a member may keep.
const maxAddresses = 10

func seedLocations(ctx context.Context, db *sql.DB) error {
	addresses := seed{table: "address", columns: []string{"member", "district", "line"}}
	for i, a := range []struct {
		district int
		line     string
	}{
		{1, "와우산로 94, 402호"},
		{2, "서울숲2길 18-7, 3층"},
		{3, "북촌로5길 26"},
		{4, "테헤란로 152, 12층"},
		{1, "월드컵북로 56, 801호"},
		{5, "여의나루로 67, 103동 1502호"},
		{6, "이태원로 211"},
		{2, "성수이로 88, 지하 1층"},
		{4, "선릉로93길 40, 204호"},
		{3, "자하문로 37, 2층"},
		{5, "영등포로 150, 305호"},
		{6, "한강대로 95, 2210호"},
	} {
		addresses.rows = append(addresses.rows, []any{i + 1, a.district, a.line})
	}
	return sow(ctx, db, seed{"district", []string{"name", "lat", "lng"}, [][]any{
		{"마포구", 37.5638, 126.9084},
		{"성동구", 37.5634, 127.0369},
		{"종로구", 37.5730, 126.9794},
		{"강남구", 37.5172, 127.0473},
		{"영등포구", 37.5264, 126.8962},
		{"용산구", 37.5326, 126.9905},
	}}, addresses)
}

func locationRoutes(s *Service) map[string]action {
	return map[string]action{
		"GET /districts":               s.districts,
		"GET /districts/{id}":          s.district,
		"GET /nearest":                 s.nearest,
		"GET /members/{id}/addresses":  s.addresses,
		"POST /members/{id}/addresses": s.addAddress,
	}
}

// allDistricts lists those of a JSON list of ids; "" stands for all.
func (s *Service) allDistricts(ctx context.Context, wanted string) ([]District, error) {
	return list(ctx, s.db, func(row scanner, d *District) error {
		return row.Scan(&d.ID, &d.Name, &d.Lat, &d.Lng)
	}, `SELECT id, name, lat, lng FROM district
		WHERE ?1 = '' OR id IN (SELECT value FROM json_each(iif(?1 = '', '[]', ?1))) ORDER BY id`, wanted)
}

// districts lists all, or those of ?ids=.
func (s *Service) districts(r *http.Request) (int, any, error) {
	wanted, err := ids(r, "ids")
	if err != nil {
		return 0, nil, err
	}
	out, err := s.allDistricts(r.Context(), wanted)
	return http.StatusOK, out, err
}

func (s *Service) district(r *http.Request) (int, any, error) {
	n, err := id(r)
	if err != nil {
		return 0, nil, err
	}
	var d District
	err = s.db.QueryRowContext(r.Context(), "SELECT id, name, lat, lng FROM district WHERE id = ?", n).
		Scan(&d.ID, &d.Name, &d.Lat, &d.Lng)
	return http.StatusOK, d, orMissing(err, "district", n)
}

// nearest finds the district whose centre is nearest to ?lat= and ?lng=.
func (s *Service) nearest(r *http.Request) (int, any, error) {
	lat, err := degrees(r, "lat", 90)
	if err != nil {
		return 0, nil, err
	}
	lng, err := degrees(r, "lng", 180)
	if err != nil {
		return 0, nil, err
	}
	all, err := s.allDistricts(r.Context(), "")
	if err != nil {
		return 0, nil, err
	}
	var best District
	for _, d := range all {
		km := math.Round(distance(lat, lng, d.Lat, d.Lng)*10) / 10
		if best.Km == nil || km < *best.Km {
			best, best.Km = d, &km
		}
	}
	return http.StatusOK, best, nil
}

// degrees reads a query parameter that is a latitude or longitude.
func degrees(r *http.Request, name string, most float64) (float64, error) {
	s := r.URL.Query().Get(name)
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v >= -most && v <= most) { // so that NaN fails too
		return 0, bad(name, "%s is %q and must be degrees from %v to %v", name, s, -most, most)
	}
	return v, nil
}

// distance is the great-circle distance of two points in kilometres (haversine).
func distance(lat1, lng1, lat2, lng2 float64) float64 {
	const earth, radian = 6371.0, math.Pi / 180
	a := math.Pow(math.Sin((lat2-lat1)*radian/2), 2) +
		math.Cos(lat1*radian)*math.Cos(lat2*radian)*math.Pow(math.Sin((lng2-lng1)*radian/2), 2)
	return 2 * earth * math.Asin(math.Sqrt(min(1, a)))
}

func (s *Service) addresses(r *http.Request) (int, any, error) {
	n, err := id(r)
	if err != nil {
		return 0, nil, err
	}
	out, err := list(r.Context(), s.db, scanAddress,
		"SELECT id, member, district, line FROM address WHERE member = ? ORDER BY id", n)
	return http.StatusOK, out, err
}

// addAddress keeps an address of a member. One that is there already is given
// back as it is, so that a repeated request adds nothing.
func (s *Service) addAddress(r *http.Request) (int, any, error) {
	ctx := r.Context()
	n, err := id(r)
	if err != nil {
		return 0, nil, err
	}
	in, err := read[struct {
		District int64  `json:"district"`
		Line     string `json:"line"`
	}](r)
	if err != nil {
		return 0, nil, err
	}
	if err := text("line", in.Line, 100); err != nil {
		return 0, nil, err
	}
	status, out := http.StatusOK, Address{}
	err = within(ctx, s.db, func(tx *sql.Tx) error {
		var known bool
		err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM district WHERE id = ?)", in.District).Scan(&known)
		if err != nil {
			return err
		}
		if !known {
			return bad("district", "there is no district %d", in.District)
		}
		have, err := list(ctx, tx, scanAddress, "SELECT id, member, district, line FROM address WHERE member = ?", n)
		if err != nil {
			return err
		}
		for _, a := range have {
			if a.District == in.District && a.Line == in.Line {
				out = a
				return nil
			}
		}
		if len(have) >= maxAddresses {
			return conflict("member %d has %d addresses, and no more are kept", n, maxAddresses)
		}
		status = http.StatusCreated
		return scanAddress(tx.QueryRowContext(ctx,
			"INSERT INTO address (member, district, line) VALUES (?, ?, ?) RETURNING id, member, district, line",
			n, in.District, in.Line), &out)
	})
	return status, out, err
}

func scanAddress(row scanner, a *Address) error {
	return row.Scan(&a.ID, &a.Member, &a.District, &a.Line)
}
