package registry

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"
)

// ErrUnknown is what operators are told of an application or an instance that
// is not registered.
var ErrUnknown = errors.New("it is not registered")

// InstanceDetails is a whole instance, as operators see it. Times without a
// value are left out.
type InstanceDetails struct {
	App string `json:"app"`
	InstanceView
	HostName    string            `json:"host_name"`
	IPAddr      string            `json:"ip"`
	Port        PortView          `json:"port"`
	SecurePort  PortView          `json:"secure_port"`
	VIP         string            `json:"vip,omitempty"`
	SecureVIP   string            `json:"secure_vip,omitempty"`
	Group       string            `json:"group,omitempty"`
	ASG         string            `json:"asg,omitempty"`
	DataCenter  string            `json:"data_center"`
	Machine     map[string]string `json:"machine,omitempty"` // what Amazon tells of it
	HomePage    string            `json:"home_page,omitempty"`
	StatusPage  string            `json:"status_page,omitempty"`
	HealthCheck string            `json:"health_check,omitempty"`
	RenewalSecs int               `json:"renewal_s"`
	LeaseSecs   int               `json:"lease_s"`
	Registered  *time.Time        `json:"registered,omitempty"`
	UpSince     *time.Time        `json:"up_since,omitempty"`
	Updated     *time.Time        `json:"updated,omitempty"`
	Dirty       *time.Time        `json:"dirty,omitempty"` // lastDirtyTimestamp, by the clock of its machine
	Action      string            `json:"action"`
	Finding     string            `json:"finding,omitempty"`
}

// PortView is a port that is open or not.
type PortView struct {
	Number  int  `json:"number"`
	Enabled bool `json:"enabled"`
}

// details is a whole instance.
func (g *Registry) details(rec *record) *InstanceDetails {
	g.mu.RLock()
	finding := g.findings[rec.App+"/"+rec.ID].Text
	g.mu.RUnlock()
	d := &InstanceDetails{
		App: rec.App, InstanceView: g.full(rec), HostName: rec.HostName, IPAddr: rec.IPAddr,
		Port: PortView(rec.Port), SecurePort: PortView(rec.SecurePort), VIP: rec.VIP, SecureVIP: rec.SecureVIP,
		Group: rec.Group, ASG: rec.ASG, DataCenter: rec.DataCenter.Name,
		HomePage: rec.HomePage, StatusPage: rec.StatusPage, HealthCheck: rec.HealthCheck,
		RenewalSecs: rec.RenewalSecs, LeaseSecs: rec.DurationSecs,
		Registered: moment(rec.Registered), UpSince: moment(rec.ServiceUp), Updated: moment(rec.Updated), Dirty: moment(rec.Dirty),
		Action: rec.Action.String(), Finding: finding,
	}
	if len(rec.DataCenter.Meta) > 0 {
		d.Machine = metaMap(rec.DataCenter.Meta)
	}
	return d
}

// moment is a time on the wire as a time; nil when there is none.
func moment(ms int64) *time.Time {
	if ms <= 0 {
		return nil
	}
	t := time.UnixMilli(ms).UTC()
	return &t
}

// Details gives a whole instance, or ErrUnknown. The application may be written
// in any case, the id may not.
func (g *Registry) Details(app, id string) (*InstanceDetails, error) {
	g.mu.RLock()
	rec := g.records[key{strings.ToUpper(app), id}]
	g.mu.RUnlock()
	if rec == nil {
		return nil, ErrUnknown
	}
	return g.details(rec), nil
}

// SetStatus overrides the status of an instance by a word of the protocol, here
// and at the peers, until the override is cleared or the instance leaves; its
// lease begins anew with it, as the protocol wants it. The error is ErrUnknown
// or says what is wrong with the word.
func (g *Registry) SetStatus(app, id, status string) error {
	value, err := statusWord(status)
	if err != nil {
		return err
	}
	return known(g.setStatus(key{strings.ToUpper(app), id}, value, 0, false))
}

// ClearStatus removes an override. The instance shows status ("" for UP) until
// it reports another; without an override nothing changes. Errors are those of
// SetStatus.
func (g *Registry) ClearStatus(app, id, status string) error {
	value := Up
	if status != "" {
		var err error
		if value, err = statusWord(status); err != nil {
			return err
		}
	}
	return known(g.clearStatus(key{strings.ToUpper(app), id}, value, 0, false))
}

// Remove ends the lease of an instance, here and at the peers. One that lives
// registers again at its next renewal.
func (g *Registry) Remove(app, id string) error {
	return known(g.cancel(key{strings.ToUpper(app), id}, false))
}

// Annotate merges metadata into what an instance has, here and at the peers. It
// stays until the instance registers again. The error is ErrUnknown or names
// the entry that is out of bounds; then nothing changes.
func (g *Registry) Annotate(app, id string, meta map[string]string) error {
	list := make([]Pair, 0, len(meta))
	for _, k := range slices.Sorted(maps.Keys(meta)) {
		list = append(list, Pair{k, meta[k]})
	}
	found, err := g.annotate(key{strings.ToUpper(app), id}, list)
	if err != nil {
		return err
	}
	return known(found)
}

func known(found bool) error {
	if !found {
		return ErrUnknown
	}
	return nil
}

// statusWord reads a status that an operator wrote.
func statusWord(word string) (Status, error) {
	s, ok := parseStatus(word)
	if !ok {
		return Unknown, refuse("status %q is none of UP, DOWN, STARTING, OUT_OF_SERVICE, UNKNOWN", word)
	}
	return s, nil
}
