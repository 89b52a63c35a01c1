package config

import (
	"slices"
	"strconv"
	"strings"

	"github.com/maru-msa/maru/diag"
)

// nearest gives the word that was probably meant, or "".
func nearest(word string, words []string) string {
	plain := strings.ReplaceAll(strings.ToLower(word), "_", "-")
	flat := strings.ReplaceAll(plain, "-", "")
	best, bestDistance := "", max(1, (len(plain)+1)/3)
	for _, w := range slices.Sorted(slices.Values(words)) {
		if strings.ReplaceAll(w, "-", "") == flat {
			return w
		}
		if d := diag.Distance(plain, w); d <= bestDistance && (best == "" || d < bestDistance) {
			best, bestDistance = w, d
		}
	}
	return best
}

// extended gives the only word that word begins with, or that begins with it: a
// "warning" is a "warn".
func extended(word string, words []string) string {
	const least = 4 // letters that two words share by chance
	found := ""
	for _, w := range words {
		if min(len(w), len(word)) < least || !strings.HasPrefix(w, word) && !strings.HasPrefix(word, w) {
			continue
		}
		if found != "" {
			return ""
		}
		found = w
	}
	return found
}

// orWords lists words for a fix: "a, b or c". Long lists are cut.
func orWords(words []string) string {
	words = slices.Sorted(slices.Values(words))
	const most = 24
	if len(words) > most {
		return strings.Join(words[:most], ", ") + " or one of " + strconv.Itoa(len(words)-most) + " more"
	}
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// elsewhere gives the words that other gateways use for what we call otherwise,
// and those that people try first.
func elsewhere(word string) []string {
	switch strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(word)) {
	case "upstream", "upstreams", "backends", "clusters", "targets", "origin", "origins":
		return []string{"services", "urls"}
	case "server", "servers", "entrypoints", "http", "ports", "bind":
		return []string{"listen"}
	case "endpoints", "hosts", "instances", "loadbalancer":
		return []string{"urls", "services"}
	case "location", "locations", "paths", "rules", "virtualhosts":
		return []string{"routes"}
	case "uri", "path", "prefix", "predicates", "when":
		return []string{"match", "url"}
	case "service", "backend", "destination", "target", "proxypass", "forwardto":
		return []string{"to", "services"}
	case "plugins", "plugin", "middlewares", "middleware", "use", "handlers", "filter":
		return []string{"filters"}
	case "lb", "policy", "lbpolicy", "loadbalancing", "algorithm":
		return []string{"balance"}
	case "gzip", "br", "brotli", "zstd", "encode", "compression":
		return []string{"compress"}
	case "setheader", "addheader", "header", "setheaders", "proxysetheader", "responseheaders", "requestheaders":
		return []string{"headers"}
	case "stripprefix", "trimprefix":
		return []string{"strip"}
	case "addprefix":
		return []string{"prefix"}
	case "rewritetarget", "rewritepath", "replacepath", "replacepathregex":
		return []string{"rewrite"}
	case "return", "static", "staticfiles", "fileserver", "mock", "directresponse", "fixedresponse":
		return []string{"respond"}
	case "allow", "deny", "whitelist", "allowlist", "ipallowlist", "ipwhitelist", "ipfilter", "denylist":
		return []string{"ip"}
	case "canary", "weighted", "trafficsplit", "abtest":
		return []string{"split"}
	case "shadow", "mirroring", "tee":
		return []string{"mirror"}
	case "errorpage", "errorpages", "handleerrors":
		return []string{"errors"}
	case "requestid", "correlationid", "xrequestid":
		return []string{"request-id"}
	case "maxbodysize", "clientmaxbodysize", "requestsize", "sizelimit", "requestbody":
		return []string{"body"}
	case "certificate", "certs", "ssl":
		return []string{"certificates", "tls"}
	default:
		return nil
	}
}

// meant is the fix for a word that is none of words.
func meant(word string, words []string) string {
	for _, w := range elsewhere(word) {
		if slices.Contains(words, w) {
			return "write " + strconv.Quote(w)
		}
	}
	if w := nearest(word, words); w != "" {
		return "write " + strconv.Quote(w)
	}
	if w := extended(word, words); w != "" {
		return "write " + strconv.Quote(w)
	}
	if len(words) == 0 {
		return "remove it"
	}
	// "timeout" may be any of connect-timeout, try-timeout.
	var parts []string
	for _, w := range words {
		for part := range strings.SplitSeq(w, "-") {
			if len(part) > 3 && nearest(word, []string{part}) != "" {
				parts = append(parts, w)
				break
			}
		}
	}
	if parts != nil {
		words = parts
	}
	return "write " + orWords(words)
}
