package awscode

import "slices"

// checkUses reports what a script uses otherwise than as it is followed: the
// ways out of the sandbox, modules, type, and attributes that it stores.
func (b *binder) checkUses() {
	for _, l := range b.order {
		b.checkLoad(l)
	}
	for _, c := range b.calls {
		b.checkKeywords(c)
	}
	for _, t := range b.selfStores {
		if !b.isSelf(t.scope, t.value) {
			b.report(t.at(), "the attribute "+t.name+" is stored on something else than self in a simple class")
		}
	}
}

// findPlainClasses finds those of which nothing but objects are made.
func (b *binder) findPlainClasses() {
	for c, classes := range b.classes {
		_, only := b.callsOf(c)
		for _, m := range classes {
			m.plain = only && len(c.bindings) == 1 && !m.nested && !m.decorated
		}
	}
	for _, c := range b.classCells {
		if len(c.loads) > 0 && c.scope.members != nil {
			c.scope.members.plain = false
		}
	}
}

// keepsItsObjects reports whether the objects that calls of a class make are only
// asked for attributes: whoever else has one may call its methods by name, with
// arguments that this reader does not see.
func (b *binder) keepsItsObjects(calls []*call, m *members) bool {
	for _, c := range m.selves {
		if !onlyForAttributes(c) {
			return false
		}
	}
	asked := map[*cell]bool{}
	for _, c := range calls {
		switch c.parent().(type) {
		case *attribute, *expressionStatement:
			continue
		}
		target, ok := assignedTo(c).(*name)
		if !ok || target.bound == nil {
			return false
		}
		c := target.bound
		if asked[c] {
			continue
		}
		if asked[c] = true; !c.merged && c.scope.kind == scopeClass || !onlyForAttributes(c) {
			return false
		}
	}
	return true
}

// maxUnpacked is how many targets of one assignment are told apart.
const maxUnpacked = 64

// assignedTo gives the one target that a value is assigned to, also where several
// stand on both sides, or nil.
func assignedTo(value node) node {
	switch p := value.parent().(type) {
	case *assignment:
		if len(p.targets) == 1 {
			return p.targets[0]
		}
	case *display:
		a, ok := p.parent().(*assignment)
		if !ok || len(a.targets) != 1 || len(p.elements) > maxUnpacked {
			return nil
		}
		targets, ok := a.targets[0].(*display)
		at := slices.Index(p.elements, value)
		if ok && at >= 0 && len(targets.elements) == len(p.elements) && !hasStar(targets.elements) &&
			!hasStar(p.elements) {
			return targets.elements[at]
		}
	}
	return nil
}

func onlyForAttributes(c *cell) bool {
	for _, l := range c.loads {
		if _, ok := l.node.parent().(*attribute); !ok {
			return false
		}
	}
	return true
}

// checkKeywords reports arguments with which a function that is safe calls methods
// of an object by name. Functions of the script itself may have any.
func (b *binder) checkKeywords(c *call) {
	if b.isScripts(c.function) {
		return
	}
	for _, k := range c.keywords {
		switch {
		case unsafeKeywords[k.name]:
			b.report(c.at(), "the argument "+k.name+" is not one of those that are read")
		case k.name == "" && len(b.methods) > 0:
			b.report(c.at(), "** passes arguments that are not known, in a script with methods")
		}
	}
}

// isScripts reports whether e is a sink, or the name of what the script defines and
// binds to nothing else.
func (b *binder) isScripts(e expression) bool {
	n, ok := e.(*name)
	if !ok {
		return false
	}
	if n.id == sinkCall || n.id == sinkRequest {
		return true
	}
	for _, c := range n.load.cells {
		if len(b.called[c])+len(b.classes[c]) != len(c.bindings) {
			return false
		}
	}
	return len(n.load.cells) > 0
}

func (b *binder) checkLoad(l *load) {
	id := l.node.id
	switch {
	case id == sinkCall || id == sinkRequest:
		c, ok := l.node.parent().(*call)
		if !ok || c.function != node(l.node) || len(c.arguments) > 0 {
			b.report(l.node.at(), id+" is used otherwise than in a call with keyword arguments")
		}
		return
	case isUnsafeName(id):
		b.report(l.node.at(), "the name "+id+" is not one of those that are read")
		return
	}
	held := b.modulesOf(l)
	for _, module := range held {
		b.checkModule(l, module)
	}
	switch builtin := b.mayBeBuiltin(l); {
	case builtin && id == "type":
		b.checkType(l)
	case len(l.cells) == 0 && len(held) == 0 && !safeBuiltins[id]:
		b.report(l.node.at(), "the name "+id+" is not bound in the script, nor one of those that are read")
	}
}

// mayBeBuiltin reports whether a load may reach past what the script binds: its
// name is not bound, or, outside functions, perhaps not yet.
func (b *binder) mayBeBuiltin(l *load) bool {
	for _, c := range l.cells {
		switch {
		case c.deleted && (c.merged || c.scope.kind == scopeModule || c.scope.kind == scopeClass):
		case c.merged || c.scope.kind == scopeModule:
			if c.boundAt > 0 && c.boundAt < l.node.at() {
				return false
			}
		case c.scope.kind != scopeClass:
			return false
		}
	}
	return true
}

// modulesOf gives the modules that a load may have.
func (b *binder) modulesOf(l *load) []string {
	var held []string
	for _, c := range l.cells {
		held = append(held, c.modules...) // each once, see importing
	}
	if preloaded[l.node.id] && b.mayBeBuiltin(l) {
		held = append(held, l.node.id)
	}
	return held
}

// checkModule: a module is used only as module.member.
func (b *binder) checkModule(l *load, module string) {
	a, ok := l.node.parent().(*attribute)
	if !ok || a.store {
		b.report(l.node.at(), "the module "+module+" is used otherwise than for a member")
		return
	}
	if members, listed := modules[module]; listed && !members[a.name] {
		b.report(l.node.at(), "the member "+a.name+" of "+module+" is not one of those that are read")
	}
}

// checkType: type(x) is used only as type(x).__name__.
func (b *binder) checkType(l *load) {
	if c, ok := l.node.parent().(*call); ok && c.function == node(l.node) && len(c.arguments) == 1 {
		if a, ok := c.parent().(*attribute); ok && a.name == "__name__" && !a.store && len(c.keywords) == 0 {
			return
		}
	}
	b.report(l.node.at(), "type is used otherwise than in type(x).__name__")
}

// link finds the calls of every function and method, and those whose parameters
// cannot be known.
func (b *binder) link() {
	for c, functions := range b.called {
		calls, only := b.callsOf(c)
		for _, f := range functions {
			f.calls = calls
			f.opaque = f.opaque || !only || len(c.bindings) != 1
		}
	}
	byAttribute := map[string][]*call{}
	for _, c := range b.calls {
		if a, ok := c.function.(*attribute); ok {
			byAttribute[a.name] = append(byAttribute[a.name], c)
		}
	}
	for id, methods := range b.methods {
		for _, f := range methods {
			f.calls = byAttribute[id]
			f.opaque = f.opaque || b.attributes[id]
		}
	}
	for c, classes := range b.classes {
		calls, only := b.callsOf(c)
		for _, m := range classes {
			if m.init != nil {
				m.init.calls = calls
			}
			escapes := !b.keepsItsObjects(calls, m)
			for _, f := range m.methods {
				f.opaque = f.opaque || !only || len(c.bindings) != 1 || !m.simple || escapes
			}
		}
	}
	b.eachClassCell(b.opaqueWhereLoaded)
	for _, functions := range b.called {
		unknownWithoutCalls(functions)
	}
	for _, methods := range b.methods {
		unknownWithoutCalls(methods)
	}
}

// unknownWithoutCalls: what nobody calls here may be called from elsewhere.
func unknownWithoutCalls(functions []*callee) {
	for _, f := range functions {
		f.opaque = f.opaque || len(f.calls) == 0
	}
}

// callsOf gives the calls of what a cell holds, and reports whether it is only
// called.
func (b *binder) callsOf(c *cell) (calls []*call, only bool) {
	only = true
	for _, l := range c.loads {
		if parent, ok := l.node.parent().(*call); ok && parent.function == node(l.node) {
			calls = append(calls, parent)
		} else {
			only = false
		}
	}
	return calls, only
}

// eachClassCell calls f with every name that a class's body binds.
func (b *binder) eachClassCell(f func(*cell)) {
	for _, c := range b.classCells {
		f(c)
	}
}

// opaqueWhereLoaded: a method that its class's body loads, or binds twice, may
// be called under another name, or with its object as an argument.
func (b *binder) opaqueWhereLoaded(c *cell) {
	if len(c.loads) == 0 && len(c.bindings) == 1 {
		return
	}
	for _, f := range b.methods[c.name] {
		f.opaque = true
	}
}
