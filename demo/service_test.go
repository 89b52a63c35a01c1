package demo

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// opened gives a service with its seeded database in memory.
func opened(t *testing.T, name string) *Service {
	t.Helper()
	s, err := Open(t.Context(), Options{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// send sends a request straight to a handler.
func send(t *testing.T, h http.Handler, method, path, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// sent is send with the JSON of an expected answer.
func sent[T any](t *testing.T, h http.Handler, method, path, body string, want int) T {
	t.Helper()
	w := send(t, h, method, path, body)
	if w.Code != want {
		t.Fatalf("%s %s: %d instead of %d: %s", method, path, w.Code, want, w.Body)
	}
	var v T
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("%s %s: %v: %s", method, path, err, w.Body)
	}
	return v
}

// exchange is one request and what its answer must be.
type exchange struct {
	service, method, path, body string
	status                      int
	says                        string
}

func exchanges() []exchange {
	long := strings.Repeat("가", 101)
	return []exchange{
		{"member", "GET", "/health", "", 200, `{"service":"member","instance":"member","status":"ok"}`},
		{"member", "GET", "/members/1", "", 200, "김서연"},
		{"member", "GET", "/members/99", "", 404, "there is no member 99"},
		{"member", "GET", "/members/0", "", 400, `"field":"id"`},
		{"member", "GET", "/members/x", "", 400, `"field":"id"`},
		{"member", "GET", "/me", "", 401, "Bearer TOKEN"},
		{"member", "POST", "/token", `{"email":"SEOYEON.KIM@example.com"}`, 200, `"token_type":"Bearer"`},
		{"member", "POST", "/token", `{"email":"nobody@example.com"}`, 401, "no member has this e-mail address"},
		{"member", "POST", "/token", `{}`, 400, "email is missing"},
		{"member", "POST", "/members", `{"name":"새 손님","email":"new@example.com"}`, 201, `"id":13`},
		{"member", "POST", "/members", `{"name":"둘째","email":"Seoyeon.Kim@example.com"}`, 409, "is a member already"},
		{"member", "POST", "/members", `{"name":"셋째","email":"not an address"}`, 400, `"field":"email"`},
		{"member", "POST", "/members", `{"name":"a\u0007b","email":"b@example.com"}`, 400, "control characters"},
		{"member", "GET", "/members?ids=2,99,1", "", 200, `[{"id":1,`},
		{"member", "GET", "/members", "", 400, "ids is missing"},
		{"member", "GET", "/members?ids=1,", "", 400, `holds \"\", which is no id`},
		{"member", "GET", "/members?ids=" + strings.Repeat("1,", 100) + "1", "", 400, "lists 101 ids"},
		{"member", "DELETE", "/members/1", "", 405, "DELETE is not possible here, GET, HEAD is"},
		{"member", "GET", "/nowhere", "", 404, "there is nothing at /nowhere"},

		{"location", "GET", "/districts", "", 200, "마포구"},
		{"location", "GET", "/districts?ids=6,2", "", 200, `[{"id":2,"name":"성동구","lat":37.5634,"lng":127.0369},{"id":6,`},
		{"location", "GET", "/districts?ids=", "", 400, `"field":"ids"`},
		{"location", "GET", "/districts/6", "", 200, "용산구"},
		{"location", "GET", "/districts/7", "", 404, "there is no district 7"},
		{"location", "GET", "/nearest?lat=37.52&lng=127.05", "", 200, "강남구"},
		{"location", "GET", "/nearest?lat=91&lng=0", "", 400, `"field":"lat"`},
		{"location", "GET", "/nearest?lat=1", "", 400, `"field":"lng"`},
		{"location", "GET", "/nearest?lat=NaN&lng=0", "", 400, `"field":"lat"`},
		{"location", "GET", "/members/500/addresses", "", 200, "[]"},
		{"location", "POST", "/members/1/addresses", `{"district":4,"line":"역삼로 7"}`, 201, "역삼로 7"},
		{"location", "POST", "/members/1/addresses", `{"district":9,"line":"역삼로 7"}`, 400, "there is no district 9"},
		{"location", "POST", "/members/1/addresses", `{"district":1}`, 400, "line is missing"},

		{"restaurant", "GET", "/restaurants", "", 200, "망원 스시"},
		{"restaurant", "GET", "/restaurants?district=3&cuisine=chinese", "", 200, "서촌 중식당"},
		{"restaurant", "GET", "/restaurants?ids=3,99", "", 200, `[{"id":3,"name":"망원 스시","district":1,"cuisine":"japanese","rating":4.7}]`},
		{"restaurant", "GET", "/restaurants?ids=x", "", 400, `"field":"ids"`},
		{"restaurant", "GET", "/restaurants?district=99", "", 200, "[]"},
		{"restaurant", "GET", "/restaurants?district=one", "", 400, `"field":"district"`},
		{"restaurant", "GET", "/restaurants?cuisine=thai", "", 400, "must be one of korean"},
		{"restaurant", "GET", "/restaurants/3", "", 200, "japanese"},
		{"restaurant", "GET", "/restaurants/3/menu", "", 200, "모둠초밥"},
		{"restaurant", "GET", "/restaurants/99", "", 404, "there is no restaurant 99"},
		{"restaurant", "GET", "/restaurants/99/menu", "", 404, "there is no restaurant 99"},

		{"auction", "GET", "/auctions", "", 200, `"lowest":68000`},
		{"auction", "GET", "/auctions?state=accepted", "", 200, "[]"},
		{"auction", "GET", "/auctions?state=lost", "", 400, `"field":"state"`},
		{"auction", "GET", "/auctions?member=2&limit=1", "", 200, `[{"id":2,"member":2,`},
		{"auction", "GET", "/auctions?member=500&state=open", "", 200, "[]"},
		{"auction", "GET", "/auctions?limit=21", "", 400, `"field":"limit"`},
		{"auction", "GET", "/bids?auctions=3,99,2", "", 200, `[{"id":4,"restaurant":5,"price":58000,"auction":2},`},
		{"auction", "GET", "/bids", "", 400, "auctions is missing"},
		{"auction", "GET", "/auctions/1", "", 200, "생삼겹살"},
		{"auction", "GET", "/auctions/9", "", 404, "there is no auction 9"},
		{"auction", "POST", "/auctions", `{"member":1,"wish":"냉면","people":2,"district":5}`, 201, `"state":"open","bids":[]`},
		{"auction", "POST", "/auctions", `{"wish":"냉면","people":2,"district":5}`, 400, "member is missing"},
		{"auction", "POST", "/auctions", `{"member":-1,"wish":"냉면","people":2,"district":5}`, 400, `"field":"member"`},
		{"auction", "POST", "/auctions", `{"member":1,"wish":"  ","people":2,"district":5}`, 400, "wish is missing"},
		{"auction", "POST", "/auctions", `{"member":1,"wish":"` + long + `","people":2,"district":5}`, 400, "longer than 100 characters"},
		{"auction", "POST", "/auctions", `{"member":1,"wish":"냉면","people":51,"district":5}`, 400, "people is 51 and must be from 1 to 50"},
		{"auction", "POST", "/auctions", `{"member":1,"wish":"냉면","people":2,"district":5,"state":"accepted"}`, 400, `there is no key \"state\"`},
		{"auction", "POST", "/auctions/9/bids", `{"restaurant":1,"price":5000}`, 404, "there is no auction 9"},
		{"auction", "POST", "/auctions/1/bids", `{"restaurant":1,"price":999}`, 400, "price is 999 and must be from 1000"},
		{"auction", "POST", "/auctions/9/accept", "", 404, "there is no auction 9"},

		{"reward", "GET", "/members/1", "", 200, `"points":1000`},
		{"reward", "GET", "/members/500", "", 200, `{"member":500,"points":0,"coupons":[]}`},
		{"reward", "POST", "/members/1/points", `{"points":0,"reason":"x"}`, 400, "points is missing"},
		{"reward", "POST", "/members/1/points", `{"points":100001,"reason":"x"}`, 400, "must be from 1 to 100000"},
		{"reward", "POST", "/members/1/points", `{"points":5}`, 400, "reason is missing"},
		{"reward", "POST", "/members/1/points", `{"points":5,"reason":"welcome"}`, 409, "got 1000 points"},
		{"reward", "POST", "/members/1/coupons", `{"name":"a","percent":60,"reason":"x"}`, 400, `"field":"percent"`},
		{"reward", "POST", "/coupons/99/use", "", 404, "there is no coupon 99"},
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range exchanges() {
		t.Run(fmt.Sprintf("%s %s %s %.30s", c.service, c.method, c.path, c.body), func(t *testing.T) {
			t.Parallel()
			w := send(t, opened(t, c.service), c.method, c.path, c.body)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
				t.Errorf("%d %s\nwant %d with %s", w.Code, w.Body, c.status, c.says)
			}
			if got := w.Header().Get("Content-Type"); got != "application/json" {
				t.Errorf("Content-Type is %q", got)
			}
			if w.Code == http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") == "" {
				t.Error("401 without a challenge")
			}
			if w.Code == http.StatusMethodNotAllowed && w.Header().Get("Allow") == "" {
				t.Error("405 without Allow")
			}
		})
	}
}

func TestFaultyBodies(t *testing.T) {
	t.Parallel()
	s := opened(t, "auction")
	for _, c := range []struct {
		body   string
		status int
		says   string
	}{
		{"{", 400, "it ends too early"},
		{"nonsense", 400, "not JSON"},
		{"[]", 400, "an object is needed"},
		{"{} {}", 400, "something follows"},
		{`{"member":"one"}`, 400, "member is a string and must be a whole number"},
		{`{"member":1.5}`, 400, "must be a whole number"},
		{`{"wish":1}`, 400, "wish is a number and must be a string"},
		{`{"wish":"` + strings.Repeat("x", maxBody) + `"}`, 413, "larger than 65536 bytes"},
	} {
		w := send(t, s, "POST", "/auctions", c.body)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%.40s: %d %s\nwant %d with %s", c.body, w.Code, w.Body, c.status, c.says)
		}
	}
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/auctions", strings.NewReader("member=1"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	if s.ServeHTTP(w, r); w.Code != http.StatusUnsupportedMediaType {
		t.Errorf("a form: %d %s", w.Code, w.Body)
	}
}

func TestTokenNamesItsMember(t *testing.T) {
	t.Parallel()
	s := opened(t, "member")
	me := func(authorization string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/me", http.NoBody)
		r.Header.Set("Authorization", authorization)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w
	}
	token := sent[Token](t, s, "POST", "/token", `{"email":"doyun.lee@example.com"}`, 200)
	if w := me("bearer " + token.AccessToken); w.Code != 200 || !strings.Contains(w.Body.String(), "이도윤") {
		t.Errorf("a good token: %d %s", w.Code, w.Body)
	}
	for _, bad := range []string{"Bearer x", "Basic " + token.AccessToken, token.AccessToken, "Bearer"} {
		if w := me(bad); w.Code != http.StatusUnauthorized {
			t.Errorf("%q: %d %s", bad, w.Code, w.Body)
		}
	}
	if _, err := s.db.ExecContext(t.Context(), "UPDATE token SET ends = 1"); err != nil {
		t.Fatal(err)
	}
	if w := me("Bearer " + token.AccessToken); w.Code != http.StatusUnauthorized {
		t.Errorf("a token that ended: %d %s", w.Code, w.Body)
	}
	sent[Token](t, s, "POST", "/token", `{"email":"doyun.lee@example.com"}`, 200)
	var n int
	if err := s.db.QueryRowContext(t.Context(), "SELECT count(*) FROM token").Scan(&n); err != nil || n != 1 {
		t.Errorf("%d tokens are kept, %v", n, err)
	}
}

func TestAddressesAreKeptOnce(t *testing.T) {
	t.Parallel()
	s := opened(t, "location")
	for i := range maxAddresses - 1 { // one is seeded
		body := fmt.Sprintf(`{"district":1,"line":"홍익로 %d"}`, i+1)
		first := sent[Address](t, s, "POST", "/members/1/addresses", body, 201)
		if again := sent[Address](t, s, "POST", "/members/1/addresses", body, 200); again != first {
			t.Errorf("%+v became %+v", first, again)
		}
	}
	sent[Failure](t, s, "POST", "/members/1/addresses", `{"district":1,"line":"하나 더"}`, 409)
	if all := sent[[]Address](t, s, "GET", "/members/1/addresses", "", 200); len(all) != maxAddresses {
		t.Errorf("%d addresses", len(all))
	}
}

func TestLowestBidWins(t *testing.T) {
	t.Parallel()
	s := opened(t, "auction")
	a := sent[Auction](t, s, "POST", "/auctions", `{"member":1,"wish":" 회 ","people":2,"district":1}`, 201)
	path := fmt.Sprintf("/auctions/%d", a.ID)
	if a.Wish != "회" || a.State != stateOpen {
		t.Errorf("%+v", a)
	}
	sent[Failure](t, s, "POST", path+"/accept", "", 409) // no bid yet
	sent[Auction](t, s, "POST", path+"/bids", `{"restaurant":1,"price":50000}`, 201)
	sent[Auction](t, s, "POST", path+"/bids", `{"restaurant":2,"price":40000}`, 201)
	sent[Auction](t, s, "POST", path+"/bids", `{"restaurant":2,"price":40000}`, 200) // again
	sent[Failure](t, s, "POST", path+"/bids", `{"restaurant":2,"price":41000}`, 409) // higher
	got := sent[Auction](t, s, "POST", path+"/bids", `{"restaurant":1,"price":40000}`, 200)
	if len(got.Bids) != 2 || got.Bids[0].Restaurant != 2 {
		t.Errorf("an equal bid that came later stands first: %+v", got.Bids)
	}
	won := sent[Auction](t, s, "POST", path+"/accept", "", 200)
	if won.State != stateAccepted || won.Winner == nil || won.Winner.Restaurant != 2 || won.Winner.Price != 40000 {
		t.Errorf("%+v, winner %+v", won, won.Winner)
	}
	if again := sent[Auction](t, s, "POST", path+"/accept", "", 200); *again.Winner != *won.Winner {
		t.Errorf("accepting again: %+v", again.Winner)
	}
	late := sent[Failure](t, s, "POST", path+"/bids", `{"restaurant":3,"price":1000}`, 409)
	if !strings.Contains(late.Error, "40000 won was accepted") {
		t.Errorf("a late bid hears %q", late.Error)
	}
	if list := sent[[]Summary](t, s, "GET", "/auctions?state=accepted", "", 200); len(list) != 1 || list[0].Bids != 2 || *list[0].Lowest != 40000 {
		t.Errorf("%+v", list)
	}
}

func TestRewardsAreGivenOnce(t *testing.T) {
	t.Parallel()
	s := opened(t, "reward")
	const points, coupon = `{"points":570,"reason":"auction 7"}`, `{"name":"5% 할인","percent":5,"reason":"auction 7"}`
	if r := sent[Reward](t, s, "POST", "/members/2/points", points, 201); r.Points != 1250+570 {
		t.Errorf("%+v", r)
	}
	if r := sent[Reward](t, s, "POST", "/members/2/points", points, 200); r.Points != 1250+570 {
		t.Errorf("credited twice: %+v", r)
	}
	if r := sent[Reward](t, s, "POST", "/members/20/points", points, 201); r.Points != 570 {
		t.Errorf("a new member: %+v", r)
	}
	first := sent[Coupon](t, s, "POST", "/members/2/coupons", coupon, 201)
	if again := sent[Coupon](t, s, "POST", "/members/2/coupons", coupon, 200); again != first {
		t.Errorf("%+v became %+v", first, again)
	}
	use := fmt.Sprintf("/coupons/%d/use", first.ID)
	if c := sent[Coupon](t, s, "POST", use, "", 200); !c.Used {
		t.Errorf("%+v", c)
	}
	sent[Failure](t, s, "POST", use, "", 409)
	if r := sent[Reward](t, s, "GET", "/members/2", "", 200); len(r.Coupons) != 0 {
		t.Errorf("a used coupon is listed: %+v", r.Coupons)
	}
}

// Two instances open one database at the same moment: it is seeded once, and
// both see the same.
func TestInstancesShareADatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const instances = 4
	var all [instances]*Service
	var opening sync.WaitGroup
	for i := range instances {
		opening.Go(func() {
			s, err := Open(t.Context(), Options{Name: "restaurant", Instance: fmt.Sprintf("restaurant-%d", i), Dir: dir})
			if err != nil {
				t.Error(err)
				return
			}
			all[i] = s
		})
	}
	opening.Wait()
	for i, s := range all {
		if s == nil {
			continue
		}
		w := send(t, s, "GET", "/restaurants", "")
		if n := strings.Count(w.Body.String(), `"id"`); n != len(places()) {
			t.Errorf("instance %d has %d restaurants", i, n)
		}
		if got := w.Header().Get("X-Instance"); got != fmt.Sprintf("restaurant-%d", i) {
			t.Errorf("X-Instance is %q", got)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// What an instance wrote is there after a restart, next to the seed.
func TestDataSurvivesARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for want := int64(4); want < 6; want++ {
		s, err := Open(t.Context(), Options{Name: "auction", Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		a := sent[Auction](t, s, "POST", "/auctions", `{"member":1,"wish":"회","people":2,"district":1}`, 201)
		if a.ID != want {
			t.Errorf("auction %d instead of %d", a.ID, want)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpenRefusesAnUnknownService(t *testing.T) {
	t.Parallel()
	if _, err := Open(t.Context(), Options{Name: "kitchen"}); err == nil || !strings.Contains(err.Error(), "kitchen") {
		t.Errorf("the error is %v", err)
	}
}

// A fault of ours is told without its cause.
func TestInnerFaultsAreNotTold(t *testing.T) {
	t.Parallel()
	s := opened(t, "reward")
	if _, err := s.db.ExecContext(t.Context(), "DROP TABLE coupon"); err != nil {
		t.Fatal(err)
	}
	w := send(t, s, "GET", "/members/1", "")
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "table") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestWithinIsAllOrNothing(t *testing.T) {
	t.Parallel()
	s := opened(t, "reward")
	err := within(t.Context(), s.db, func(tx *sql.Tx) error {
		if err := credit(context.WithoutCancel(t.Context()), tx, 1, "a reason", 50); err != nil {
			return err
		}
		return conflict("no")
	})
	if err == nil {
		t.Error("no error")
	}
	if r := sent[Reward](t, s, "GET", "/members/1", "", 200); r.Points != 1000 {
		t.Errorf("%+v", r)
	}
}
