package metrics

import (
	"math"
	"strconv"
	"strings"

	"github.com/maru-msa/maru/problem"
)

// rule says how the values of several hosts become one (resilience §9).
type rule uint8

const (
	sum      rule = iota // added up; boards divide by reportingHosts
	nested               // a map of numbers, each added up
	newest               // the latest time
	property             // a setting: the value that all have, else the largest
	split                // a setting: added up where boards divide it, else as property
	word                 // text or boolean: the value that all have, else how many have which, as text
	breaker              // a word; but as a number when all breakers are open
)

// key is one key of an object.
type key struct {
	name  string
	rule  rule
	parts []string // the keys of a nested one
	none  string   // what a word is when it is missing, as JSON
}

// kind is one type of object with its keys, in the order of the wire. Boards drop
// an object that lacks one.
type kind struct {
	name    string
	keys    []key
	places  map[string]int // of each key in keys
	offsets []int          // of each key's first value among the numbers, or of its word
	numbers int
	words   int
}

// object is one object of a stream. Numbers and words (JSON: true, "THREAD") are
// in the order of the kind's keys.
type object struct {
	kind    *kind
	name    string
	numbers []int64
	words   []string
}

func newKind(name string, keys ...key) *kind {
	k := &kind{name: name, keys: keys, places: make(map[string]int, len(keys)), offsets: make([]int, len(keys))}
	for i := range keys {
		k.places[keys[i].name] = i
		switch keys[i].rule {
		case word, breaker:
			k.offsets[i] = k.words
			k.words++
		case nested:
			k.offsets[i] = k.numbers
			k.numbers += len(keys[i].parts)
		case sum, newest, property, split:
			k.offsets[i] = k.numbers
			k.numbers++
		}
	}
	return k
}

// kinds are the objects that boards know.
type kinds struct{ command, pool, collapser *kind }

func newKinds() *kinds {
	return &kinds{command: commandKind(), pool: poolKind(), collapser: collapserKind()}
}

// named gives the kind of a type, nil when boards don't know it.
func (k *kinds) named(name string) *kind {
	for _, kind := range [...]*kind{k.command, k.pool, k.collapser} {
		if kind.name == name {
			return kind
		}
	}
	return nil
}

func commandKind() *kind {
	latency := []string{"0", "25", "50", "75", "90", "95", "99", "99.5", "100"}
	keys := []key{
		{name: "group", rule: word, none: `""`},
		{name: "currentTime", rule: newest},
		{name: "isCircuitBreakerOpen", rule: breaker, none: "false"},
	}
	for name := range strings.FieldsSeq(`errorPercentage errorCount requestCount
		rollingCountBadRequests rollingCountCollapsedRequests rollingCountEmit rollingCountExceptionsThrown
		rollingCountFailure rollingCountFallbackEmit rollingCountFallbackFailure rollingCountFallbackMissing
		rollingCountFallbackRejection rollingCountFallbackSuccess rollingCountResponsesFromCache
		rollingCountSemaphoreRejected rollingCountShortCircuited rollingCountSuccess
		rollingCountThreadPoolRejected rollingCountTimeout currentConcurrentExecutionCount
		rollingMaxConcurrentExecutionCount latencyExecute_mean`) {
		keys = append(keys, key{name: name})
	}
	keys = append(keys, key{name: "latencyExecute", rule: nested, parts: latency},
		key{name: "latencyTotal_mean"}, key{name: "latencyTotal", rule: nested, parts: latency})
	for name := range strings.FieldsSeq(`circuitBreakerRequestVolumeThreshold
		circuitBreakerSleepWindowInMilliseconds circuitBreakerErrorThresholdPercentage
		circuitBreakerForceOpen=false circuitBreakerForceClosed=false circuitBreakerEnabled=true
		executionIsolationStrategy="THREAD" executionIsolationThreadTimeoutInMilliseconds
		executionTimeoutInMilliseconds executionIsolationThreadInterruptOnTimeout=true
		executionIsolationThreadPoolKeyOverride=""
		executionIsolationSemaphoreMaxConcurrentRequests fallbackIsolationSemaphoreMaxConcurrentRequests
		metricsRollingStatisticalWindowInMilliseconds requestCacheEnabled=false requestLogEnabled=false`) {
		keys = append(keys, setting(name))
	}
	keys = append(keys, key{name: "reportingHosts"}, key{name: "threadPool", rule: word, none: `""`})
	return newKind("HystrixCommand", keys...)
}

// setting is a propertyValue key: a number, or a word with what it is when missing.
func setting(name string) key {
	name, none, isWord := strings.Cut(name, "=")
	k := key{name: "propertyValue_" + name, rule: property, none: none}
	if isWord {
		k.rule = word
	}
	return k
}

func poolKind() *kind {
	keys := []key{{name: "currentTime", rule: newest}}
	for name := range strings.FieldsSeq(`currentActiveCount currentCompletedTaskCount currentCorePoolSize
		currentLargestPoolSize currentMaximumPoolSize currentPoolSize currentQueueSize currentTaskCount
		rollingCountThreadsExecuted rollingMaxActiveThreads rollingCountCommandRejections
		propertyValue_queueSizeRejectionThreshold`) {
		keys = append(keys, key{name: name})
	}
	return newKind("HystrixThreadPool", append(keys,
		key{name: "propertyValue_metricsRollingStatisticalWindowInMilliseconds", rule: split}, key{name: "reportingHosts"})...)
}

func collapserKind() *kind {
	keys := []key{{name: "currentTime", rule: newest}}
	for name := range strings.FieldsSeq(`rollingCountRequestsBatched rollingCountBatches
		rollingCountResponsesFromCache batchSize_mean`) {
		keys = append(keys, key{name: name})
	}
	keys = append(keys, key{name: "batchSize", rule: nested, parts: []string{"25", "50", "75", "90", "95", "99", "99.5", "100"}})
	for name := range strings.FieldsSeq(`requestCacheEnabled=false maxRequestsInBatch timerDelayInMilliseconds
		rollingStatisticalWindowInMilliseconds`) {
		keys = append(keys, setting(name))
	}
	return newKind("HystrixCollapser", append(keys, key{name: "reportingHosts"})...)
}

// object makes one with every key missing.
func (k *kind) object(name string) *object {
	o := &object{kind: k, name: safe(name), numbers: make([]int64, k.numbers), words: make([]string, k.words)}
	for i := range k.keys {
		switch k.keys[i].rule {
		case word, breaker:
			o.words[k.offsets[i]] = k.keys[i].none
		case sum, nested, newest, property, split:
		}
	}
	o.set("reportingHosts", 1)
	return o
}

// set sets a number, or the numbers of a nested key.
func (o *object) set(name string, values ...int64) {
	copy(o.numbers[o.kind.offsets[o.kind.places[name]]:], values)
}

// say sets a word to a text.
func (o *object) say(name, text string) { o.put(name, quoted(text)) }

// put sets a word to JSON.
func (o *object) put(name, json string) { o.words[o.kind.offsets[o.kind.places[name]]] = json }

// get gives a number.
func (o *object) get(name string) int64 { return o.numbers[o.kind.offsets[o.kind.places[name]]] }

// safe is a name as boards can take it: they put it into ids and into script.
func safe(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-', r == '_':
			return r
		}
		return '_'
	}, name)
}

func quoted(text string) string { return string(problem.AppendString(nil, text)) }

// append writes the object as JSON.
func (o *object) append(b []byte) []byte {
	b = append(append(append(b, `{"type":"`...), o.kind.name...), `","name":"`...)
	b = append(append(b, o.name...), '"')
	for i := range o.kind.keys {
		k, at := &o.kind.keys[i], o.kind.offsets[i]
		b = append(append(append(b, `,"`...), k.name...), `":`...)
		switch k.rule {
		case word, breaker:
			b = append(b, o.words[at]...)
		case nested:
			before := byte('{')
			for p, part := range k.parts {
				b = append(append(append(b, before, '"'), part...), `":`...)
				b = strconv.AppendInt(b, o.numbers[at+p], 10)
				before = ','
			}
			b = append(b, '}')
		case sum, newest, property, split:
			b = strconv.AppendInt(b, o.numbers[at], 10)
		}
	}
	return append(b, '}')
}

// event writes the object as a server-sent event.
func (o *object) event(b []byte) []byte {
	return append(o.append(append(b, "data: "...)), "\n\n"...)
}

// whole rounds to what boards take for a number: integers.
func whole(f float64) int64 {
	switch {
	case math.IsNaN(f):
		return 0
	case f >= math.MaxInt64/2:
		return math.MaxInt64 / 2
	case f <= -math.MaxInt64/2:
		return -math.MaxInt64 / 2
	}
	return int64(math.Round(f))
}
