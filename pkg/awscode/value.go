package awscode

import (
	"slices"
	"strconv"
)

// Bounds on what is followed. They count, and do not measure time, so that load
// changes no decision.
const (
	// maxSteps is how many expressions are evaluated for one script.
	maxSteps = 200_000
	// maxAlternatives is how many values a name or an expression may have.
	maxAlternatives = 256
	// maxRows is how many rows a collection, a function's calls or a sink may have.
	maxRows = 1_024
	// maxText is how long a value may be, in bytes; no name of AWS is as long.
	maxText = 1_024
	// maxSelfDepth is how deep self.x may be made of others.
	maxSelfDepth = 8
)

// valueKind tells what is known of a value.
type valueKind uint8

const (
	valueUnknown valueKind = iota
	valueString
	valueInt
	valueBool
	valueNone
)

// value is a scalar of Python; text is what str() gives.
type value struct {
	kind valueKind
	text string
}

// choice says that a value belongs to one row of a source: an iteration's
// element, or a call of a function.
type choice struct {
	source any
	row    int
}

// alternative is a value that an expression may have, and the rows to which it
// belongs.
type alternative struct {
	value   value
	choices []choice
}

var unknown = []alternative{{}}

// analysis follows values to a least fixpoint.
type analysis struct {
	*binder
	steps     int
	changed   bool
	cells     []*cell
	functions []*callee
	selfDepth int
	tainted   map[node]bool
	// inside has the collections that stand directly in one.
	inside map[node][]node
}

// tooMuch ends an analysis that takes too many steps.
type tooMuch struct{}

func (a *analysis) step(n int) {
	if a.steps += n; a.steps > maxSteps {
		panic(tooMuch{})
	}
}

// solve evaluates what the sinks need until nothing changes any more.
func (a *analysis) solve(sinks func()) {
	for {
		a.changed = false
		sinks()
		for n := 0; n < len(a.cells); n++ {
			a.fill(a.cells[n])
		}
		for n := 0; n < len(a.functions); n++ {
			a.fillRows(a.functions[n])
		}
		if a.changed {
			continue
		}
		// A function whose calls all are its own, or cannot be made, may still be
		// called from elsewhere.
		for _, f := range a.functions {
			if len(f.rows) == 0 && !f.opaque {
				f.opaque, a.changed = true, true
			}
		}
		// A name that is only made of itself has no value that is known.
		for _, c := range a.cells {
			if len(c.scalars)+len(c.literals) == 0 && slices.ContainsFunc(c.bindings, binding.isAssigned) {
				a.add(c, value{})
			}
		}
		if !a.changed {
			return
		}
	}
}

func (a *analysis) follow(c *cell) {
	if !c.followed {
		c.followed, a.changed = true, true
		c.scalars, c.holds = map[value]bool{}, map[node]bool{}
		a.cells = append(a.cells, c)
	}
}

// fill adds to a cell what its bindings give now.
func (a *analysis) fill(c *cell) {
	for _, b := range c.bindings {
		a.step(1)
		switch {
		case b.callee != nil:
			a.followFunction(b.callee)
			for _, v := range a.parameter(b.callee, b.index) {
				a.add(c, v.value)
			}
		case b.iteration != nil:
			a.fillFromIteration(c, b)
		case b.value == nil:
			a.add(c, value{})
		case a.isLiteral(b.value):
			a.hold(c, b.value)
		default:
			for _, v := range a.eval(b.value) {
				a.add(c, v.value)
			}
		}
	}
}

func (a *analysis) fillFromIteration(c *cell, b binding) {
	items, known := a.items(b.iteration.iterable)
	if !known {
		a.add(c, value{})
		return
	}
	for _, i := range items {
		chosen, ok := a.selectPath(i, b.path)
		switch {
		case !ok || chosen.expression == nil:
			a.add(c, value{})
		case a.isLiteral(chosen.expression):
			a.hold(c, chosen.expression)
		default:
			for _, v := range a.eval(chosen.expression) {
				a.add(c, v.value)
			}
		}
	}
}

func (a *analysis) add(c *cell, v value) {
	if c.scalars[v] || c.scalars[value{}] {
		return
	}
	a.changed = true
	if len(c.scalars) >= maxAlternatives || len(v.text) > maxText {
		v = value{}
	}
	c.scalars[v] = true
}

// hold gives a cell a collection, whose every use is looked at once.
func (a *analysis) hold(c *cell, literal node) {
	if c.holds[literal] {
		return
	}
	a.changed = true
	c.holds[literal] = true
	c.literals = append(c.literals, literal)
	a.lookAtUses(c, literal)
}

// eval gives the values that e may have. None is a value that no run gives yet.
func (a *analysis) eval(e expression) []alternative {
	a.step(1)
	switch e := e.(type) {
	case *constant:
		return constantValue(e)
	case *formatted:
		return a.join(e.parts)
	case *replacement:
		if !e.plain {
			return unknown
		}
		return asText(a.eval(e.value))
	case *operation:
		return a.operation(e)
	case *conditional:
		return a.union(e.then, e.otherwise)
	case *walrus:
		return a.eval(e.value)
	case *name:
		return a.name(e)
	case *attribute:
		return a.ownAttribute(e)
	case *subscript:
		if isSlice(e.index) {
			return unknown
		}
		return a.element(e.value, a.eval(e.index), nil)
	case *call:
		return a.callValue(e)
	}
	return unknown
}

func constantValue(c *constant) []alternative {
	kinds := map[constantKind]valueKind{
		constantString: valueString, constantInt: valueInt, constantBool: valueBool, constantNone: valueNone,
	}
	kind := kinds[c.kind]
	if kind == valueUnknown || len(c.text) > maxText {
		return unknown
	}
	return []alternative{{value: value{kind, c.text}}}
}

// asText is str() of values.
func asText(values []alternative) []alternative {
	text := make([]alternative, 0, len(values))
	for _, v := range values {
		if v.value.kind != valueUnknown {
			v.value.kind = valueString
		}
		text = append(text, v)
	}
	return text
}

func (a *analysis) union(operands ...expression) []alternative {
	var all []alternative
	for _, operand := range operands {
		all = append(all, a.eval(operand)...)
	}
	return a.bounded(all)
}

func (a *analysis) bounded(all []alternative) []alternative {
	a.step(len(all))
	if len(all) > maxAlternatives {
		return unknown
	}
	for _, one := range all {
		if len(one.value.text) > maxText {
			return unknown
		}
	}
	return all
}

// agree joins choices, unless they are of different rows of one source.
func agree(left, right []choice) ([]choice, bool) {
	if len(right) == 0 {
		return left, true
	}
	all := left[:len(left):len(left)]
next:
	for _, r := range right {
		for _, l := range left {
			if l.source == r.source {
				if l.row != r.row {
					return nil, false
				}
				continue next
			}
		}
		all = append(all, r)
	}
	return all, true
}

func (a *analysis) operation(e *operation) []alternative {
	switch {
	case e.operator == "or" || e.operator == "and":
		return a.union(e.operands...)
	case e.operator == "+" && len(e.operands) == 2:
		return a.concatenate(a.eval(e.operands[0]), a.eval(e.operands[1]))
	case e.operator == "-" && len(e.operands) == 1:
		return negative(e.operands[0])
	case e.operator == "%" && len(e.operands) == 2:
		arguments := []expression{e.operands[1]}
		if d, ok := e.operands[1].(*display); ok && d.kind == '(' {
			arguments = d.elements
		}
		return a.template(e.operands[0], func(template string) []expression { return percent(template, arguments) })
	}
	return unknown
}

// negative is a negative index; no other arithmetic is followed.
func negative(e expression) []alternative {
	if c, ok := e.(*constant); ok && c.kind == constantInt {
		if n, err := strconv.Atoi(c.text); err == nil {
			return []alternative{{value: value{valueInt, strconv.Itoa(-n)}}}
		}
	}
	return unknown
}

// name gives what a load may read.
func (a *analysis) name(n *name) []alternative {
	l := n.load
	if l == nil || len(l.cells) == 0 {
		return unknown
	}
	var all []alternative
	for _, c := range l.cells {
		all = append(all, a.loadCell(l, c)...)
	}
	return a.bounded(all)
}

func (a *analysis) loadCell(l *load, c *cell) []alternative {
	if i := l.iterationOf(c); i != nil {
		return a.elementOf(i, c)
	}
	if !c.merged {
		if b := c.bindings; len(b) == 1 && b[0].callee != nil && c.scope == l.scope.activation() {
			a.followFunction(b[0].callee)
			return a.parameter(b[0].callee, b[0].index)
		}
	}
	a.follow(c)
	if len(c.literals) > 0 {
		return unknown // a collection, where a scalar is asked for
	}
	all := make([]alternative, 0, len(c.scalars))
	for v := range c.scalars {
		all = append(all, alternative{value: v})
	}
	return all
}

// elementOf gives what an iteration's target has in its body, row by row.
func (a *analysis) elementOf(i *iteration, c *cell) []alternative {
	a.follow(c)
	items, known := a.items(i.iterable)
	if !known || len(items) > maxRows {
		return unknown
	}
	a.step(len(c.bindings))
	var all []alternative
	for _, b := range c.bindings {
		if b.iteration != i {
			continue
		}
		for row, item := range items {
			choices, ok := agree(item.choices, []choice{{i, row}})
			if !ok {
				continue
			}
			chosen, ok := a.selectPath(item, b.path)
			if !ok || chosen.expression == nil || a.isLiteral(chosen.expression) {
				all = append(all, alternative{choices: choices})
				continue
			}
			for _, v := range a.eval(chosen.expression) {
				all = append(all, alternative{v.value, choices})
			}
		}
	}
	a.step(len(all))
	return all
}

// ownAttribute is self.x: what any self.x of the script is given.
func (a *analysis) ownAttribute(e *attribute) []alternative {
	if !a.isSelf(e.scope, e.value) || len(a.methods[e.name]) > 0 {
		return unknown
	}
	for _, c := range a.classCells {
		if c.name == e.name {
			return unknown
		}
	}
	if len(a.stores[e.name]) == 0 {
		return unknown
	}
	var all []alternative
	for _, stored := range a.stores[e.name] {
		if stored == nil || a.isLiteral(stored) {
			return unknown
		}
		if a.selfDepth++; a.selfDepth > maxSelfDepth {
			a.selfDepth--
			return unknown
		}
		for _, v := range a.eval(stored) {
			all = append(all, alternative{value: v.value})
		}
		a.selfDepth--
	}
	return a.bounded(all)
}

// callValue gives the value of the calls that are followed: str.format and
// dict.get.
func (a *analysis) callValue(c *call) []alternative {
	m, ok := c.function.(*attribute)
	if !ok {
		return unknown
	}
	switch {
	case m.name == "format":
		return a.template(m.value, func(template string) []expression { return format(template, c) })
	case m.name == "get" && a.isGet(c):
		absent := []alternative{{value: value{kind: valueNone, text: "None"}}}
		if len(c.arguments) == 2 {
			absent = a.eval(c.arguments[1])
		}
		return a.element(m.value, a.eval(c.arguments[0]), absent)
	}
	return unknown
}

// isGet reports whether c is x.get(k) or x.get(k, other).
func (a *analysis) isGet(c *call) bool {
	m, ok := c.function.(*attribute)
	return ok && m.name == "get" && len(c.keywords) == 0 && !hasStar(c.arguments) &&
		(len(c.arguments) == 1 || len(c.arguments) == 2)
}
