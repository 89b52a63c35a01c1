package demo

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Act is a line of the script: at a moment of the round an instance gets a
// trouble, and some time later it is healed.
type Act struct {
	At       time.Duration
	Instance string
	Trouble  Trouble
	For      time.Duration
}

// Script is what happens in a round, in order. One instance is in trouble at a
// time, and each has others of its service beside it. They are of services that
// are only read: what changes something and was under way when its instance was
// killed can't be sent again, since it may have been done, and an instance that
// is stopped could hold the lock of the database that the others share.
func Script() []Act {
	const s = time.Second
	return []Act{
		{At: 6 * s, Instance: "restaurant-1", Trouble: Kill, For: 4 * s},
		{At: 16 * s, Instance: "location-2", Trouble: Fail, For: 6 * s},
		{At: 28 * s, Instance: "restaurant-3", Trouble: Slow, For: 6 * s},
		{At: 40 * s, Instance: "location-1", Trouble: Refuse, For: 6 * s},
		// Long enough for its lease to end. That is when a minute of renewals has
		// been seen, before which the registry evicts nobody.
		{At: 54 * s, Instance: "restaurant-2", Trouble: Hang, For: 10 * s},
	}
}

// aftermath is how long after its end a trouble is still looked at, and the end
// of a round.
const aftermath = 4 * time.Second

// Chaos plays rounds of the [Script] while a load runs.
type Chaos struct {
	// Site is where it happens, Meter counts what its users see.
	Site  *Site
	Meter *Meter
	// Pace is how many times as fast as written the script is played; 0 means 1.
	Pace float64
	// Begins is told of each act when it begins, Healed when its trouble ended,
	// Over what the users saw of it. nil means nobody listens.
	Begins, Healed func(Act)
	Over           func(Outcome)

	mu  sync.Mutex
	now Standing
}

// Outcome is what users saw of an act, from its beginning until some seconds
// after its end.
type Outcome struct {
	Act
	Stretch
}

// Round is what there was in a whole round.
type Round struct {
	Stretch
	// Calm is the p99 before the first act.
	Calm time.Duration
	// Took is how long the round was.
	Took time.Duration
	// Outcomes are the acts'.
	Outcomes []Outcome
}

// Standing is where a round stands.
type Standing struct {
	// Act is the one that goes on, or else the next; Broken tells which. Instance
	// is empty after the last.
	Act
	Broken bool
	// Until is when that changes.
	Until time.Time
	// Calm is the p99 before the first act; 0 until it is known.
	Calm time.Duration
}

// Now tells where the round stands.
func (c *Chaos) Now() Standing {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *Chaos) stand(edit func(*Standing)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	edit(&c.now)
}

// paced is how long something of the script takes.
func (c *Chaos) paced(d time.Duration) time.Duration {
	if c.Pace > 0 {
		return time.Duration(float64(d) / c.Pace)
	}
	return d
}

// Round plays the script once. It heals what it broke also when ctx ends it.
func (c *Chaos) Round(ctx context.Context) (Round, error) {
	began, start := time.Now(), c.Meter.Mark()
	var r Round
	for i, act := range Script() {
		at := began.Add(c.paced(act.At))
		c.stand(func(s *Standing) { s.Act, s.Broken, s.Until = act, false, at })
		if err := sleepUntil(ctx, at); err != nil {
			return r, err
		}
		if i == 0 {
			r.Calm = c.Meter.Since(start).P99
			c.stand(func(s *Standing) { s.Calm = r.Calm })
		}
		over, err := c.play(ctx, act)
		if err != nil {
			return r, err
		}
		r.Outcomes = append(r.Outcomes, over)
	}
	r.Stretch, r.Took = c.Meter.Since(start), time.Since(began)
	return r, nil
}

// play lets one act happen.
func (c *Chaos) play(ctx context.Context, act Act) (over Outcome, err error) {
	over.Act = act
	mark, end := c.Meter.Mark(), time.Now().Add(c.paced(act.For))
	if err := c.Site.Befall(act.Instance, act.Trouble); err != nil {
		return over, err
	}
	c.stand(func(s *Standing) { s.Broken, s.Until = true, end })
	tell(c.Begins, act)
	err = sleepUntil(ctx, end)
	if act.Trouble != Kill {
		err = errors.Join(err, c.Site.Heal(act.Instance))
	}
	c.stand(func(s *Standing) { s.Act, s.Broken = Act{}, false })
	if err != nil {
		return over, err
	}
	tell(c.Healed, act)
	if err := sleepUntil(ctx, end.Add(c.paced(aftermath))); err != nil {
		return over, err
	}
	over.Stretch = c.Meter.Since(mark)
	tell(c.Over, over)
	return over, nil
}

func tell[T any](whom func(T), what T) {
	if whom != nil {
		whom(what)
	}
}

// sleepUntil waits for a moment.
func sleepUntil(ctx context.Context, moment time.Time) error {
	timer := time.NewTimer(time.Until(moment))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
