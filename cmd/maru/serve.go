package main

// serveCommand runs what the file says.
type serveCommand struct {
	Config string `help:"Configuration file." default:"maru.yaml" placeholder:"FILE"`
}

// Run serves until it is told to stop.
func (c *serveCommand) Run() error {
	return exitError(2)
}
