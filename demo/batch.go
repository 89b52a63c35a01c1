package demo

import (
	"net/http"
	"strconv"
	"strings"
)

// maxBatch is how many things one request may ask for by their ids.
const maxBatch = 100

// ids reads a query parameter that lists ids, "3,1,7", as SQLite's json_each takes
// them: "[3,1,7]". It is "" when the parameter is absent.
func ids(r *http.Request, name string) (string, error) {
	values, ok := r.URL.Query()[name]
	if !ok {
		return "", nil
	}
	list := strings.Split(values[0], ",")
	if len(list) > maxBatch {
		return "", bad(name, "%s lists %d ids; at most %d are looked up at once", name, len(list), maxBatch)
	}
	for _, one := range list {
		if n, err := strconv.ParseInt(one, 10, 64); err != nil || n < 1 || n > maxID {
			return "", bad(name, "%s holds %q, which is no id: a number from 1 on", name, one)
		}
	}
	return "[" + strings.Join(list, ",") + "]", nil
}

// someIDs is ids where there is nothing to give without.
func someIDs(r *http.Request, name string) (string, error) {
	list, err := ids(r, name)
	if err == nil && list == "" {
		err = bad(name, "%s is missing: ids, such as 1,2,3", name)
	}
	return list, err
}
