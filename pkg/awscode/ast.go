package awscode

// position is where a node stands: its line, and the node directly above it, which
// the binder sets.
type position struct {
	line  int
	above node
}

func (p *position) at() int          { return p.line }
func (p *position) parent() node     { return p.above }
func (p *position) setParent(n node) { p.above = n }

// visitor is called with a node and one directly below it.
type visitor func(parent, child node)

// node is an expression, a statement, or a part of one.
type node interface {
	at() int
	parent() node
	setParent(n node)
	// each visits the nodes directly below it, in the order of the source.
	each(visit visitor)
}

type expression = node

// constantKind tells the constants apart.
type constantKind uint8

const (
	constantOther constantKind = iota // bytes, numbers that are not whole, ..., and strings that are not known
	constantString
	constantInt
	constantBool
	constantNone
)

// The expressions.
type (
	name struct {
		position
		id string
		// store: it is bound or deleted here, not loaded.
		store bool
		// load is what the binder finds of a name that is loaded, bound the cell of one
		// that is assigned.
		load  *load
		bound *cell
	}
	constant struct {
		position
		kind constantKind
		// text as str() gives it.
		text string
	}
	// formatted is an f-string, or several string literals of which one is.
	formatted struct {
		position
		parts []expression
	}
	// replacement is a field of an f-string. plain: it has no format
	// specification, no =, and no conversion but !s.
	replacement struct {
		position
		value expression
		spec  []expression
		plain bool
	}
	attribute struct {
		position
		value expression
		name  string
		store bool
		// scope is that in which it stands, which the binder sets.
		scope *scope
	}
	subscript struct {
		position
		value, index expression
		store        bool
	}
	call struct {
		position
		function  expression
		arguments []expression
		keywords  []keyword
		// names are those of keywords, where there are many.
		names map[string]bool
	}
	// keyword is an argument by name; without a name it is **value.
	keyword struct {
		name  string
		value expression
	}
	starred struct {
		position
		value expression
	}
	operation struct {
		position
		// operator is of one or two operands, or "and", "or" of more.
		operator string
		operands []expression
		two      [2]expression // backs operands, mostly
	}
	comparison struct {
		position
		operators []string
		operands  []expression
		one       [1]string     // backs operators, mostly
		two       [2]expression // backs operands
	}
	conditional struct {
		position
		test, then, otherwise expression
	}
	lambda struct {
		position
		parameters *parameters
		body       expression
	}
	// display is a list, a tuple or a set: "[", "(" or "{".
	display struct {
		position
		kind     byte
		elements []expression
		store    bool
	}
	// dictionary has a nil key where **value stands.
	dictionary struct {
		position
		keys, values []expression
	}
	// comprehension has kind "[", "{", "(" for a generator; value: of a dict.
	comprehension struct {
		position
		kind           byte
		element, value expression
		clauses        []clause
	}
	clause struct {
		target, iterable expression
		conditions       []expression
		async            bool
	}
	await struct {
		position
		value expression
	}
	yield struct {
		position
		value expression
	}
	walrus struct {
		position
		target *name
		value  expression
	}
	slice struct {
		position
		bounds []expression
	}
)

// parameters of a function.
type parameters struct {
	// positional are those before *, keyword those after; positionalOnly counts
	// those before /.
	positional, keyword []parameter
	positionalOnly      int
	// rest and keywords are *args and **kw, or nil.
	rest, keywords *parameter
}

type parameter struct {
	position
	name                   string
	annotation, substitute expression
}

// The statements.
type (
	expressionStatement struct {
		position
		value expression
	}
	assignment struct {
		position
		targets []expression
		value   expression
	}
	// annotated has a nil value where it only declares, which it does not for a target
	// in brackets.
	annotated struct {
		position
		bracketed                 bool
		target, annotation, value expression
	}
	augmented struct {
		position
		target, value expression
	}
	deletion struct {
		position
		targets []expression
	}
	// plain is pass, break, continue, return, raise or assert.
	plain struct {
		position
		word   string
		values []expression
	}
	// declaration is global or nonlocal.
	declaration struct {
		position
		word  string
		names []string
	}
	importing struct {
		position
		// module is "" for plain imports; dots counts those of a relative one.
		module string
		from   bool
		dots   int
		star   bool
		names  []alias
	}
	alias struct{ name, as string }
	// typeAlias is type X = ...
	typeAlias struct {
		position
		target *name
		types  []typeParameter
		value  expression
	}
	branch struct {
		position
		test            expression
		body, otherwise []node
	}
	while struct {
		position
		test            expression
		body, otherwise []node
	}
	loop struct {
		position
		target, iterable expression
		body, otherwise  []node
		async            bool
	}
	try struct {
		position
		body, otherwise, finally []node
		handlers                 []handler
	}
	handler struct {
		position
		exception expression
		name      string
		body      []node
	}
	with struct {
		position
		items []withItem
		body  []node
		async bool
	}
	withItem struct{ context, target expression }
	function struct {
		position
		name       string
		parameters *parameters
		returns    expression
		body       []node
		decorators []expression
		types      []typeParameter
		async      bool
	}
	class struct {
		position
		name       string
		bases      []expression
		keywords   []keyword
		body       []node
		decorators []expression
		types      []typeParameter
	}
	match struct {
		position
		subject expression
		cases   []matchCase
	}
	matchCase struct {
		position
		pattern *pattern
		guard   expression
		body    []node
	}
)

// typeParameter is one of def f[T: bound].
type typeParameter struct {
	position
	name  string
	bound expression
}

// pattern of a match statement: the names that it captures, the expressions
// that it compares with, and the patterns in it.
type pattern struct {
	position
	captures []string
	values   []expression
	inner    []*pattern
	// attributes are those that a class pattern reads by name.
	attributes []string
}

func list(nodes ...node) []node {
	kept := make([]node, 0, len(nodes))
	for _, n := range nodes {
		if n != nil {
			kept = append(kept, n)
		}
	}
	return kept
}
