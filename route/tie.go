package route

func (c *core) ties([]entry) []error { return nil }
