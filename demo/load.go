package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// Load keeps a gentle load of what customers do: all open the app, most look around, some hold an
// auction from the ask to the reward.
type Load struct {
	// Client makes the calls; its Seen counts them.
	Client *Client
	// Rate is how many calls are made in a second.
	Rate float64
}

// Bounds of how many customers are there at a time.
const (
	fewestCustomers = 8
	mostCustomers   = 64
)

// Run makes calls until ctx ends. When answers take longer than the rate allows,
// calls are left out, not heaped up.
func (l *Load) Run(ctx context.Context) error {
	if l.Rate <= 0 {
		<-ctx.Done()
		return nil
	}
	turns := make(chan struct{})
	var customers sync.WaitGroup
	for range min(mostCustomers, max(fewestCustomers, int(l.Rate/10))) {
		customers.Go(func() {
			for ctx.Err() == nil {
				v := visit{client: l.Client, turns: turns}
				_ = v.run(ctx) // Client.Seen was told of what failed; the customer leaves
			}
		})
	}
	l.pace(ctx, turns)
	customers.Wait()
	return nil
}

// pace gives out turns at the rate.
func (l *Load) pace(ctx context.Context, turns chan<- struct{}) {
	every := max(5*time.Millisecond, time.Duration(float64(time.Second)/l.Rate))
	tick := time.NewTicker(every)
	defer tick.Stop()
	last, owed := time.Now(), 0.0
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			owed = min(owed+now.Sub(last).Seconds()*l.Rate, max(1, l.Rate)) // at most a second's worth
			last = now
		}
		for ; owed >= 1; owed-- {
			select {
			case <-ctx.Done():
				return
			case turns <- struct{}{}:
			}
		}
	}
}

// visit is one customer on the platform.
type visit struct {
	client *Client
	turns  <-chan struct{}
	member int64
}

// roll gives a number from 0 to n-1.
func roll(n int) int { return rand.IntN(n) }

// turn waits until the next call may be made.
func (v *visit) turn(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-v.turns:
		return nil
	}
}

// see is a GET in turn.
func see[T any](ctx context.Context, v *visit, path string, args ...any) (T, error) {
	if err := v.turn(ctx); err != nil {
		var none T
		return none, err
	}
	return get[T](ctx, v.client, fmt.Sprintf(path, args...))
}

// say is a POST in turn.
func say[T any](ctx context.Context, v *visit, want int, path string, body any) (T, error) {
	if err := v.turn(ctx); err != nil {
		var none T
		return none, err
	}
	return post[T](ctx, v.client, path, body, want)
}

func (v *visit) run(ctx context.Context) error {
	v.member = int64(roll(12) + 1)
	if err := v.screens(ctx); err != nil {
		return err
	}
	home, err := see[[]Address](ctx, v, "/location/members/%d/addresses", v.member)
	if err != nil {
		return err
	}
	if len(home) == 0 {
		return errors.New("the member has no address")
	}
	district := home[roll(len(home))].District
	near, err := see[[]Restaurant](ctx, v, "/restaurant?district=%d", district)
	if err != nil {
		return err
	}
	if len(near) == 0 {
		return errors.New("the district has no restaurant")
	}
	menu, err := see[[]Dish](ctx, v, "/restaurant/%d/menu", near[0].ID)
	if err != nil {
		return err
	}
	if roll(3) > 0 {
		return v.look(ctx, near)
	}
	return v.hold(ctx, district, near, menu[roll(len(menu))])
}

// screens opens the app, on a phone or in a browser: the home screen, then the list
// of auctions and one of them.
func (v *visit) screens(ctx context.Context) error {
	client := http.Header{"X-Client": {[]string{"web", "mobile"}[roll(2)]}}
	home, err := show[Home](ctx, v, client, "/home/%d", v.member)
	if err != nil {
		return err
	}
	if _, err := show[struct{}](ctx, v, client, "/auctions"); err != nil || len(home.Auctions) == 0 {
		return err
	}
	one := home.Auctions[roll(len(home.Auctions))].ID
	if _, err := show[struct{}](ctx, v, client, "/auctions/%d/screen", one); err != nil {
		return err
	}
	_, err = show[struct{}](ctx, v, client, "/orders/%d/screen", one)
	return err
}

// show is a GET of a screen in turn.
func show[T any](ctx context.Context, v *visit, client http.Header, path string, args ...any) (T, error) {
	if err := v.turn(ctx); err != nil {
		var none T
		return none, err
	}
	return fetch[T](ctx, v.client, call{method: http.MethodGet, path: fmt.Sprintf(path, args...), header: client, want: http.StatusOK})
}

// look is a visit that only looks around.
func (v *visit) look(ctx context.Context, near []Restaurant) error {
	for _, r := range near {
		if _, err := see[Restaurant](ctx, v, "/restaurant/%d", r.ID); err != nil {
			return err
		}
	}
	lat, lng := 37.5+float64(roll(1000))/10_000, 126.9+float64(roll(1000))/6_000
	if _, err := see[District](ctx, v, "/location/nearest?lat=%.4f&lng=%.4f", lat, lng); err != nil {
		return err
	}
	open, err := see[[]Summary](ctx, v, "/auction?state=open")
	if err != nil {
		return err
	}
	if len(open) > 0 {
		if _, err = see[Auction](ctx, v, "/auction/%d", open[roll(len(open))].ID); err != nil {
			return err
		}
	}
	_, err = see[Reward](ctx, v, "/reward/members/%d", v.member)
	return err
}

// hold is a visit that holds an auction: sign in, ask, bids, accept, reward.
func (v *visit) hold(ctx context.Context, district int64, near []Restaurant, dish Dish) error {
	who, err := see[Member](ctx, v, "/oauth/members/%d", v.member)
	if err != nil {
		return err
	}
	if _, err := say[Token](ctx, v, http.StatusOK, "/oauth/token", map[string]any{"email": who.Email}); err != nil {
		return err
	}
	people := int64(roll(6) + 1)
	asked, err := say[Auction](ctx, v, http.StatusCreated, "/auction", map[string]any{
		"member": v.member, "wish": fmt.Sprintf("%s, %d인분", dish.Name, people), "people": people, "district": district,
	})
	if err != nil {
		return err
	}
	path := fmt.Sprintf("/auction/%d", asked.ID)
	for _, r := range near {
		price := max(minPrice, dish.Price*people*int64(80+roll(30))/100/100*100)
		if _, err := say[Auction](ctx, v, http.StatusCreated, path+"/bids", map[string]any{"restaurant": r.ID, "price": price}); err != nil {
			return err
		}
	}
	won, err := say[Auction](ctx, v, http.StatusOK, path+"/accept", nil)
	if err != nil {
		return err
	}
	if won.Winner == nil {
		return errors.New("the auction has no winner")
	}
	return v.reward(ctx, won)
}

// reward books one percent of the price, and now and then a coupon that is used.
func (v *visit) reward(ctx context.Context, won Auction) error {
	path := fmt.Sprintf("/reward/members/%d", v.member)
	reason := fmt.Sprintf("auction %d", won.ID)
	_, err := say[Reward](ctx, v, http.StatusCreated, path+"/points", map[string]any{"points": max(1, won.Winner.Price/100), "reason": reason})
	if err != nil || roll(4) > 0 {
		return err
	}
	coupon, err := say[Coupon](ctx, v, http.StatusCreated, path+"/coupons", map[string]any{"name": "다시 만나요 5%", "percent": 5, "reason": reason})
	if err != nil {
		return err
	}
	_, err = say[Coupon](ctx, v, http.StatusOK, fmt.Sprintf("/reward/coupons/%d/use", coupon.ID), nil)
	return err
}
