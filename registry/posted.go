package registry

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// posted is an instance as a client sent it, in either format, before defaults.
// Its JSON keys are matched in any case, so that overriddenstatus is taken too.
type posted struct {
	InstanceID   text          `json:"instanceId"`
	HostName     text          `json:"hostName"`
	App          text          `json:"app"`
	IPAddr       text          `json:"ipAddr"`
	SID          text          `json:"sid"`
	Group        text          `json:"appGroupName"`
	Status       text          `json:"status"`
	Overridden   text          `json:"overriddenStatus"`
	Port         *postedPort   `json:"port"`
	SecurePort   *postedPort   `json:"securePort"`
	CountryID    number        `json:"countryId"`
	DataCenter   *postedCenter `json:"dataCenterInfo"`
	Lease        postedLease   `json:"leaseInfo"`
	Meta         pairs         `json:"metadata"`
	HomePage     text          `json:"homePageUrl"`
	StatusPage   text          `json:"statusPageUrl"`
	HealthCheck  text          `json:"healthCheckUrl"`
	SecureHealth text          `json:"secureHealthCheckUrl"`
	VIP          text          `json:"vipAddress"`
	SecureVIP    text          `json:"secureVipAddress"`
	Coordinating text          `json:"isCoordinatingDiscoveryServer"`
	Updated      number        `json:"lastUpdatedTimestamp"`
	Dirty        number        `json:"lastDirtyTimestamp"`
	Action       text          `json:"actionType"`
	ASG          text          `json:"asgName"`
}

type postedPort struct {
	Number  number `json:"$"`
	Enabled text   `json:"@enabled"`
}

type postedCenter struct {
	Class text  `json:"@class"`
	Name  text  `json:"name"`
	Meta  pairs `json:"metadata"`
}

type postedLease struct {
	Renewal    number `json:"renewalIntervalInSecs"`
	Duration   number `json:"durationInSecs"`
	Registered number `json:"registrationTimestamp"`
	Renewed    number `json:"lastRenewalTimestamp"`
	ServiceUp  number `json:"serviceUpTimestamp"`
}

// instance fills in what was left out (specification §6). now is the wall clock
// in milliseconds.
func (p *posted) instance(now int64) *Instance {
	in := &Instance{
		ID: string(p.InstanceID), HostName: string(p.HostName), App: strings.ToUpper(string(p.App)), IPAddr: string(p.IPAddr),
		SID: cmp.Or(string(p.SID), "na"), Group: string(p.Group), CountryID: int(cmp.Or(p.CountryID, 1)),
		Status: Up, Port: p.Port.port(7001, true), SecurePort: p.SecurePort.port(7002, false),
		RenewalSecs: seconds(p.Lease.Renewal), DurationSecs: seconds(p.Lease.Duration),
		Registered: int64(p.Lease.Registered), ServiceUp: int64(p.Lease.ServiceUp), Meta: p.Meta,
		HomePage: string(p.HomePage), StatusPage: string(p.StatusPage), HealthCheck: string(p.HealthCheck),
		SecureHealthCheck: string(p.SecureHealth), VIP: string(p.VIP), SecureVIP: string(p.SecureVIP), ASG: string(p.ASG),
		Updated: int64(p.Updated), Dirty: cmp.Or(int64(p.Dirty), now),
	}
	if p.Status != "" {
		in.Status, _ = parseStatus(string(p.Status))
	}
	in.Overridden, _ = parseStatus(string(p.Overridden))
	if c := p.DataCenter; c != nil {
		in.DataCenter = DataCenter{Class: plainCenter, Name: string(c.Name)}
		if c.Name == "Amazon" {
			in.DataCenter.Class, in.DataCenter.Meta = amazonCenter, c.Meta
		}
	}
	in.ID = identity(in)
	return in
}

// identity is the id of an instance that did not name one (specification §2).
func identity(in *Instance) string {
	if in.ID != "" {
		return in.ID
	}
	for _, p := range in.DataCenter.Meta {
		if p.Key == "instance-id" && p.Value != "" {
			return p.Value
		}
	}
	if id := in.meta("instanceId"); id != "" {
		if in.HostName == "" || strings.HasPrefix(id, in.HostName+":") {
			return id
		}
		return in.HostName + ":" + id
	}
	return in.HostName
}

func (p *postedPort) port(number int, enabled bool) Port {
	if p == nil {
		return Port{number, enabled}
	}
	out := Port{int(p.Number), enabled}
	if p.Number == 0 {
		out.Number = number
	}
	if p.Enabled != "" {
		out.Enabled = strings.EqualFold(string(p.Enabled), "true")
	}
	return out
}

// seconds keeps a foreign number inside an int.
func seconds(n number) int { return int(min(max(n, -1), maxDuration+1)) }

// sortPairs orders metadata by key and drops what Java's serialiser adds; of a
// key that came twice the last counts.
func sortPairs(list []Pair) []Pair {
	slices.SortStableFunc(list, func(a, b Pair) int { return strings.Compare(a.Key, b.Key) })
	out := list[:0]
	for _, p := range list {
		switch {
		case p.Key == "@class":
		case len(out) > 0 && out[len(out)-1].Key == p.Key:
			out[len(out)-1] = p
		default:
			out = append(out, p)
		}
	}
	return out
}

// text is a scalar of any kind, as its text.
type text string

// number is a whole number that may come as a text; anything that is none is 0.
type number int64

func parseNumber(s string) number {
	s = strings.TrimSpace(s)
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || f != f || f < -(1<<53) || f > 1<<53 {
			return 0
		}
		n = int64(f)
	}
	return number(n)
}
