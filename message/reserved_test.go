package message_test

import (
	"strings"
	"testing"

	"github.com/maru-msa/maru/message"
)

func TestReservedNamesInEverySpelling(t *testing.T) {
	t.Parallel()
	names := []string{
		"Forwarded", "X-Forwarded-For", "X-Forwarded-User", "X-Forwarded-Anything", "X-Real-IP", "X-Original-URL", "X-Rewrite-URL",
		"Client-Cert", "Client-Cert-Chain", "X-Forwarded-Client-Cert", "X-Identity-Subject", "X-Maru-Attempt", "X-Auth-Request-Email",
		"X-SSL-Client-Verify", "SSL-Client-Cert", "X-Amzn-Oidc-Data", "X-Goog-IAP-JWT-Assertion", "X-Goog-Authenticated-User-Email",
		"X-Pomerium-Claim", "Cf-Access-Jwt-Assertion", "Txn-Token", "Workload-Identity-Token", "Remote-User", "X-Remote-User", "X-WebAuth-User",
	}
	for _, name := range names {
		for _, spelt := range []string{
			name, strings.ToLower(name), strings.ToUpper(name), strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(name, "-", "."),
			strings.Replace(name, "-", "_", 1), strings.ToUpper(strings.ReplaceAll(name, "-", "~")),
		} {
			if !message.Reserved(spelt) {
				t.Errorf("%q is not reserved", spelt)
			}
			if plain := !strings.ContainsAny(spelt, "_.~"); message.Plain(spelt) != plain {
				t.Errorf("Plain(%q) = %t", spelt, !plain)
			}
		}
	}
	for _, name := range []string{
		"", "X", "Host", "X-Forwarded", "X-Real-IP2", "X-Request-Id", "Forwarded2", "XForwarded-For", "Client-Certificate", "Remote-Users",
		"SSL-Session", "Cf-Ray", "X-Goog-Api-Key", "Content-Type", "traceparent", "X-Mar", "Accept-Forwarded",
	} {
		if message.Reserved(name) {
			t.Errorf("%q is reserved", name)
		}
	}
}
