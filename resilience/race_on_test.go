//go:build race

package resilience

// raceEnabled: pools drop what they hold at random under the race detector, so
// that allocations can't be counted.
const raceEnabled = true
