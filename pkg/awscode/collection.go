package awscode

import (
	"slices"
	"strconv"
)

// item is an element of a collection: an expression, a pair as .items() and
// enumerate() give it, or neither, which is not known. choices are the rows to
// which the collection belongs.
type item struct {
	expression expression
	pair       []item
	choices    []choice
}

// held is a collection that an expression may be, and the rows to which it belongs.
type held struct {
	literal node
	choices []choice
}

// isLiteral reports whether e makes a collection whose elements stand in it.
func (a *analysis) isLiteral(e expression) bool {
	switch e := e.(type) {
	case *display:
		return !e.store
	case *dictionary:
		return true
	case *call:
		return a.isBuiltin(e.function, "dict") && len(e.arguments) == 0
	}
	return false
}

// isBuiltin reports whether e is the builtin name, which the script never binds.
func (a *analysis) isBuiltin(e expression, id string) bool {
	n, ok := e.(*name)
	return ok && n.id == id && len(n.load.cells) == 0
}

// entries gives keys and values of a dictionary that stands in the script.
func entries(literal node) (keys, values []expression, known bool) {
	switch l := literal.(type) {
	case *dictionary:
		for _, key := range l.keys {
			if key == nil {
				return nil, nil, false
			}
		}
		return l.keys, l.values, true
	case *call:
		for _, k := range l.keywords {
			if k.name == "" {
				return nil, nil, false
			}
			keys, values = append(keys, text(k.name)), append(values, k.value)
		}
		return keys, values, true
	}
	return nil, nil, false
}

// inner gives the collections that stand directly in one.
func (a *analysis) inner(literal node) []node {
	if found, known := a.inside[literal]; known {
		return found
	}
	found := a.findInner(literal)
	a.inside[literal] = found
	return found
}

func (a *analysis) findInner(literal node) []node {
	var elements []expression
	if d, ok := literal.(*display); ok {
		elements = d.elements
	} else {
		_, elements, _ = entries(literal)
	}
	a.step(len(elements))
	var found []node
	for _, e := range elements {
		if a.isLiteral(e) {
			found = append(found, e)
		}
	}
	return found
}

// taint makes a collection, and those in it, unknown.
func (a *analysis) taint(literal node) {
	if a.tainted[literal] {
		return
	}
	a.tainted[literal], a.changed = true, true
	for _, in := range a.inner(literal) {
		a.taint(in)
	}
}

// collections gives the literals that e may be, and reports whether it is
// nothing else.
func (a *analysis) collections(e expression) (found []held, only bool) {
	a.step(1)
	if a.isLiteral(e) {
		return []held{{literal: e}}, true
	}
	switch e := e.(type) {
	case *name:
		l := e.load
		if l == nil || len(l.cells) == 0 {
			return nil, false
		}
		only = true
		for _, c := range l.cells {
			more, ok := a.collectionsOfCell(l, c)
			found, only = append(found, more...), only && ok
		}
		return found, only
	case *subscript:
		if isSlice(e.index) {
			return nil, false
		}
		return a.innerOf(e.value, a.eval(e.index))
	case *call:
		if a.isGet(e) && len(e.arguments) == 1 {
			method, _ := e.function.(*attribute)
			return a.innerOf(method.value, a.eval(e.arguments[0]))
		}
	}
	return nil, false
}

// collectionsOfCell gives the literals that a load of a cell may be: of an
// iteration's target in its body those of the elements, row by row.
func (a *analysis) collectionsOfCell(l *load, c *cell) (found []held, only bool) {
	a.follow(c)
	i := l.iterationOf(c)
	if i == nil {
		a.step(len(c.literals))
		for _, literal := range c.literals {
			found = append(found, held{literal: literal})
		}
		return found, len(c.scalars) == 0
	}
	items, known := a.items(i.iterable)
	if !known {
		return nil, false
	}
	only = true
	for _, b := range c.bindings {
		if b.iteration != i {
			continue
		}
		for row, element := range items {
			chosen, ok := a.selectPath(element, b.path)
			if !ok || chosen.expression == nil || !a.isLiteral(chosen.expression) {
				only = false
				continue
			}
			if choices, ok := agree(element.choices, []choice{{i, row}}); ok {
				found = append(found, held{chosen.expression, choices})
			}
		}
	}
	return found, only
}

func (a *analysis) innerOf(e expression, index []alternative) (found []held, only bool) {
	outer, only := a.collections(e)
	for _, of := range outer {
		chosen, known := a.at(of.literal, index)
		only = only && known
		for _, c := range chosen {
			choices, ok := agree(of.choices, c.choices)
			switch {
			case !ok:
			case a.isLiteral(c.expression):
				found = append(found, held{c.expression, choices})
			default:
				only = false
			}
		}
	}
	return found, only
}

// indexed is an element, with the rows that its index was of.
type indexed struct {
	expression expression
	choices    []choice
	// missing: there is no element at the index.
	missing bool
}

// at gives the elements of a collection at an index.
func (a *analysis) at(literal node, index []alternative) ([]indexed, bool) {
	if a.tainted[literal] {
		return nil, false
	}
	keys, values, known := entries(literal)
	if d, ok := literal.(*display); ok {
		if d.kind == '{' || hasStar(d.elements) {
			return nil, false
		}
		values, known = d.elements, true
		for n := range d.elements {
			keys = append(keys, &constant{kind: constantInt, text: strconv.Itoa(n)})
		}
	}
	if !known {
		return nil, false
	}
	var found []indexed
	for _, i := range index {
		i.value = fromEnd(literal, i.value)
		matched := false
		for n, key := range keys {
			keyValues := a.eval(key)
			for _, k := range keyValues {
				a.step(1)
				if mayEqual(k.value, i.value) {
					found = append(found, indexed{values[n], i.choices, false})
					// Only a key that is nothing else surely is the index.
					matched = matched || len(keyValues) == 1 && k.value == i.value && k.value.kind != valueUnknown
					break
				}
			}
		}
		if !matched {
			found = append(found, indexed{choices: i.choices, missing: true})
		}
	}
	return found, len(found) <= maxRows
}

// fromEnd turns a negative index of a list or tuple into its positive one.
func fromEnd(literal node, v value) value {
	d, ok := literal.(*display)
	if !ok || v.kind != valueInt {
		return v
	}
	n, err := strconv.Atoi(v.text)
	if err != nil || n >= 0 {
		return v
	}
	return value{valueInt, strconv.Itoa(len(d.elements) + n)}
}

// mayEqual reports whether two keys may be equal: True is 1 to Python, and what
// is unknown may be all.
func mayEqual(a, b value) bool {
	if a.kind == valueUnknown || b.kind == valueUnknown {
		return true
	}
	if a.kind == b.kind {
		return a.text == b.text
	}
	return (a.kind == valueBool || a.kind == valueInt) && (b.kind == valueBool || b.kind == valueInt)
}

// element gives the values of e[index]; absent is what it is where there is no
// such element, nil for an error of Python's.
func (a *analysis) element(e expression, index, absent []alternative) []alternative {
	literals, only := a.collections(e)
	if !only {
		return unknown
	}
	var all []alternative
	for _, of := range literals {
		chosen, known := a.at(of.literal, index)
		if !known {
			return unknown
		}
		for _, c := range chosen {
			choices, ok := agree(of.choices, c.choices)
			switch {
			case !ok:
			case c.missing:
				for _, v := range absent {
					all = append(all, alternative{v.value, choices})
				}
			case a.isLiteral(c.expression):
				return unknown
			default:
				for _, v := range a.eval(c.expression) {
					all = append(all, alternative{v.value, choices})
				}
			}
		}
		// An index that is unknown may also be of no element.
		for _, i := range index {
			if i.value.kind == valueUnknown {
				all = append(all, absent...)
			}
		}
	}
	return a.bounded(all)
}

// items gives the elements over which an iteration goes.
func (a *analysis) items(e expression) (all []item, known bool) {
	if c, ok := e.(*call); ok && !a.isLiteral(e) {
		return a.itemsOfCall(c)
	}
	literals, only := a.collections(e)
	if !only {
		return nil, false
	}
	a.step(len(literals))
	for _, of := range literals {
		elements, ok := a.elements(of.literal)
		if !ok {
			return nil, false
		}
		for _, element := range elements {
			all = append(all, item{expression: element, choices: of.choices})
		}
	}
	a.step(len(all))
	return all, len(all) <= maxRows
}

// elements are those of a collection over which an iteration goes: of a dictionary
// its keys.
func (a *analysis) elements(literal node) ([]expression, bool) {
	if a.tainted[literal] {
		return nil, false
	}
	if d, ok := literal.(*display); ok {
		return d.elements, !hasStar(d.elements)
	}
	keys, _, ok := entries(literal)
	return keys, ok
}

func (a *analysis) itemsOfCall(c *call) ([]item, bool) {
	if m, ok := c.function.(*attribute); ok {
		if m.name == "get" {
			return a.itemsOfElement(c)
		}
		return a.itemsOfView(m, c)
	}
	n, ok := c.function.(*name)
	if !ok || !copyingBuiltins[n.id] || n.id == "len" || !a.isBuiltin(n, n.id) || len(c.arguments) == 0 ||
		hasStar(c.arguments) {
		return nil, false
	}
	all, known := a.items(c.arguments[0])
	if len(c.keywords) > 0 && slices.ContainsFunc(all, a.hasCollection) {
		return nil, false // a key= is called with it
	}
	if n.id != "enumerate" {
		return all, known
	}
	for i := range all {
		all[i] = item{pair: []item{{}, all[i]}, choices: all[i].choices}
	}
	return all, known
}

// hasCollection reports whether an element is a collection that its text shows.
func (a *analysis) hasCollection(i item) bool {
	return i.expression != nil && a.isLiteral(i.expression) || slices.ContainsFunc(i.pair, a.hasCollection)
}

func (a *analysis) itemsOfElement(c *call) ([]item, bool) {
	literals, only := a.collections(c)
	if !only {
		return nil, false
	}
	var all []item
	for _, of := range literals {
		elements, ok := a.elements(of.literal)
		if !ok {
			return nil, false
		}
		for _, element := range elements {
			all = append(all, item{expression: element, choices: of.choices})
		}
	}
	return all, true
}

// itemsOfView gives those of x.items(), x.keys() and x.values().
func (a *analysis) itemsOfView(m *attribute, c *call) ([]item, bool) {
	if len(c.arguments)+len(c.keywords) > 0 || m.name != "items" && m.name != "keys" && m.name != "values" {
		return nil, false
	}
	literals, only := a.collections(m.value)
	if !only {
		return nil, false
	}
	var all []item
	for _, of := range literals {
		keys, values, ok := entries(of.literal)
		if !ok || a.tainted[of.literal] {
			return nil, false
		}
		for n := range keys {
			key, content := item{expression: keys[n]}, item{expression: values[n]}
			switch m.name {
			case "items":
				if a.mayBeBool(keys[n]) {
					return nil, false // True is 1: of two equal keys the first stays, with the last value
				}
				all = append(all, item{pair: []item{key, content}, choices: of.choices})
			case "keys":
				key.choices = of.choices
				all = append(all, key)
			default:
				content.choices = of.choices
				all = append(all, content)
			}
		}
	}
	a.step(len(all))
	return all, len(all) <= maxRows
}

// mayBeBool reports whether a key may be True or False.
func (a *analysis) mayBeBool(key expression) bool {
	return slices.ContainsFunc(a.eval(key), func(v alternative) bool { return v.value.kind == valueBool })
}

// selectPath follows the indexes of a target into an element.
func (a *analysis) selectPath(i item, path []int) (item, bool) {
	for _, n := range path {
		if i.pair != nil {
			if n >= len(i.pair) {
				return item{}, false
			}
			i = i.pair[n]
			continue
		}
		d, ok := i.expression.(*display)
		if !ok || d.kind == '{' || n >= len(d.elements) || hasStar(d.elements) || a.tainted[d] {
			return item{}, false
		}
		i = item{expression: d.elements[n]}
	}
	return i, i.pair == nil
}
