package edge

type h3Server struct{}

func (*h3Server) drain()               {}
func (*door) startH3(*engines, *front) {}
