package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/maru-msa/maru/edge"
)

// routesCommand lists the routes by precedence.
type routesCommand struct {
	source
}

// Help is shown by maru routes --help.
func (routesCommand) Help() string {
	return `The most specific route comes first: of the routes that match a request, the first one in this list takes it.

Examples:
  maru routes
  maru routes --config staging.yaml --json
  maru routes --admin http://127.0.0.1:7070`
}

// Run lists the routes.
func (c *routesCommand) Run() error {
	rows, err := c.rows()
	if err != nil {
		return err
	}
	if c.JSON {
		return c.printJSON(rows)
	}
	return c.print(rows)
}

func (c *routesCommand) rows() ([]edge.RouteInfo, error) {
	if c.Admin != "" {
		var rows []edge.RouteInfo
		return rows, c.ask("GET", "/v1/routes", nil, &rows)
	}
	rt, place, err := c.build()
	if err != nil {
		return nil, err
	}
	return rt.RoutesInfo(place), nil
}

func (c *routesCommand) print(rows []edge.RouteInfo) error {
	w := tabwriter.NewWriter(c.writer(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ROUTE\tMETHODS\tHOST\tPATH\tIF\tFILTERS\tSERVICE\tAT")
	for i := range rows {
		r := &rows[i]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Name, orDash(r.Methods, ","), orDash(r.Hosts, ","), r.Path,
			orDash(r.If, "; "), orDash(r.Filters, " > "), orDash([]string{r.Service}, ""), r.At)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print the routes: %w", err)
	}
	return nil
}

// orDash joins words; none are a dash, so that columns can be cut by machines.
func orDash(words []string, with string) string {
	if s := strings.Join(words, with); s != "" {
		return s
	}
	return "-"
}
