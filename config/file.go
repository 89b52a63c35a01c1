package config

import (
	"github.com/maru-msa/maru/edge"
	"github.com/maru-msa/maru/filter"
	"github.com/maru-msa/maru/metrics"
	"github.com/maru-msa/maru/registry"
)

// File is the whole configuration file. It only composes what the packages own.
type File struct {
	edge.Config `yaml:",inline"`

	// Registry is where services register, by Eureka's protocol (default none;
	// "registry: {}" serves it on its defaults).
	Registry *registry.Config `yaml:"registry"`
	// Turbine says whose hystrix.streams are added up in turbine.stream (default
	// only what this process knows itself).
	Turbine metrics.TurbineConfig `yaml:"turbine"`
	// Rules say in what the contracts of all services agree (default nothing).
	Rules Rules `yaml:"rules"`
	// Admin is the operator's API.
	Admin Admin `yaml:"admin"`
	// Log says what is written where.
	Log Log `yaml:"log"`
	// Zone is where this process runs, such as "ap-northeast-2a": services
	// prefer endpoints of the same zone (default none).
	Zone string `yaml:"zone"`
	// SecretFile holds the secret that cookies are signed with, at least 32
	// bytes; without it one is made for the life of the process.
	SecretFile string `yaml:"secret-file"`

	// Source is the text this was read from; never nil after [Load].
	Source *Source `yaml:"-"`
}

// Admin is the operator's API: health, metrics, routes, reload.
type Admin struct {
	// Address is host:port (default "127.0.0.1:7070"), or "off".
	Address string `yaml:"address"`
	// TokenFile holds the token that callers must send; required when the
	// address is not loopback.
	TokenFile string `yaml:"token-file"`
}

// Log says what is written where.
type Log struct {
	// Level of the program's own log: "debug", "info" (default), "warn", "error".
	Level string `yaml:"level"`
	// Access is the target of the access log, one JSON line an exchange:
	// "stdout" (default), "stderr", "off" or the path of a file.
	Access string `yaml:"access"`
}

// Defaults of the file.
const (
	defaultPublic  = ":8080"
	defaultPrivate = "127.0.0.1:8090"
	defaultAdmin   = "127.0.0.1:7070"
)

// lists gives every filter list of the file.
func (f *File) lists() [][]filter.Named {
	out := [][]filter.Named{f.Filters}
	for _, l := range f.Listen {
		out = append(out, l.Filters)
	}
	for _, s := range f.Services {
		out = append(out, s.Filters)
	}
	for i := range f.Routes {
		out = append(out, f.Routes[i].Filters)
	}
	for _, v := range f.Views {
		out = append(out, v.Filters)
	}
	if f.GraphQL != nil {
		out = append(out, f.GraphQL.Filters)
	}
	return out
}

// defaults fills what the file left out.
func (f *File) defaults() {
	if f.Listen == nil {
		f.Listen = map[string]edge.ListenerConfig{"public": {}}
	}
	for name, address := range map[string]string{"public": defaultPublic, "private": defaultPrivate} {
		if l, ok := f.Listen[name]; ok && l.Address == "" {
			l.Address = address
			f.Listen[name] = l
		}
	}
	for _, list := range f.lists() {
		for i := range list {
			if list[i].Config == nil { // what is wrong with it was found
				list[i].Config = broken{}
			}
		}
	}
	if f.Registry != nil {
		*f.Registry = f.Registry.WithDefaults()
	}
	if f.Admin.Address == "" {
		f.Admin.Address = defaultAdmin
	}
	if f.Log.Level == "" {
		f.Log.Level = "info"
	}
	if f.Log.Access == "" {
		f.Log.Access = "stdout"
	}
}
