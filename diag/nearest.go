package diag

import "strings"

// Nearest gives the word that was probably meant: at most two edits away from got,
// one for short words; "" when none is. Of several the first one counts. Case does
// not matter.
func Nearest(got string, words []string) string {
	best, most := "", 3
	if len(got) < 4 {
		most = 2
	}
	for _, w := range words {
		if d := Distance(strings.ToLower(got), strings.ToLower(w)); d < most {
			best, most = w, d
		}
	}
	return best
}

// Distance is the number of single-character edits (insert, delete, replace,
// swap of neighbours) from a to b: the optimal string alignment
// distance. Words of more than 64 bytes are 64 apart.
func Distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	before, row, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row, next = row, next, before
	}
	return row[len(b)]
}
