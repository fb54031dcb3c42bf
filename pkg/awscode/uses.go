package awscode

// lookAtUses taints a collection that a name holds if one of its uses is not
// among those that leave it as it stands.
func (a *analysis) lookAtUses(c *cell, literal node) {
	for _, l := range c.loads {
		if !a.leaves(l.node, literal) {
			a.taint(literal)
		}
	}
}

// leaves reports whether the use of e, which holds literal, leaves it as it is
// and keeps nothing of it.
func (a *analysis) leaves(e expression, literal node) bool {
	a.step(1)
	if i := a.iterations[e]; i != nil && a.iteratesOver(e) {
		return a.leavesIteration(i, literal)
	}
	switch p := e.parent().(type) {
	case *subscript:
		if isSlice(p.index) && len(a.inner(literal)) > 0 {
			return false // the slice has what is in it
		}
		return p.value == e && !p.store && a.leavesInner(p, literal)
	case *attribute:
		return a.leavesMethod(p, literal)
	case *comparison:
		for _, operator := range p.operators {
			if operator != "in" && operator != "not in" {
				return false
			}
		}
		return true
	case *call:
		return a.leavesCall(p, e, literal)
	}
	return false
}

// iteratesOver reports whether e is what its parent goes over.
func (a *analysis) iteratesOver(e expression) bool {
	switch p := e.parent().(type) {
	case *loop:
		return p.iterable == e
	case *comprehension:
		for n := range p.clauses {
			if p.clauses[n].iterable == e {
				return true
			}
		}
	}
	return false
}

// leavesIteration follows the targets, which hold what stands in literal.
func (a *analysis) leavesIteration(i *iteration, literal node) bool {
	if i.untracked {
		return len(a.inner(literal)) == 0
	}
	if !i.followed {
		i.followed = true
		for c := range i.targets {
			a.follow(c)
		}
	}
	return true
}

// isSlice reports whether an index may be one of several elements.
func isSlice(index expression) bool {
	switch index.(type) {
	case *slice, *display:
		return true
	}
	return false
}

func (a *analysis) leavesInner(e expression, literal node) bool {
	for _, in := range a.inner(literal) {
		if !a.leaves(e, in) {
			return false
		}
	}
	return true
}

func (a *analysis) leavesMethod(m *attribute, literal node) bool {
	c, ok := m.parent().(*call)
	if !ok || c.function != node(m) {
		return false
	}
	switch m.name {
	case "get":
		return a.isGet(c) && a.leavesInner(c, literal)
	case "items", "keys", "values":
		if i := a.iterations[c]; i != nil && a.iteratesOver(c) {
			return a.leavesIteration(i, literal)
		}
		outer, ok := c.parent().(*call)
		return ok && a.leavesCall(outer, c, literal)
	}
	return false
}

// leavesCall: e is an argument of a builtin that copies scalars, or of **e in a
// sink.
func (a *analysis) leavesCall(c *call, e expression, literal node) bool {
	n, ok := c.function.(*name)
	if !ok {
		return false
	}
	if n.id == sinkCall || n.id == sinkRequest {
		for _, k := range c.keywords {
			if k.value == e {
				return k.name == ""
			}
		}
		return false
	}
	if !copyingBuiltins[n.id] || !a.isBuiltin(n, n.id) || len(c.arguments) == 0 || c.arguments[0] != e {
		return false
	}
	if len(a.inner(literal)) == 0 || n.id == "len" {
		return true
	}
	if len(c.keywords) > 0 {
		return false // a key= is called with what is in it
	}
	// The elements go on only into an iteration at once.
	i := a.iterations[c]
	return i != nil && a.iteratesOver(c) && a.leavesIteration(i, literal)
}
