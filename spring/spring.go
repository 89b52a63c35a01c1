// Package spring turns the configuration of a gateway on Spring into a
// maru.yaml: routes of Spring Cloud Gateway and of Zuul, and the settings of
// Ribbon, Hystrix and resilience4j.
//
// The flow: [Import] reads each file into flat settings, as Spring does
// (settings.go, properties.go): documents of profiles that are not active are
// set aside, later settings override earlier ones, and placeholders are filled
// in. The mappings (gateway.go, zuul.go, ribbon.go, hystrix.go, resilience4j.go)
// take the settings that they know into a draft of what maru shall do. What
// nobody took is a finding. The draft is put in order, written as YAML (write.go),
// and checked as maru check does; what does not pass is written as a comment,
// with a finding (prove.go). So the text always loads, and each setting is named
// in a comment of the text or in a finding.
//
// Expressions (#{…}) are never evaluated.
package spring

import "github.com/maru-msa/maru/diag"

// File is one input.
type File struct {
	// Name stands for it in findings and comments; a name that ends in
	// .properties is read as such, any other as YAML.
	Name string
	// Text is its content.
	Text []byte
}

// Options say how to read the files. The zero value works.
type Options struct {
	// Profiles are the active ones (default those that spring.profiles.active
	// names in the files).
	Profiles []string
	// Properties are values for ${…}; they go before those of the files.
	Properties map[string]string
}

// Result is what came of the files.
type Result struct {
	// YAML is the maru.yaml; it passes maru check.
	YAML []byte
	// Findings are what has no equal or needs a look. An error is something
	// that is missing in the YAML.
	Findings []diag.Finding
	// Routes and Services count what was written, comments left out.
	Routes, Services int
}

// Import reads the files; of two that say different things the later one counts.
// It opens nothing and never fails: what is wrong is a finding.
func Import(files []File, o Options) Result {
	im := &importer{draft: &draft{}}
	im.set = &settings{options: o, report: im.report}
	im.set.collect(files)
	im.gateway()
	im.zuul()
	im.loadBalancers()
	im.hystrix()
	im.resilience4j()
	im.surroundings()
	im.unknown()
	r := im.prove()
	diag.Sort(im.findings)
	r.Findings = im.findings
	return r
}
