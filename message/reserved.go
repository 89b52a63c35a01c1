package message

// Reserved tells whether a field name says who a request is from or where it
// came in: what only maru, or a proxy that it trusts, may say. The name is
// compared folded ([Fold]), so that X_Forwarded_User is reserved as well as
// X-Forwarded-User: services fold names, and whole families are reserved rather
// than the members known today.
func Reserved(name string) bool {
	if len(name) < len("forwarded") { // the shortest of all
		return false
	}
	switch name[0] | 0x20 {
	case 'x':
		for _, p := range xPrefixes {
			if foldsOntoPrefix(name, p) {
				return true
			}
		}
	case 'c', 'f', 'r', 's', 't', 'w':
		if foldsOntoPrefix(name, "ssl-client-") || foldsOntoPrefix(name, "cf-access-") {
			return true
		}
	default:
		return false
	}
	for _, n := range reservedNames {
		if len(n) == len(name) && foldsOntoPrefix(name, n) {
			return true
		}
	}
	return false
}

// Plain tells whether a name has only letters, digits and '-': nothing that other
// software would fold.
func Plain(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c != '-' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}

// foldsOntoPrefix tells whether name, folded, begins with prefix.
func foldsOntoPrefix(name, prefix string) bool {
	if len(name) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		c := name[i]
		switch {
		case c >= 'A' && c <= 'Z':
			c |= 0x20
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		default:
			c = '-'
		}
		if c != prefix[i] {
			return false
		}
	}
	return true
}

//nolint:gochecknoglobals // read-only tables
var (
	xPrefixes = [...]string{
		"x-forwarded-", "x-maru-", "x-identity-", "x-auth-request-", "x-ssl-client-", "x-amzn-oidc-",
		"x-goog-iap-", "x-goog-authenticated-", "x-pomerium-",
	}
	reservedNames = [...]string{
		"forwarded", "x-real-ip", "x-original-url", "x-rewrite-url", "client-cert", "client-cert-chain",
		"txn-token", "workload-identity-token", "remote-user", "x-remote-user", "x-webauth-user",
	}
)
