// Command maru is an API gateway and everything around it in one binary: see
// the README. This file is the command table; each command has a file.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/alecthomas/kong"
)

// commands is the command table.
type commands struct {
	Proxy    proxyCommand    `cmd:"" help:"Forward everything to one service, without a file."`
	Serve    serveCommand    `cmd:"" help:"Run what the configuration file says."`
	Check    checkCommand    `cmd:"" help:"Find all that is wrong with a configuration file."`
	Explain  explainCommand  `cmd:"" help:"Tell which route takes a request, why that one, and what happens then."`
	Routes   routesCommand   `cmd:"" help:"List the routes by precedence."`
	Graph    graphCommand    `cmd:"" help:"Make documents of the graph and its views: GraphQL schema, OpenAPI, types."`
	Plan     planCommand     `cmd:"" help:"Write down the plans of the views, and tell what a change does to them."`
	Register registerCommand `cmd:"" help:"Keep a service registered that can not do so itself."`
	Import   importCommand   `cmd:"" help:"Make a configuration file of that of another gateway."`
	Registry registryCommand `cmd:"" help:"Look into a registry, compare two, or drain an instance."`
	Upgrade  upgradeCommand  `cmd:"" help:"Replace a running maru by the new binary at its path, without loss."`
	Cfg      configCommand   `cmd:"" name:"config" help:"About the configuration file as such."`
	Contract contractCommand `cmd:"" help:"Look at the contracts of services: OpenAPI documents and JSON Schemas."`
	Demo     demoCommand     `cmd:"" help:"Run an example estate behind a gateway, with a load to look at."`
	DemoPart demoPartCommand `cmd:"" hidden:"" name:"demo-part" help:"One process of the demo."`

	Completion completionCommand `cmd:"" help:"Print a script that completes the command line."`
	Version    versionCommand    `cmd:"" help:"Print version and build."`
}

// exitError ends the process with a code; what there was to say is said.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit %d", int(e)) }

func main() {
	os.Exit(run(os.Args[1:]))
}

// run runs one command line and gives the exit code: 0 done, 1 failed, 2 the
// command line or the configuration is wrong.
func run(args []string) int {
	var cli commands
	parser, err := kong.New(&cli,
		kong.Name("maru"),
		kong.Description("Every request enters through the hall: a gateway and a registry for a team's services, in one binary."),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		fmt.Fprintln(os.Stderr, "maru:", err)
		return 1
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	kctx, err := parser.Parse(args)
	if err != nil {
		if pe, ok := errors.AsType[*kong.ParseError](err); ok {
			_ = pe.Context.PrintUsage(true)
		}
		fmt.Fprintln(os.Stderr, "maru:", err)
		return 2
	}
	err = kctx.Run()
	var exit exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return int(exit)
	}
	fmt.Fprintln(os.Stderr, "maru:", err)
	return 1
}
