package registry

import (
	"fmt"
	"slices"
	"strings"
)

// Status is what an instance says of itself, or what an operator said for it.
type Status uint8

// The statuses of the protocol; anything else is read as Unknown.
const (
	Unknown Status = iota
	Up
	Down
	Starting
	OutOfService
	statuses // how many there are
)

// String gives the word on the wire.
func (s Status) String() string {
	switch s {
	case Up:
		return "UP"
	case Down:
		return "DOWN"
	case Starting:
		return "STARTING"
	case OutOfService:
		return "OUT_OF_SERVICE"
	default:
		return "UNKNOWN"
	}
}

// parseStatus reads the word on the wire in any case; false when it is none.
func parseStatus(word string) (Status, bool) {
	for s := range statuses {
		if strings.EqualFold(word, s.String()) {
			return s, true
		}
	}
	return Unknown, false
}

// Action is how an instance came into the change log.
type Action uint8

// The actions of the protocol.
const (
	Added Action = iota
	Modified
	Deleted
)

// String gives the word on the wire.
func (a Action) String() string {
	switch a {
	case Modified:
		return "MODIFIED"
	case Deleted:
		return "DELETED"
	default:
		return "ADDED"
	}
}

// Port is a port that is open or not.
type Port struct {
	Number  int
	Enabled bool
}

// Pair is one entry of metadata.
type Pair struct{ Key, Value string }

// DataCenter is where an instance runs.
type DataCenter struct {
	// Class is the Java class that clients want to see.
	Class string
	// Name is Netflix, Amazon or MyOwn.
	Name string
	// Meta is what Amazon tells of the machine, sorted by key.
	Meta []Pair
}

// Instance is one registered process. It is immutable once it is in the
// registry: a change makes a new one. Times are milliseconds since 1970.
type Instance struct {
	ID, App, HostName, IPAddr, SID, Group string
	Status, Overridden                    Status
	Port, SecurePort                      Port
	CountryID                             int
	DataCenter                            DataCenter
	// RenewalSecs is how often the instance says that it lives, DurationSecs
	// how long it is believed without.
	RenewalSecs, DurationSecs int
	Registered, ServiceUp     int64
	// Meta is sorted by key.
	Meta                                                 []Pair
	HomePage, StatusPage, HealthCheck, SecureHealthCheck string
	VIP, SecureVIP, ASG                                  string
	Coordinating                                         bool
	Updated, Dirty                                       int64
	Action                                               Action
}

// Limits of what one instance may bring (specification §7).
const (
	maxBody       = 64 << 10
	maxField      = 2 << 10
	maxID         = 256
	maxMeta       = 64
	maxMetaBytes  = 16 << 10
	maxRenewal    = 86_400
	maxDuration   = 604_800
	plainCenter   = "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo"
	amazonCenter  = "com.netflix.appinfo.AmazonInfo"
	emptyMapClass = "java.util.Collections$EmptyMap"
)

// meta gives a value of the metadata, or "".
func (in *Instance) meta(key string) string {
	if i, ok := slices.BinarySearchFunc(in.Meta, key, func(p Pair, k string) int { return strings.Compare(p.Key, k) }); ok {
		return in.Meta[i].Value
	}
	return ""
}

// key names an instance in the registry.
type key struct{ app, id string }

func (in *Instance) key() key { return key{in.App, in.ID} }

// refusal is the text of a 400.
type refusal string

func (r refusal) Error() string { return string(r) }

// refuse makes the text of a 400.
func refuse(format string, args ...any) error { return refusal(fmt.Sprintf(format, args...)) }

// check finds what makes an instance unacceptable, in the words that clients of
// the original know. app is the name in the path, "" when there is none.
func (in *Instance) check(app string) error {
	for _, f := range []struct{ value, name string }{
		{in.ID, "instanceId"},
		{in.HostName, "hostname"},
		{in.IPAddr, "ip address"},
		{in.App, "appName"},
		{in.DataCenter.Class, "dataCenterInfo"},
		{in.DataCenter.Name, "dataCenterInfo Name"},
	} {
		if strings.TrimSpace(f.value) == "" {
			return refuse("Missing %s", f.name)
		}
	}
	if app != "" && in.App != app {
		return refuse("Mismatched appName, expecting %s but was %s", app, in.App)
	}
	if !slices.Contains([]string{"Netflix", "Amazon", "MyOwn"}, in.DataCenter.Name) {
		return refuse("dataCenterInfo Name is not Netflix, Amazon or MyOwn")
	}
	if len(in.ID) > maxID {
		return refuse("instanceId is longer than %d bytes", maxID)
	}
	for _, p := range []struct {
		name string
		Port
	}{{"port", in.Port}, {"securePort", in.SecurePort}} {
		if p.Enabled && (p.Number < 0 || p.Number > 65535) {
			return refuse("%s %d is not between 0 and 65535", p.name, p.Number)
		}
	}
	if err := in.checkTexts(); err != nil {
		return err
	}
	return checkMeta(in.Meta)
}

func (in *Instance) checkTexts() error {
	for _, f := range []struct{ name, value string }{
		{"instanceId", in.ID},
		{"app", in.App},
		{"hostName", in.HostName},
		{"ipAddr", in.IPAddr},
		{"sid", in.SID},
		{"appGroupName", in.Group},
		{"dataCenterInfo class", in.DataCenter.Class},
		{"homePageUrl", in.HomePage},
		{"statusPageUrl", in.StatusPage},
		{"healthCheckUrl", in.HealthCheck},
		{"secureHealthCheckUrl", in.SecureHealthCheck},
		{"vipAddress", in.VIP},
		{"secureVipAddress", in.SecureVIP},
		{"asgName", in.ASG},
	} {
		if err := checkText(f.name, f.value); err != nil {
			return err
		}
	}
	return checkPairs("dataCenterInfo metadata", in.DataCenter.Meta)
}

func checkMeta(meta []Pair) error { return checkPairs("metadata", meta) }

func checkPairs(name string, pairs []Pair) error {
	if len(pairs) > maxMeta {
		return refuse("%s has more than %d entries", name, maxMeta)
	}
	size := 0
	for _, p := range pairs {
		size += len(p.Key) + len(p.Value)
		if err := checkText(name+" key", p.Key); err != nil {
			return err
		}
		if err := checkText(name+" "+p.Key, p.Value); err != nil {
			return err
		}
	}
	if size > maxMetaBytes {
		return refuse("%s is larger than %d bytes", name, maxMetaBytes)
	}
	return nil
}

func checkText(name, value string) error {
	if len(value) > maxField {
		return refuse("%s is longer than %d bytes", name, maxField)
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return refuse("%s has a control character", name)
	}
	return nil
}

// clamp brings lease times into their bounds; true when one was outside.
func (in *Instance) clamp() bool {
	renewal, duration := in.RenewalSecs, in.DurationSecs
	if in.RenewalSecs == 0 {
		in.RenewalSecs, renewal = 30, 30
	}
	if in.DurationSecs <= 0 {
		in.DurationSecs, duration = 90, max(0, duration)+90
	}
	in.RenewalSecs = min(max(in.RenewalSecs, 1), maxRenewal)
	in.DurationSecs = min(in.DurationSecs, maxDuration)
	return in.RenewalSecs != renewal || in.DurationSecs != duration
}

// matches tells whether one part of a VIP address list is exactly vip.
func matches(list, vip string) bool {
	for part := range strings.SplitSeq(list, ",") {
		if part == vip {
			return list != ""
		}
	}
	return false
}
