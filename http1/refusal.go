package http1

// Refusal is the verdict on a message that is not taken. Status is what the
// client gets: 400 to 505 for its own message, 502 for a service's. Drop means
// that the connection is closed without an answer. Refusals are compared by
// Reason; all of them exist once, so that refusing does not allocate.
type Refusal struct {
	Status int
	Reason string
	Drop   bool

	detail   string
	upstream *Refusal // the same fault in a service's message
}

// Error gives reason and detail.
func (r *Refusal) Error() string { return r.Reason + ": " + r.detail }

// Detail says in one sentence what is wrong, fit for the client.
func (r *Refusal) Detail() string { return r.detail }

// on gives r for a client's message, and its twin with status 502 for a service's.
func (r *Refusal) on(response bool) *Refusal {
	if response && r.upstream != nil {
		return r.upstream
	}
	return r
}

func refuse(status int, reason, detail string) *Refusal {
	return &Refusal{
		Status: status, Reason: reason, detail: detail,
		upstream: &Refusal{Status: 502, Reason: reason, detail: detail},
	}
}

// The reason words. They are the label of maru_http1_refused_total and stay stable.
const (
	ReasonTargetTooLong        = "target_too_long"
	ReasonMethodTooLong        = "method_too_long"
	ReasonHeadTooLarge         = "head_too_large"
	ReasonTooManyFields        = "too_many_fields"
	ReasonNameTooLong          = "name_too_long"
	ReasonTrailerTooLarge      = "trailer_too_large"
	ReasonChunkLineTooLong     = "chunk_line_too_long"
	ReasonChunkOverhead        = "chunk_overhead"
	ReasonBodyTooLarge         = "body_too_large"
	ReasonResponseHeadTooLarge = "response_head_too_large"
	ReasonTooManyInterim       = "too_many_interim"
	ReasonUnexpected101        = "unexpected_101"
	ReasonLeadingLines         = "leading_lines"
	ReasonBareLF               = "bare_lf"
	ReasonBareCR               = "bare_cr"
	ReasonLeadingSpace         = "leading_space"
	ReasonRequestLine          = "request_line"
	ReasonVersion              = "version"
	ReasonMethod               = "method"
	ReasonMethodCase           = "method_case"
	ReasonMethodNotAllowed     = "method_not_allowed"
	ReasonTargetOctet          = "target_octet"
	ReasonBackslash            = "backslash"
	ReasonPercent              = "percent"
	ReasonPercentControl       = "percent_control"
	ReasonAuthorityMismatch    = "authority_mismatch"
	ReasonTargetForm           = "target_form"
	ReasonSpaceBeforeColon     = "space_before_colon"
	ReasonObsFold              = "obs_fold"
	ReasonFieldName            = "field_name"
	ReasonFieldValue           = "field_value"
	ReasonDuplicateSingleton   = "duplicate_singleton"
	ReasonFramingLookalike     = "framing_lookalike"
	ReasonHostMissing          = "host_missing"
	ReasonHostMany             = "host_many"
	ReasonHostEmpty            = "host_empty"
	ReasonHostSyntax           = "host_syntax"
	ReasonHostPort             = "host_port"
	ReasonCLTE                 = "cl_te"
	ReasonCLMany               = "cl_many"
	ReasonCLSyntax             = "cl_syntax"
	ReasonCLRange              = "cl_range"
	ReasonTEUnsupported        = "te_unsupported"
	ReasonTESyntax             = "te_syntax"
	ReasonTEMany               = "te_many"
	ReasonTEOn10               = "te_on_10"
	ReasonStatusLine           = "status_line"
	ReasonChunkSize            = "chunk_size"
	ReasonChunkSpace           = "chunk_space"
	ReasonChunkExt             = "chunk_ext"
	ReasonChunkLF              = "chunk_lf"
	ReasonChunkEnd             = "chunk_end"
	ReasonTrailerFraming       = "trailer_framing"
	ReasonConnectionSyntax     = "connection_syntax"
	ReasonConnectionProtected  = "connection_protected"
	ReasonConnectionSpecific   = "connection_specific"
	ReasonExpectation          = "expectation"
	ReasonHeadTimeout          = "head_timeout"
	ReasonBodyTimeout          = "body_timeout"
)

//nolint:gochecknoglobals // read-only tables
var (
	refuseTargetTooLong        = refuse(414, ReasonTargetTooLong, "the request line is longer than the limit")
	refuseMethodTooLong        = refuse(501, ReasonMethodTooLong, "the method is longer than 32 bytes")
	refuseHeadTooLarge         = refuse(431, ReasonHeadTooLarge, "the request head is larger than the limit")
	refuseTooManyFields        = refuse(431, ReasonTooManyFields, "the request has more header fields than the limit")
	refuseNameTooLong          = refuse(431, ReasonNameTooLong, "a field name is longer than the limit")
	refuseTrailerTooLarge      = refuse(400, ReasonTrailerTooLarge, "the trailer section is larger than the limit")
	refuseChunkLineTooLong     = refuse(400, ReasonChunkLineTooLong, "a chunk-size line is longer than the limit")
	refuseChunkOverhead        = refuse(400, ReasonChunkOverhead, "the chunks are too small for the framing around them")
	refuseBodyTooLarge         = refuse(413, ReasonBodyTooLarge, "the request body is larger than the limit")
	refuseResponseHeadTooLarge = refuse(502, ReasonResponseHeadTooLarge, "the service's response head is larger than the limit")
	refuseTooManyInterim       = refuse(502, ReasonTooManyInterim, "the service sent too many interim responses")
	refuseUnexpected101        = refuse(502, ReasonUnexpected101, "the service switched protocols without being asked")
	refuseLeadingLines         = refuse(400, ReasonLeadingLines, "more than one empty line stands before the request line")
	refuseBareLF               = refuse(400, ReasonBareLF, "a line ends in LF without CR")
	refuseBareCR               = refuse(400, ReasonBareCR, "a CR stands without LF behind it")
	refuseLeadingSpace         = refuse(400, ReasonLeadingSpace, "white space stands before the first header field")
	refuseRequestLine          = refuse(400, ReasonRequestLine, "the request line is not method, target and version with single spaces")
	refuseVersion              = refuse(400, ReasonVersion, "the request line holds no valid HTTP version")
	refuseOtherVersion         = refuse(505, ReasonVersion, "the HTTP version is not supported here")
	refuseMethod               = refuse(400, ReasonMethod, "the method is not a token")
	refuseMethodCase           = refuse(400, ReasonMethodCase, "methods are case-sensitive: write it in upper case")
	refuseMethodNotAllowed     = refuse(405, ReasonMethodNotAllowed, "the method is not served here")
	refuseTargetOctet          = refuse(400, ReasonTargetOctet, "the request target holds an octet that must be percent-encoded")
	refuseBackslash            = refuse(400, ReasonBackslash, "the path holds a backslash")
	refusePercent              = refuse(400, ReasonPercent, "the path holds a percent sign without two hex digits")
	refusePercentControl       = refuse(400, ReasonPercentControl, "the path holds an encoded control character")
	refuseAuthorityMismatch    = refuse(400, ReasonAuthorityMismatch, "the request target and the Host field name different authorities")
	refuseTargetForm           = refuse(400, ReasonTargetForm, "the request target has a form that this method does not take")
	refuseSpaceBeforeColon     = refuse(400, ReasonSpaceBeforeColon, "white space stands between a field name and its colon")
	refuseObsFold              = refuse(400, ReasonObsFold, "a header field is folded over several lines")
	refuseFieldName            = refuse(400, ReasonFieldName, "a field line has no valid name")
	refuseFieldValue           = refuse(400, ReasonFieldValue, "a field value holds a control character")
	refuseDuplicateSingleton   = refuse(400, ReasonDuplicateSingleton, "a field that may stand once stands twice")
	refuseFramingLookalike     = refuse(400, ReasonFramingLookalike, "a field name imitates Content-Length or Transfer-Encoding")
	refuseHostMissing          = refuse(400, ReasonHostMissing, "the Host field is missing")
	refuseHostMany             = refuse(400, ReasonHostMany, "the Host field stands more than once")
	refuseHostEmpty            = refuse(400, ReasonHostEmpty, "the Host field is empty")
	refuseHostSyntax           = refuse(400, ReasonHostSyntax, "the host is neither a name nor an IP address")
	refuseHostPort             = refuse(400, ReasonHostPort, "the port of the host is not a number from 1 to 65535")
	refuseCLTE                 = refuse(400, ReasonCLTE, "Content-Length and Transfer-Encoding stand together")
	refuseCLMany               = refuse(400, ReasonCLMany, "Content-Length stands more than once")
	refuseCLSyntax             = refuse(400, ReasonCLSyntax, "Content-Length is not a plain decimal number")
	refuseCLRange              = refuse(400, ReasonCLRange, "Content-Length has more than 18 digits")
	refuseTEUnsupported        = refuse(501, ReasonTEUnsupported, "the only transfer coding served here is chunked")
	refuseTESyntax             = refuse(400, ReasonTESyntax, "Transfer-Encoding is not exactly chunked")
	refuseTEMany               = refuse(400, ReasonTEMany, "Transfer-Encoding or chunked stands more than once")
	refuseTEOn10               = refuse(400, ReasonTEOn10, "Transfer-Encoding stands in an HTTP/1.0 message")
	refuseStatusLine           = refuse(502, ReasonStatusLine, "the service's status line is not valid")
	refuseChunkSize            = refuse(400, ReasonChunkSize, "a chunk size is not 1 to 15 hex digits")
	refuseChunkSpace           = refuse(400, ReasonChunkSpace, "white space stands around a chunk size")
	refuseChunkExt             = refuse(400, ReasonChunkExt, "a chunk extension is malformed")
	refuseChunkLF              = refuse(400, ReasonChunkLF, "a line of the chunked coding does not end in CRLF")
	refuseChunkEnd             = refuse(400, ReasonChunkEnd, "a chunk does not end in CRLF")
	refuseTrailerFraming       = refuse(400, ReasonTrailerFraming, "a field that frames or routes the message stands in the trailer section")
	refuseConnectionSyntax     = refuse(400, ReasonConnectionSyntax, "the Connection field is not a list of at most 16 tokens")
	refuseConnectionProtected  = refuse(400, ReasonConnectionProtected, "the Connection field names a field that must not be removed")
	refuseConnectionSpecific   = refuse(400, ReasonConnectionSpecific, "a field of HTTP/1.1 connections stands in an HTTP/2 or HTTP/3 message")
	refuseExpectation          = refuse(417, ReasonExpectation, "the only expectation served here is 100-continue")
	refuseHeadTimeout          = refuse(408, ReasonHeadTimeout, "the request head took too long")
	refuseBodyTimeout          = refuse(408, ReasonBodyTimeout, "the request body took too long")
)
