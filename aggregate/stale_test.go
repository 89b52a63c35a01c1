package aggregate_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/maru-msa/maru/aggregate"
)

// A part that fails gets its last good value, with its age, for the same key and
// caller only, and only while that is young enough.
func TestStalePartsStandIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := home()
		e.says("member GET /members/8", `{"id":"8","profile":{"displayName":"Lee"},"tier":"a","createdAt":"x"}`)
		e.says("reward GET /members/7/points", `{"memberId":"7","points":1200}`)
		e.says("reward GET /members/8/points", `{"memberId":"8","points":5}`)
		vary := []string{"X-Tier"}
		cfg := graph()
		cfg.Sources = map[string]aggregate.SourceConfig{"reward": {Vary: &vary}}
		g := compile(t, cfg, map[string]aggregate.ViewConfig{"GET /home/{id}": {
			Select: aggregate.SelectConfig{"": "...member(id: $id) { name points { balance } }"},
			Parts:  map[string]string{"member.points": "stale 1m"},
		}}, e)
		want := func(what, id, points, partial string, fields ...string) {
			t.Helper()
			status, body, head := ask(t, g, "GET /home/{id}", "/home/"+id, fields...)
			name := map[string]string{"7": "김하늘", "8": "Lee"}[id]
			if expected := `{"name":"` + name + `","points":` + points + `}`; status != 200 || body != expected || head.Get("Maru-Partial") != partial {
				t.Errorf("%s: %d %s (%s), want %s (%s)", what, status, body, head.Get("Maru-Partial"), expected, partial)
			}
		}
		const hole = `"points";code=failed;policy=stale`
		want("well", "7", `{"balance":1200}`, "")
		e.fails("reward GET /members/7/points", 500)
		e.fails("reward GET /members/8/points", 500)
		time.Sleep(42 * time.Second)
		want("the last good value", "7", `{"balance":1200}`, hole+";age=42")
		want("another key", "8", "null", hole)
		want("another caller", "7", "null", hole, "Authorization: Bearer x")
		want("another vary", "7", "null", hole, "X-Tier: gold")
		time.Sleep(19 * time.Second)
		want("too old", "7", "null", hole)
		e.says("reward GET /members/7/points", `{"memberId":"7","points":1300}`)
		want("well again", "7", `{"balance":1300}`, "")
	})
}
