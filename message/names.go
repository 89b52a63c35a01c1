package message

// ID names a known field name, so that comparing one costs one byte. Other is
// every name that is not in this list.
type ID uint8

// The known field names.
const (
	Other ID = iota
	Accept
	AcceptEncoding
	AcceptRanges
	AccessControlAllowCredentials
	AccessControlAllowHeaders
	AccessControlAllowMethods
	AccessControlAllowOrigin
	AccessControlExposeHeaders
	AccessControlMaxAge
	AccessControlRequestHeaders
	AccessControlRequestMethod
	Age
	Allow
	AltSvc
	Authorization
	B3
	CacheControl
	CacheGroupInvalidation
	CacheGroups
	CacheStatus
	CacheTag
	CDNCacheControl
	ClientCert
	ClientCertChain
	Connection
	ContentEncoding
	ContentLength
	ContentLocation
	ContentMD5
	ContentRange
	ContentType
	Cookie
	Date
	Digest
	EarlyData
	ETag
	Expect
	Expires
	Forwarded
	GrpcMessage
	GrpcStatus
	GrpcTimeout
	Host
	HTTP2Settings
	IdempotencyKey
	IfMatch
	IfModifiedSince
	IfNoneMatch
	IfRange
	IfUnmodifiedSince
	KeepAlive
	LastModified
	Location
	MaxForwards
	Origin
	Pragma
	ProxyAuthenticate
	ProxyAuthenticationInfo
	ProxyAuthorization
	ProxyConnection
	ProxyStatus
	Range
	RetryAfter
	Server
	SetCookie
	SurrogateKey
	TE
	Traceparent
	Tracestate
	Trailer
	TransferEncoding
	Upgrade
	UserAgent
	Vary
	Via
	WWWAuthenticate
	XB3Flags
	XB3ParentSpanID
	XB3Sampled
	XB3SpanID
	XB3TraceID
	XForwardedFor
	XForwardedHost
	XForwardedPort
	XForwardedPrefix
	XForwardedProto
	XForwardedServer
	XMaruAttempt
	XMaruExplain
	XMaruMirror
	XMaruPriority
	XMaruSubject
	XMaruVariant
	XOriginalURL
	XRealIP
	XRequestID
	XRequestTimeoutMs
	XRewriteURL
	numIDs
)

const maxKnownName = 32

// String is the standard spelling of the name.
func (id ID) String() string { return idName[id] }

var idName = [numIDs]string{ //nolint:gochecknoglobals // read-only table
	Accept:                        "Accept",
	AcceptEncoding:                "Accept-Encoding",
	AcceptRanges:                  "Accept-Ranges",
	AccessControlAllowCredentials: "Access-Control-Allow-Credentials",
	AccessControlAllowHeaders:     "Access-Control-Allow-Headers",
	AccessControlAllowMethods:     "Access-Control-Allow-Methods",
	AccessControlAllowOrigin:      "Access-Control-Allow-Origin",
	AccessControlExposeHeaders:    "Access-Control-Expose-Headers",
	AccessControlMaxAge:           "Access-Control-Max-Age",
	AccessControlRequestHeaders:   "Access-Control-Request-Headers",
	AccessControlRequestMethod:    "Access-Control-Request-Method",
	Age:                           "Age",
	Allow:                         "Allow",
	AltSvc:                        "Alt-Svc",
	Authorization:                 "Authorization",
	B3:                            "b3",
	CacheControl:                  "Cache-Control",
	CacheGroupInvalidation:        "Cache-Group-Invalidation",
	CacheGroups:                   "Cache-Groups",
	CacheStatus:                   "Cache-Status",
	CacheTag:                      "Cache-Tag",
	CDNCacheControl:               "CDN-Cache-Control",
	ClientCert:                    "Client-Cert",
	ClientCertChain:               "Client-Cert-Chain",
	Connection:                    "Connection",
	ContentEncoding:               "Content-Encoding",
	ContentLength:                 "Content-Length",
	ContentLocation:               "Content-Location",
	ContentMD5:                    "Content-MD5",
	ContentRange:                  "Content-Range",
	ContentType:                   "Content-Type",
	Cookie:                        "Cookie",
	Date:                          "Date",
	Digest:                        "Digest",
	EarlyData:                     "Early-Data",
	ETag:                          "ETag",
	Expect:                        "Expect",
	Expires:                       "Expires",
	Forwarded:                     "Forwarded",
	GrpcMessage:                   "grpc-message",
	GrpcStatus:                    "grpc-status",
	GrpcTimeout:                   "grpc-timeout",
	Host:                          "Host",
	HTTP2Settings:                 "HTTP2-Settings",
	IdempotencyKey:                "Idempotency-Key",
	IfMatch:                       "If-Match",
	IfModifiedSince:               "If-Modified-Since",
	IfNoneMatch:                   "If-None-Match",
	IfRange:                       "If-Range",
	IfUnmodifiedSince:             "If-Unmodified-Since",
	KeepAlive:                     "Keep-Alive",
	LastModified:                  "Last-Modified",
	Location:                      "Location",
	MaxForwards:                   "Max-Forwards",
	Origin:                        "Origin",
	Pragma:                        "Pragma",
	ProxyAuthenticate:             "Proxy-Authenticate",
	ProxyAuthenticationInfo:       "Proxy-Authentication-Info",
	ProxyAuthorization:            "Proxy-Authorization",
	ProxyConnection:               "Proxy-Connection",
	ProxyStatus:                   "Proxy-Status",
	Range:                         "Range",
	RetryAfter:                    "Retry-After",
	Server:                        "Server",
	SetCookie:                     "Set-Cookie",
	SurrogateKey:                  "Surrogate-Key",
	TE:                            "TE",
	Traceparent:                   "traceparent",
	Tracestate:                    "tracestate",
	Trailer:                       "Trailer",
	TransferEncoding:              "Transfer-Encoding",
	Upgrade:                       "Upgrade",
	UserAgent:                     "User-Agent",
	Vary:                          "Vary",
	Via:                           "Via",
	WWWAuthenticate:               "WWW-Authenticate",
	XB3Flags:                      "X-B3-Flags",
	XB3ParentSpanID:               "X-B3-ParentSpanId",
	XB3Sampled:                    "X-B3-Sampled",
	XB3SpanID:                     "X-B3-SpanId",
	XB3TraceID:                    "X-B3-TraceId",
	XForwardedFor:                 "X-Forwarded-For",
	XForwardedHost:                "X-Forwarded-Host",
	XForwardedPort:                "X-Forwarded-Port",
	XForwardedPrefix:              "X-Forwarded-Prefix",
	XForwardedProto:               "X-Forwarded-Proto",
	XForwardedServer:              "X-Forwarded-Server",
	XMaruAttempt:                  "X-Maru-Attempt",
	XMaruExplain:                  "X-Maru-Explain",
	XMaruMirror:                   "X-Maru-Mirror",
	XMaruPriority:                 "X-Maru-Priority",
	XMaruSubject:                  "X-Maru-Subject",
	XMaruVariant:                  "X-Maru-Variant",
	XOriginalURL:                  "X-Original-URL",
	XRealIP:                       "X-Real-IP",
	XRequestID:                    "X-Request-Id",
	XRequestTimeoutMs:             "X-Request-Timeout-Ms",
	XRewriteURL:                   "X-Rewrite-URL",
}

// knownName is one candidate of NameID: first and last are lower-case octets that
// rule most candidates out before the whole name is compared.
type knownName struct {
	first, last byte
	id          ID
}

// NameID gives the ID of a field name, any case; Other for an unknown one.
func NameID(name string) ID {
	if len(name) < 2 || len(name) > maxKnownName {
		return Other
	}
	first, last := name[0]|0x20, name[len(name)-1]|0x20
	for _, k := range namesByLen[len(name)] {
		if k.first == first && k.last == last && equalFold(name, idName[k.id]) {
			return k.id
		}
	}
	return Other
}

// equalFold compares two strings of equal length without regard to ASCII case.
func equalFold(a, b string) bool {
	for i := range len(a) {
		x, y := a[i], b[i]
		if x == y {
			continue
		}
		if x|0x20 != y|0x20 || x|0x20 < 'a' || x|0x20 > 'z' {
			return false
		}
	}
	return true
}

var namesByLen = [maxKnownName + 1][]knownName{ //nolint:gochecknoglobals // read-only table
	2: {
		{'b', '3', B3},
		{'t', 'e', TE},
	},
	3: {
		{'a', 'e', Age},
		{'v', 'a', Via},
	},
	4: {
		{'d', 'e', Date},
		{'e', 'g', ETag},
		{'h', 't', Host},
		{'v', 'y', Vary},
	},
	5: {
		{'a', 'w', Allow},
		{'r', 'e', Range},
	},
	6: {
		{'a', 't', Accept},
		{'c', 'e', Cookie},
		{'d', 't', Digest},
		{'e', 't', Expect},
		{'o', 'n', Origin},
		{'p', 'a', Pragma},
		{'s', 'r', Server},
	},
	7: {
		{'a', 'c', AltSvc},
		{'e', 's', Expires},
		{'t', 'r', Trailer},
		{'u', 'e', Upgrade},
	},
	8: {
		{'i', 'h', IfMatch},
		{'i', 'e', IfRange},
		{'l', 'n', Location},
	},
	9: {
		{'c', 'g', CacheTag},
		{'f', 'd', Forwarded},
		{'x', 'p', XRealIP},
	},
	10: {
		{'c', 'n', Connection},
		{'e', 'a', EarlyData},
		{'k', 'e', KeepAlive},
		{'s', 'e', SetCookie},
		{'t', 'e', Tracestate},
		{'u', 't', UserAgent},
		{'x', 's', XB3Flags},
	},
	11: {
		{'c', 't', ClientCert},
		{'c', '5', ContentMD5},
		{'g', 's', GrpcStatus},
		{'r', 'r', RetryAfter},
		{'t', 't', Traceparent},
		{'x', 'd', XB3SpanID},
	},
	12: {
		{'c', 's', CacheGroups},
		{'c', 's', CacheStatus},
		{'c', 'e', ContentType},
		{'g', 'e', GrpcMessage},
		{'g', 't', GrpcTimeout},
		{'m', 's', MaxForwards},
		{'p', 's', ProxyStatus},
		{'x', 'd', XB3Sampled},
		{'x', 'd', XB3TraceID},
		{'x', 'd', XRequestID},
	},
	13: {
		{'a', 's', AcceptRanges},
		{'a', 'n', Authorization},
		{'c', 'l', CacheControl},
		{'c', 'e', ContentRange},
		{'i', 'h', IfNoneMatch},
		{'l', 'd', LastModified},
		{'s', 'y', SurrogateKey},
		{'x', 'r', XMaruMirror},
		{'x', 'l', XRewriteURL},
	},
	14: {
		{'c', 'h', ContentLength},
		{'h', 's', HTTP2Settings},
		{'x', 't', XMaruAttempt},
		{'x', 'n', XMaruExplain},
		{'x', 't', XMaruSubject},
		{'x', 't', XMaruVariant},
		{'x', 'l', XOriginalURL},
	},
	15: {
		{'a', 'g', AcceptEncoding},
		{'i', 'y', IdempotencyKey},
		{'x', 'r', XForwardedFor},
		{'x', 'y', XMaruPriority},
	},
	16: {
		{'c', 'g', ContentEncoding},
		{'c', 'n', ContentLocation},
		{'p', 'n', ProxyConnection},
		{'w', 'e', WWWAuthenticate},
		{'x', 't', XForwardedHost},
		{'x', 't', XForwardedPort},
	},
	17: {
		{'c', 'l', CDNCacheControl},
		{'c', 'n', ClientCertChain},
		{'i', 'e', IfModifiedSince},
		{'t', 'g', TransferEncoding},
		{'x', 'd', XB3ParentSpanID},
		{'x', 'o', XForwardedProto},
	},
	18: {
		{'p', 'e', ProxyAuthenticate},
		{'x', 'x', XForwardedPrefix},
		{'x', 'r', XForwardedServer},
	},
	19: {
		{'i', 'e', IfUnmodifiedSince},
		{'p', 'n', ProxyAuthorization},
	},
	20: {
		{'x', 's', XRequestTimeoutMs},
	},
	22: {
		{'a', 'e', AccessControlMaxAge},
	},
	24: {
		{'c', 'n', CacheGroupInvalidation},
	},
	25: {
		{'p', 'o', ProxyAuthenticationInfo},
	},
	27: {
		{'a', 'n', AccessControlAllowOrigin},
	},
	28: {
		{'a', 's', AccessControlAllowHeaders},
		{'a', 's', AccessControlAllowMethods},
	},
	29: {
		{'a', 's', AccessControlExposeHeaders},
		{'a', 'd', AccessControlRequestMethod},
	},
	30: {
		{'a', 's', AccessControlRequestHeaders},
	},
	32: {
		{'a', 's', AccessControlAllowCredentials},
	},
}
