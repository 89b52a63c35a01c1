package filter

import "errors"

var errNoService = errors.New("no such service")

// Kinds is the table of filters: YAML word to an empty Config.
func Kinds() map[string]func() Config {
	return map[string]func() Config{}
}
