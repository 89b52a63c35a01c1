package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// dnsSource finds endpoints by DNS and looks again when the records' time to
// live is over.
type dnsSource struct {
	cfg    DNSConfig
	tls    bool
	failed func(error)
	float  func() float64
	resolv string // path of resolv.conf; "" for the system's
}

const (
	// minRefresh is the shortest time between two look-ups, whatever the time
	// to live says.
	minRefresh = time.Second
	dnsTimeout = 2 * time.Second
	// dnsSize is the UDP answer we take; larger ones come by TCP (RFC 6891 §6.2.3).
	dnsSize = 1232
)

// found is the outcome of one look-up.
type found struct {
	addrs []Addr
	ttl   time.Duration
}

// Run looks up until ctx ends. A failed look-up keeps what is known. An empty
// answer counts when it came twice in a row: a resolver that restarts may give
// one by mistake, and it would empty the service.
func (s *dnsSource) Run(ctx context.Context, set func([]Addr) error) error {
	empty, faults := 0, 0
	var last []Addr
	for {
		f, err := s.lookup(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // ended from outside
		}
		wait := min(max(f.ttl, minRefresh), s.cfg.Refresh)
		switch {
		case err != nil:
			faults++
			s.failed(fmt.Errorf("looking up %s: %w", s.cfg.Name, err))
			wait = min(minRefresh<<min(faults-1, 6), s.cfg.Refresh)
		case len(f.addrs) == 0 && empty == 0:
			empty, faults, wait = 1, 0, minRefresh
		default:
			faults = 0
			if len(f.addrs) > 0 {
				empty = 0
			}
			if last == nil || !reflect.DeepEqual(last, f.addrs) {
				if err := set(f.addrs); err != nil {
					s.failed(err)
				}
				last = append([]Addr{}, f.addrs...)
			}
		}
		// A tenth earlier or less, so that gateways don't ask in step.
		wait -= time.Duration(s.float() * float64(wait) / 10)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// lookup asks the servers one after another for the first name that exists.
func (s *dnsSource) lookup(ctx context.Context) (found, error) {
	servers, names, err := s.servers()
	if err != nil {
		return found{}, err
	}
	var last error
	for _, name := range names {
		f, exists, err := s.lookupName(ctx, servers, name)
		if err != nil {
			last = err
			continue
		}
		if exists {
			return f, nil
		}
	}
	return found{ttl: minRefresh}, last
}

func (s *dnsSource) servers() (servers, names []string, err error) {
	if s.cfg.Server != "" {
		return []string{s.cfg.Server}, []string{dns.Fqdn(s.cfg.Name)}, nil
	}
	path := s.resolv
	if path == "" {
		path = "/etc/resolv.conf"
	}
	conf, err := dns.ClientConfigFromFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the resolver's configuration: %w", err)
	}
	for _, a := range conf.Servers {
		servers = append(servers, net.JoinHostPort(a, conf.Port))
	}
	if len(servers) == 0 {
		return nil, nil, errors.New("the resolver's configuration names no server")
	}
	return servers, conf.NameList(s.cfg.Name), nil
}

// lookupName finds the endpoints of one name; exists is false when there is no
// such name.
func (s *dnsSource) lookupName(ctx context.Context, servers []string, name string) (f found, exists bool, err error) {
	if s.cfg.Type == "SRV" {
		return s.lookupSRV(ctx, servers, name)
	}
	hosts, ttl, exists, err := lookupHosts(ctx, servers, name)
	if err != nil {
		return f, false, err
	}
	f.ttl = ttl
	for _, h := range hosts {
		f.addrs = append(f.addrs, Addr{URL: joinHostPort(s.tls, h, strconv.Itoa(s.cfg.Port))})
	}
	return f, exists, nil
}

// lookupHosts asks for A and AAAA records. One kind that fails makes the whole
// look-up fail: half a set would move all traffic onto it.
func lookupHosts(ctx context.Context, servers []string, name string) (hosts []string, ttl time.Duration, exists bool, err error) {
	ttl = 24 * time.Hour
	for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
		m, err := ask(ctx, servers, name, kind)
		if err != nil {
			return nil, 0, false, err
		}
		exists = exists || m.Rcode == dns.RcodeSuccess
		got := false
		for _, rr := range m.Answer {
			switch v := rr.(type) {
			case *dns.A:
				hosts, got = append(hosts, v.A.String()), true
			case *dns.AAAA:
				hosts, got = append(hosts, v.AAAA.String()), true
			}
			ttl = min(ttl, seconds(rr.Header().Ttl))
		}
		if !got {
			ttl = min(ttl, negativeTTL(m))
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts), ttl, exists, nil
}

// negativeTTL is how long an empty answer holds (RFC 2308 §5); without an SOA
// record it says nothing.
func negativeTTL(m *dns.Msg) time.Duration {
	for _, rr := range m.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return seconds(min(soa.Hdr.Ttl, soa.Minttl))
		}
	}
	return 24 * time.Hour
}

func seconds(n uint32) time.Duration { return time.Duration(n) * time.Second }

// lookupSRV takes the targets of the best priority (RFC 2782); their weight
// becomes ours.
func (s *dnsSource) lookupSRV(ctx context.Context, servers []string, name string) (f found, exists bool, err error) {
	m, err := ask(ctx, servers, name, dns.TypeSRV)
	if err != nil {
		return f, false, err
	}
	exists = m.Rcode == dns.RcodeSuccess
	f.ttl = 24 * time.Hour
	var best []*dns.SRV
	for _, rr := range m.Answer {
		f.ttl = min(f.ttl, seconds(rr.Header().Ttl))
		srv, ok := rr.(*dns.SRV)
		if !ok || srv.Target == "." { // "." means that the service is not there
			continue
		}
		if len(best) > 0 && srv.Priority > best[0].Priority {
			continue
		}
		if len(best) > 0 && srv.Priority < best[0].Priority {
			best = best[:0]
		}
		best = append(best, srv)
	}
	if len(best) == 0 {
		f.ttl = min(f.ttl, negativeTTL(m))
	}
	top := 1
	for _, srv := range best {
		top = max(top, int(srv.Weight))
	}
	for _, srv := range best {
		hosts, ttl, _, err := lookupHosts(ctx, servers, srv.Target)
		if err != nil {
			return f, false, fmt.Errorf("target %s: %w", srv.Target, err)
		}
		f.ttl = min(f.ttl, ttl)
		for _, h := range hosts {
			f.addrs = append(f.addrs, Addr{
				URL:    joinHostPort(s.tls, h, strconv.Itoa(int(srv.Port))),
				Weight: max(1, int(srv.Weight)*min(maxWeight, top)/top),
				Meta:   map[string]string{"target": strings.TrimSuffix(srv.Target, ".")},
			})
		}
	}
	return f, exists, nil
}

// ask sends a question to the servers in order until one answers it: yes, or no
// such name. Answers too large for UDP are asked for again by TCP.
func ask(ctx context.Context, servers []string, name string, kind uint16) (*dns.Msg, error) {
	q := new(dns.Msg)
	q.SetQuestion(name, kind)
	q.SetEdns0(dnsSize, false)
	var last error
	for _, server := range servers {
		m, err := exchange(ctx, q, server)
		switch {
		case err != nil:
			last = err
		case m.Rcode == dns.RcodeSuccess || m.Rcode == dns.RcodeNameError:
			return m, nil
		default:
			last = fmt.Errorf("server %s answers %s", server, dns.RcodeToString[m.Rcode])
		}
	}
	return nil, last
}

func exchange(ctx context.Context, q *dns.Msg, server string) (*dns.Msg, error) {
	udp := dns.Client{Net: "udp", Timeout: dnsTimeout, UDPSize: dnsSize}
	m, _, err := udp.ExchangeContext(ctx, q, server)
	if err == nil && m.Truncated {
		tcp := dns.Client{Net: "tcp", Timeout: dnsTimeout}
		m, _, err = tcp.ExchangeContext(ctx, q, server)
	}
	return m, err
}
