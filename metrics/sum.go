package metrics

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// identity is what objects of several hosts have in common.
type identity struct {
	kind *kind
	name string
}

// add makes one object of those that several hosts sent under one identity, by
// the rules of their keys.
func add(list []*object, board string) *object {
	first := list[0]
	k := first.kind
	o := &object{kind: k, name: first.name, numbers: make([]int64, k.numbers), words: make([]string, k.words)}
	for i := range k.keys {
		key, at := &k.keys[i], k.offsets[i]
		switch key.rule {
		case sum, nested:
			for p := range max(len(key.parts), 1) {
				o.numbers[at+p] = total(list, at+p)
			}
		case newest, property:
			o.numbers[at] = largest(list, at)
		case split:
			if o.numbers[at] = largest(list, at); board == "netflix" {
				o.numbers[at] = total(list, at)
			}
		case word:
			o.words[at] = common(list, at)
		case breaker:
			o.words[at] = opened(list, at)
		}
	}
	return o
}

func total(list []*object, at int) (n int64) {
	for _, o := range list {
		n = whole(float64(n) + float64(o.numbers[at]))
	}
	return n
}

// largest is also the value that all have, where they have one.
func largest(list []*object, at int) int64 {
	return slices.MaxFunc(list, func(a, b *object) int { return cmp.Compare(a.numbers[at], b.numbers[at]) }).numbers[at]
}

// common is the word that all have, else a text that tells how many have which,
// as boards of Turbine 1 print it.
func common(list []*object, at int) string {
	counts := make(map[string]int64)
	for _, o := range list {
		counts[o.words[at]] += o.get("reportingHosts")
	}
	if len(counts) == 1 {
		return list[0].words[at]
	}
	return tally(counts)
}

// tally is {"false":2,"true":1} as a JSON string.
func tally(counts map[string]int64) string {
	b := []byte{'{'}
	for i, w := range slices.Sorted(maps.Keys(counts)) {
		if i > 0 {
			b = append(b, ',')
		}
		if w[0] == '"' {
			b = append(b, w...)
		} else { // a number, true or false
			b = strconv.AppendQuote(b, w)
		}
		b = strconv.AppendInt(append(b, ':'), counts[w], 10)
	}
	return quoted(string(append(b, '}')))
}

// opened tells how many breakers are open: false for none, the number of hosts
// for all (which is what boards compare with), else a text with both counts.
func opened(list []*object, at int) string {
	var open, hosts int64
	for _, o := range list {
		n := o.get("reportingHosts")
		hosts += n
		open += min(openOf(o.words[at], n), n)
	}
	switch open {
	case 0:
		return "false"
	case hosts:
		return strconv.FormatInt(hosts, 10)
	}
	return tally(map[string]int64{"false": hosts - open, "true": open})
}

// openOf reads what a host says of its breaker, or of those of its hosts.
func openOf(word string, hosts int64) int64 {
	switch word {
	case "true":
		return hosts
	case "false":
		return 0
	}
	if text, err := strconv.Unquote(word); err == nil {
		var counts struct {
			True int64 `json:"true"`
		}
		if strings.HasPrefix(text, "{") && json.Unmarshal([]byte(text), &counts) == nil {
			return max(counts.True, 0)
		}
		return 0
	}
	return max(numberOf(json.RawMessage(word)), 0)
}
