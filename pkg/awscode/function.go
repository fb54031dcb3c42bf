package awscode

import "strings"

func (a *analysis) followFunction(f *callee) {
	if !f.followed {
		f.followed, a.changed = true, true
		a.functions = append(a.functions, f)
	}
}

// parameter gives what a parameter has, call by call.
func (a *analysis) parameter(f *callee, index int) []alternative {
	if f.opaque {
		return unknown
	}
	all := make([]alternative, 0, len(f.rows))
	for n, row := range f.rows {
		all = append(all, alternative{row[index], []choice{{f, n}}})
	}
	a.step(len(all))
	return all
}

// fillRows adds to a function the rows that its calls give now.
func (a *analysis) fillRows(f *callee) {
	if f.opaque {
		return
	}
	for _, c := range f.calls {
		arguments, ok := f.arguments(c)
		a.step(1 + len(f.all) + len(c.arguments) + len(c.keywords))
		if !ok {
			f.opaque, a.changed = true, true
			return
		}
		if arguments == nil {
			continue // Python refuses the call
		}
		a.addRows(f, arguments)
	}
}

// partial is a row that is being made, with the rows of the caller to which it
// belongs.
type partial struct {
	values  []value
	choices []choice
}

// combine makes rows of what each column may be, one value of each, that belong to
// the same rows of their sources. It gives ok false for too many.
func (a *analysis) combine(columns [][]alternative) (rows []partial, ok bool) {
	rows = []partial{{}}
	for _, column := range columns {
		var longer []partial
		for _, row := range rows {
			for _, v := range column {
				a.step(1 + len(row.values)) // they are copied
				if choices, ok := agree(row.choices, v.choices); ok {
					values := append(row.values[:len(row.values):len(row.values)], v.value)
					longer = append(longer, partial{values, choices})
				}
			}
		}
		if rows = longer; len(rows) > maxRows {
			return nil, false
		}
	}
	return rows, true
}

func (a *analysis) addRows(f *callee, arguments []expression) {
	columns := make([][]alternative, len(arguments))
	for n, argument := range arguments {
		if columns[n] = unknown; argument != nil && !a.isLiteral(argument) {
			columns[n] = a.eval(argument)
			if argument == f.all[n].substitute {
				columns[n] = withoutRows(columns[n])
			}
		}
	}
	rows, ok := a.combine(columns)
	if !ok {
		f.opaque, a.changed = true, true
		return
	}
	for _, row := range rows {
		key := rowKey(row.values)
		if f.known[key] {
			continue
		}
		if len(f.rows) >= maxRows {
			f.opaque, a.changed = true, true
			return
		}
		f.known[key], a.changed = true, true
		f.rows = append(f.rows, row.values)
	}
}

// withoutRows gives values that belong to no row: a default is that of the moment
// when the function was defined, and not of the one when it is called.
func withoutRows(values []alternative) []alternative {
	all := make([]alternative, 0, len(values))
	for _, v := range values {
		all = append(all, alternative{value: v.value})
	}
	return all
}

func rowKey(values []value) string {
	var key strings.Builder
	for _, v := range values {
		key.WriteByte('0' + byte(v.kind))
		key.WriteString(v.text)
		key.WriteByte(0)
	}
	return key.String()
}

// arguments gives what a call passes, in the order of parameters.all(): nil for
// one that is not known. It gives none for a call that Python refuses, and ok
// false for one that cannot be followed.
func (f *callee) arguments(c *call) (passed []expression, ok bool) {
	if hasStar(c.arguments) {
		return nil, false
	}
	p := f.parameters
	if f.all == nil {
		f.all = p.all()
		f.places = f.placesByName()
	}
	all := f.all
	passed = make([]expression, len(all))
	given := make([]bool, len(all))
	first := 0
	if f.self {
		if len(p.positional) == 0 {
			return nil, false
		}
		given[0], first = true, 1
	}
	for n, argument := range c.arguments {
		switch at := first + n; {
		case at < len(p.positional):
			passed[at], given[at] = argument, true
		case p.rest == nil:
			return nil, true
		}
	}
	for _, k := range c.keywords {
		if k.name == "" {
			return nil, false
		}
		at := f.byName(k.name)
		switch {
		case at >= 0 && given[at]:
			return nil, true
		case at >= 0:
			passed[at], given[at] = k.value, true
		case p.keywords == nil:
			return nil, true
		}
	}
	for n, one := range all {
		switch {
		case given[n] || one == p.rest || one == p.keywords:
		case one.substitute == nil:
			return nil, true
		default:
			passed[n] = one.substitute
		}
	}
	return passed, true
}

// byName gives the place of a parameter that may be passed by name, or -1.
func (f *callee) byName(name string) int {
	if n, ok := f.places[name]; ok {
		return n
	}
	return -1
}

func (f *callee) placesByName() map[string]int {
	places := map[string]int{}
	for n, one := range f.all {
		if n >= f.parameters.positionalOnly && one != f.parameters.rest && one != f.parameters.keywords {
			places[one.name] = n
		}
	}
	return places
}
