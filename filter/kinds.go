package filter

import "errors"

var errNoService = errors.New("no such service")

// Kinds is the table of filters: YAML word to an empty Config.
func Kinds() map[string]func() Config {
	return map[string]func() Config{
		"body":        func() Config { return new(Body) },
		"breaker":     func() Config { return new(Breaker) },
		"buffer":      func() Config { return new(Buffer) },
		"bulkhead":    func() Config { return new(Bulkhead) },
		"cache":       func() Config { return new(Cache) },
		"coalesce":    func() Config { return new(Coalesce) },
		"compress":    func() Config { return new(Compress) },
		"cors":        func() Config { return new(CORS) },
		"decompress":  func() Config { return new(Decompress) },
		"errors":      func() Config { return new(Errors) },
		"fallback":    func() Config { return new(Fallback) },
		"fault":       func() Config { return new(Fault) },
		"grpc-web":    func() Config { return new(GRPCWeb) },
		"headers":     func() Config { return new(Headers) },
		"hedge":       func() Config { return new(Hedge) },
		"ip":          func() Config { return new(IP) },
		"maintenance": func() Config { return new(Maintenance) },
		"mirror":      func() Config { return new(Mirror) },
		"prefix":      func() Config { return new(Prefix) },
		"query":       func() Config { return new(Query) },
		"redirect":    func() Config { return new(Redirect) },
		"request-id":  func() Config { return new(RequestID) },
		"respond":     func() Config { return new(Respond) },
		"retry":       func() Config { return new(Retry) },
		"rewrite":     func() Config { return new(Rewrite) },
		"split":       func() Config { return new(Split) },
		"strip":       func() Config { return new(Strip) },
		"timeout":     func() Config { return new(Timeout) },
		"validate":    func() Config { return new(Validate) },
	}
}
