package main

import (
	"fmt"

	"github.com/maru-msa/maru/aggregate"
)

// graphCommand makes documents of the graph and the views.
type graphCommand struct {
	SDL     graphSDLCommand     `cmd:"" name:"sdl" help:"Print the graph as a GraphQL schema."`
	OpenAPI graphOpenAPICommand `cmd:"" name:"openapi" help:"Describe the views as an OpenAPI 3.1 document, with a JSON Schema each."`
	Types   graphTypesCommand   `cmd:"" help:"Write the types of the views' answers."`
}

// viewFile is the file that documents are made from.
type viewFile struct {
	Config string `short:"c" help:"Configuration file (default: maru.yaml)." placeholder:"FILE"`
}

// graph compiles the file's views.
func (f *viewFile) graph() (*aggregate.Graph, error) {
	s := source{Config: f.Config}
	rt, _, err := s.build()
	if err != nil {
		return nil, err
	}
	if rt.Graph() == nil {
		return nil, s.usage(fmt.Errorf("%s has neither views nor a graph", s.Config))
	}
	return rt.Graph(), nil
}

// graphOpenAPICommand prints the OpenAPI document.
type graphOpenAPICommand struct {
	Client  string `help:"The client whose answers are described (default: the default one)." placeholder:"NAME"`
	Title   string `help:"Title of the document." default:"Views"`
	Release string `name:"version" help:"Version of the document." default:"1"`

	viewFile
}

// Run prints it.
func (c *graphOpenAPICommand) Run() error {
	g, err := c.graph()
	if err != nil {
		return err
	}
	text, err := g.OpenAPI(c.Client, c.Title, c.Release)
	if err != nil {
		return new(source).usage(err)
	}
	_, err = new(source).writer().Write(text)
	return err
}

// graphTypesCommand prints types for clients.
type graphTypesCommand struct {
	TS bool `name:"ts" help:"TypeScript (the only language so far)." default:"true" negatable:""`

	viewFile
}

// Run prints them.
func (c *graphTypesCommand) Run() error {
	g, err := c.graph()
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(new(source).writer(), g.TypeScript())
	return err
}
