package admin

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestOperatorSetsTheModeOfABreaker(t *testing.T) {
	t.Parallel()
	b, lines := newEndpointBench(t)
	const path = "/v1/services/reward/breaker"
	for _, mode := range []string{"forced-open", "forced-closed", "observe", "auto"} {
		status, text := b.call(t, "POST", path, `{"mode":"`+mode+`"}`)
		var row breakerRow
		if err := json.Unmarshal([]byte(text), &row); err != nil || status != 200 || row.Mode != mode {
			t.Errorf("%s gives %d %s (%v)", mode, status, text, err)
		}
		if want := "action=breaker service=reward mode=" + mode + " by=api"; !strings.Contains(lines.String(), want) {
			t.Errorf("the log lacks %q: %s", want, lines)
		}
	}
	lines.Reset()
	for _, tt := range []struct {
		path, body string
		status     int
		says       string
	}{
		{"/v1/services/rewards/breaker", `{"mode":"auto"}`, 404, "there is no service rewards"},
		{path, `{"mode":"ajar"}`, 400, "no mode of a breaker"},
		{path, `{}`, 400, "no mode of a breaker"},
		{path, `{"mode":"auto","for":"1m"}`, 400, "unknown field"},
		{path, ``, 400, "can't be read"},
	} {
		if status, text := b.call(t, "POST", tt.path, tt.body); status != tt.status || !strings.Contains(text, tt.says) {
			t.Errorf("%s %s gives %d %s", tt.path, tt.body, status, text)
		}
	}
	if lines.Len() > 0 {
		t.Errorf("what was refused is in the log: %s", lines)
	}
}
