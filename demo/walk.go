package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Check is one line of the self-check.
type Check struct {
	// Group says what the check is about: services, auction, screens, gateway.
	Group string `json:"group"`
	// Name says what should be so.
	Name string `json:"name"`
	// OK tells whether it is; Detail says what was seen.
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// Walk goes through the estate as a customer would, all through the gateway, and
// checks every answer: all services, a whole auction, the screens that are composed
// of them, and what the gateway itself answers. It tells each check as soon as it is made, and gives how many failed.
// A group ends at its first failure that the rest builds on.
func Walk(ctx context.Context, c *Client, tell func(Check)) (failed int) {
	w := &walk{ctx: ctx, c: c, tell: tell}
	w.group("services", w.services)
	w.group("auction", w.auction)
	w.group("screens", w.screens)
	w.group("gateway", w.gateway)
	return w.failed
}

// walk is one self-check.
type walk struct {
	ctx    context.Context //nolint:containedctx // one walk is one call
	c      *Client
	tell   func(Check)
	about  string
	failed int
}

// errStop ends a group: its check was told already.
var errStop = errors.New("the rest builds on this")

func (w *walk) group(name string, f func() error) {
	w.about = name
	if err := f(); err != nil && !errors.Is(err, errStop) {
		_ = w.check("no step fails", "", err)
	}
}

// check tells a check; err is why it failed, nil when it holds.
func (w *walk) check(name, detail string, err error) error {
	if err != nil {
		w.failed++
		detail = err.Error()
	}
	w.tell(Check{Group: w.about, Name: name, OK: err == nil, Detail: detail})
	if err != nil {
		return errStop
	}
	return nil
}

// services asks every service for its health, and the restaurants often enough
// for more than one of them to answer.
func (w *walk) services() error {
	for _, path := range []string{"/oauth", "/location", "/restaurant", "/auction", "/reward"} {
		h, err := get[Health](w.ctx, w.c, path+"/health")
		if err == nil && h.Service != serviceOf(path) {
			err = fmt.Errorf("%s led to the service %s", path, h.Service)
		}
		_ = w.check(serviceOf(path)+" is healthy", path+"/health", err)
	}
	seen := map[string]int{}
	const times = 40
	for range times {
		a, err := w.c.do(w.ctx, call{method: http.MethodGet, path: "/restaurant/3", want: http.StatusOK})
		if err != nil {
			return w.check("the restaurants share the work", "", err)
		}
		seen[a.header.Get("X-Instance")]++
	}
	var shares []string
	for _, in := range Instances() {
		if n := seen[in.Name]; n > 0 {
			shares = append(shares, strconv.Itoa(n))
		}
	}
	var err error
	if len(shares) < 2 {
		err = fmt.Errorf("%d requests went to %v", times, seen)
	}
	return w.check("the restaurants share the work", fmt.Sprintf("%s of %d requests", strings.Join(shares, ", "), times), err)
}

// auction holds a whole auction.
func (w *walk) auction() error {
	who, err := w.signIn()
	if err != nil {
		return err
	}
	home, near, err := w.around(who)
	if err != nil {
		return err
	}
	asked, err := post[Auction](w.ctx, w.c, "/auction", map[string]any{
		"member": who.ID, "wish": "매운 갈비찜, 밥 넉넉히", "people": 4, "district": home.District,
	}, http.StatusCreated)
	if err := w.check("an ask opens an auction", fmt.Sprintf("%s for %d: auction %d", asked.Wish, asked.People, asked.ID), err); err != nil {
		return err
	}
	if err := w.refused("accepting without a bid is refused", call{
		method: http.MethodPost, path: fmt.Sprintf("/auction/%d/accept", asked.ID), want: http.StatusConflict,
	}); err != nil {
		return err
	}
	if err := w.bids(asked, near); err != nil {
		return err
	}
	won, err := w.accept(asked, near)
	if err != nil {
		return err
	}
	return w.reward(who, won)
}

func (w *walk) signIn() (Member, error) {
	const name = "a customer signs in"
	token, err := post[Token](w.ctx, w.c, "/oauth/token", map[string]any{"email": "seoyeon.kim@example.com"}, http.StatusOK)
	if err != nil {
		return Member{}, w.check(name, "", err)
	}
	who, err := fetch[Member](w.ctx, w.c, call{
		method: http.MethodGet, path: "/oauth/me", want: http.StatusOK,
		header: http.Header{"Authorization": {"Bearer " + token.AccessToken}},
	})
	if err == nil && who.ID != token.Member {
		err = fmt.Errorf("the token of member %d is of member %d", token.Member, who.ID)
	}
	return who, w.check(name, who.Name+", "+who.Email, err)
}

// around finds where the customer lives and which restaurants are near.
func (w *walk) around(who Member) (home Address, near []Restaurant, err error) {
	addresses, err := get[[]Address](w.ctx, w.c, fmt.Sprintf("/location/members/%d/addresses", who.ID))
	if err == nil && len(addresses) == 0 {
		err = errors.New("there is none")
	}
	if err != nil {
		return home, nil, w.check("the customer has an address", "", err)
	}
	home = addresses[0]
	near, err = get[[]Restaurant](w.ctx, w.c, fmt.Sprintf("/restaurant?district=%d", home.District))
	if err == nil && len(near) < 3 {
		err = fmt.Errorf("%d restaurants are near; three are needed", len(near))
	}
	names := make([]string, len(near))
	for i, r := range near {
		names[i] = r.Name
	}
	return home, near, w.check("restaurants are near", strings.Join(names, ", "), err)
}

// bids lets three restaurants bid; one lowers its bid, and may not raise it again.
func (w *walk) bids(asked Auction, near []Restaurant) error {
	path := fmt.Sprintf("/auction/%d/bids", asked.ID)
	for i, price := range []int64{62_000, 58_500, 60_000} {
		if _, err := post[Auction](w.ctx, w.c, path, map[string]any{"restaurant": near[i].ID, "price": price}, http.StatusCreated); err != nil {
			return w.check("three restaurants bid", "", err)
		}
	}
	if err := w.check("three restaurants bid", "62,000, 58,500 and 60,000 won", nil); err != nil {
		return err
	}
	now, err := post[Auction](w.ctx, w.c, path, map[string]any{"restaurant": near[0].ID, "price": 57_000}, http.StatusOK)
	if err == nil && (len(now.Bids) != 3 || now.Bids[0].Price != 57_000) {
		err = fmt.Errorf("the bids are %v", now.Bids)
	}
	if err := w.check("a bid can be lowered", near[0].Name+": 62,000 → 57,000 won", err); err != nil {
		return err
	}
	return w.refused("and never raised", call{
		method: http.MethodPost, path: path, body: map[string]any{"restaurant": near[0].ID, "price": 59_000}, want: http.StatusConflict,
	})
}

// accept accepts the lowest bid, eight times at once: all must get the same answer.
func (w *walk) accept(asked Auction, near []Restaurant) (Auction, error) {
	const times = 8
	var (
		all   [times]Auction
		errs  [times]error
		tries sync.WaitGroup
	)
	for i := range times {
		tries.Go(func() {
			all[i], errs[i] = post[Auction](w.ctx, w.c, fmt.Sprintf("/auction/%d/accept", asked.ID), nil, http.StatusOK)
		})
	}
	tries.Wait()
	won, err := all[0], errors.Join(errs[:]...)
	if err == nil && (won.Winner == nil || won.Winner.Price != 57_000 || won.Winner.Restaurant != near[0].ID) {
		err = fmt.Errorf("the winner is %+v", won.Winner)
	}
	if err := w.check("the lowest bid wins", near[0].Name+", 57,000 won", err); err != nil {
		return won, err
	}
	for _, a := range all {
		if a.Winner == nil || *a.Winner != *won.Winner {
			err = fmt.Errorf("winners differ: %+v, %+v", won.Winner, a.Winner)
		}
	}
	if err := w.check("accepting again changes nothing", fmt.Sprintf("%d at once, one winner", times), err); err != nil {
		return won, err
	}
	return won, w.refused("a late bid is refused", call{
		method: http.MethodPost, path: fmt.Sprintf("/auction/%d/bids", asked.ID),
		body: map[string]any{"restaurant": near[1].ID, "price": 50_000}, want: http.StatusConflict,
	})
}

// reward books points and a coupon, and uses the coupon.
func (w *walk) reward(who Member, won Auction) error {
	path := fmt.Sprintf("/reward/members/%d", who.ID)
	before, err := get[Reward](w.ctx, w.c, path)
	if err != nil {
		return w.check("points are credited, once", "", err)
	}
	// The reason is new in every walk, also over the databases of an earlier one.
	reason := fmt.Sprintf("auction %d", won.ID)
	points := map[string]any{"points": won.Winner.Price / 100, "reason": reason}
	for _, want := range []int{http.StatusCreated, http.StatusOK} {
		after, err := post[Reward](w.ctx, w.c, path+"/points", points, want)
		if err == nil && after.Points != before.Points+won.Winner.Price/100 {
			err = fmt.Errorf("%d points became %d", before.Points, after.Points)
		}
		if err != nil {
			return w.check("points are credited, once", "", err)
		}
	}
	if err := w.check("points are credited, once", fmt.Sprintf("%s: %d → %d points", who.Name, before.Points, before.Points+won.Winner.Price/100), nil); err != nil {
		return err
	}
	coupon, err := post[Coupon](w.ctx, w.c, path+"/coupons", map[string]any{"name": "다음 주문 5% 할인", "percent": 5, "reason": reason}, http.StatusCreated)
	if err == nil {
		_, err = post[Coupon](w.ctx, w.c, fmt.Sprintf("/reward/coupons/%d/use", coupon.ID), nil, http.StatusOK)
	}
	if err := w.check("a coupon is given and used", coupon.Name, err); err != nil {
		return err
	}
	return w.refused("and used only once", call{
		method: http.MethodPost, path: fmt.Sprintf("/reward/coupons/%d/use", coupon.ID), want: http.StatusConflict,
	})
}

// screens looks at what the gateway composes. Its checks do not build on one
// another.
func (w *walk) screens() error {
	web, err := w.home("web")
	if err == nil && (web.Name == "" || web.Reward.Points == nil || len(web.Auctions) == 0 || len(web.Auctions[0].Bids) == 0 ||
		web.Auctions[0].Bids[0].Restaurant.Name == "") {
		err = fmt.Errorf("something is missing: %+v", web)
	}
	detail := ""
	if err == nil {
		detail = fmt.Sprintf("%s, %d points, %q: %s bids", web.Name, *web.Reward.Points, web.Auctions[0].Wish, web.Auctions[0].Bids[0].Restaurant.Name)
	}
	_ = w.check("the home screen is one answer", detail, err)
	phone, err := w.home("mobile")
	if err == nil && (phone.Name != web.Name || len(phone.Auctions) == 0 || phone.Auctions[0].Best == nil || len(phone.Auctions[0].Bids) > 0) {
		err = fmt.Errorf("it is %+v", phone)
	}
	_ = w.check("the phone's shows less", "the best bid only", err)
	return nil
}

// Home is the home screen of one client: the web has Bids, the phone Best.
type Home struct {
	Name   string `json:"name"`
	Reward struct {
		Points *int64 `json:"points"`
	} `json:"reward"`
	Auctions []struct {
		ID   int64  `json:"id"`
		Wish string `json:"wish"`
		Bids []struct {
			Price      int64 `json:"price"`
			Restaurant struct {
				Name string `json:"name"`
			} `json:"restaurant"`
		} `json:"bids"`
		Best *struct {
			Price int64 `json:"price"`
		} `json:"best"`
	} `json:"auctions"`
}

func (w *walk) home(client string) (Home, error) {
	return fetch[Home](w.ctx, w.c, call{
		method: http.MethodGet, path: "/home/1", want: http.StatusOK, header: http.Header{"X-Client": {client}},
	})
}

// gateway looks at what the gateway itself answers and adds. Its checks do not
// build on one another.
func (w *walk) gateway() error {
	w.cors()
	_ = w.refused("an unknown path is 404", call{method: http.MethodGet, path: "/nowhere", want: http.StatusNotFound})
	a, err := w.c.do(w.ctx, call{method: http.MethodDelete, path: "/restaurant/3", want: http.StatusMethodNotAllowed})
	if err == nil && !strings.Contains(a.header.Get("Allow"), http.MethodGet) {
		err = fmt.Errorf("the field Allow is %q", a.header.Get("Allow"))
	}
	_ = w.check("a method that no route takes is 405", "Allow: "+a.header.Get("Allow"), err)
	_ = w.refused("a faulty body is 400, from the service", call{
		method: http.MethodPost, path: "/auction", body: map[string]any{"wish": "냉면"}, want: http.StatusBadRequest,
	})
	_ = w.refused("a body over the limit is 413", call{
		method: http.MethodPost, path: "/auction", body: map[string]any{"wish": strings.Repeat("밥", 20<<10)}, want: http.StatusRequestEntityTooLarge,
	})
	status, err := w.malformed()
	if err == nil && status != "400" {
		err = fmt.Errorf("the answer was %s", status)
	}
	_ = w.check("a malformed request is 400", "two Host fields", err)
	return nil
}

func (w *walk) cors() {
	preflight := func(origin string, want int) (answer, error) {
		return w.c.do(w.ctx, call{method: http.MethodOptions, path: "/auction", want: want, header: http.Header{
			"Origin": {origin}, "Access-Control-Request-Method": {http.MethodPost}, "Access-Control-Request-Headers": {"content-type"},
		}})
	}
	for _, origin := range []string{localOrigin, partnerOrigin} {
		a, err := preflight(origin, http.StatusNoContent)
		if got := a.header.Get("Access-Control-Allow-Origin"); err == nil && got != origin {
			err = fmt.Errorf("the field Access-Control-Allow-Origin is %q", got)
		}
		_ = w.check("a preflight from a known origin is allowed", origin, err)
	}
	_, err := preflight("https://evil.example", http.StatusForbidden)
	_ = w.check("one from elsewhere is refused", "https://evil.example: 403", err)
}

// refused checks that a call gets an error that says something.
func (w *walk) refused(name string, k call) error {
	a, err := w.c.do(w.ctx, k)
	if err != nil {
		return w.check(name, "", err)
	}
	var said struct{ Error, Detail string }
	if err := json.Unmarshal(a.body, &said); err != nil || said.Error+said.Detail == "" {
		return w.check(name, "", fmt.Errorf("the answer says nothing: %q", a.body))
	}
	return w.check(name, said.Error+said.Detail, nil)
}

// malformed sends bytes that no HTTP client would, and gives the status of the answer.
func (w *walk) malformed() (string, error) {
	u, err := url.Parse(w.c.Base)
	if err != nil {
		return "", err
	}
	var d net.Dialer
	conn, err := d.DialContext(w.ctx, "tcp", u.Host)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return "", err
	}
	if words := strings.Fields(line); len(words) > 1 {
		return words[1], nil
	}
	return "", fmt.Errorf("the answer began with %s", strconv.Quote(line))
}
