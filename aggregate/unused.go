package aggregate

// unused warns of types that no view shows and of sources that nothing calls.
func (b *builder) unused() {
	shown := make(map[*graphType]bool)
	for _, v := range b.g.views {
		for _, p := range v.plans {
			for _, l := range p.levels {
				if l.typ == nil {
					continue
				}
				shown[l.typ] = true
				for _, m := range l.typ.union {
					shown[m] = true
				}
			}
		}
	}
	for _, name := range sortedKeys(b.cfg.Sources) {
		if !b.called[name] {
			b.f.at("sources."+name, "nothing calls the source %q", name).WithCode("unused").AsWarning().
				WithFix("call it, or remove it")
		}
	}
	if b.g.env.Whole || len(b.g.views) == 0 {
		return
	}
	for _, name := range sortedKeys(b.g.types) {
		if !shown[b.g.types[name]] {
			b.f.at("graph."+name, "no view shows the type %q", name).WithCode("unused").AsWarning().
				WithFix("select it in a view, or remove it")
		}
	}
}
