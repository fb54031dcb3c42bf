package awsiam

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"io"
	"strings"
	"sync"
)

// packed is what hack/awsiam writes: text of which every line begins with a letter
// and a space, sorted by prefixes, then services.
//
//	#  where the data comes from, and licences
//	p  a prefix of actions; behind it, by access level, its actions:
//	L, R, W  List, Read, Write
//	T, P     Tagging and Write, PermissionsManagement and Write
//	s  a service: its name in boto3 and its prefix; behind it
//	o  its operations, with :METHOD where the action is an HTTP method
//	u  those of them that are sent without a signature
//
//go:embed data.txt.gz
var packed []byte

// catalog is the data by prefix and service. Their lines are read when they are
// asked for the first time: a script uses few of them.
type catalog struct {
	sources  []string
	prefixes map[string]*prefix
	services map[string]*service
}

// prefix is what comes before the colon of an action, such as "s3".
type prefix struct {
	name  string
	lines []string
	once  sync.Once
	// actions by their names in lower case: IAM compares them so.
	actions map[string]Action
}

// service is one of boto3's, such as "elbv2".
type service struct {
	name   string
	prefix string
	lines  []string
	once   sync.Once
	// operations by folded names.
	operations map[string]operation
}

type operation struct {
	name     string
	method   string
	unsigned bool
}

// load unpacks the data once.
var load = sync.OnceValue(func() *catalog {
	reader, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		panic(err) // the data is part of the program
	}
	text, err := io.ReadAll(reader)
	if err != nil {
		panic(err)
	}
	return parse(string(text))
})

func parse(text string) *catalog {
	c := &catalog{prefixes: map[string]*prefix{}, services: map[string]*service{}}
	var lines *[]string
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		kind, rest, _ := strings.Cut(line, " ")
		switch kind {
		case "#":
			c.sources = append(c.sources, rest)
		case "p":
			p := &prefix{name: rest}
			c.prefixes[rest], lines = p, &p.lines
		case "s":
			name, prefix, _ := strings.Cut(rest, " ")
			s := &service{name: name, prefix: prefix}
			c.services[name], lines = s, &s.lines
		default:
			*lines = append(*lines, line)
		}
	}
	return c
}

var levelsOfLines = map[string]Levels{
	"L": List, "R": Read, "W": Write, "T": Tagging | Write, "P": PermissionsManagement | Write,
}

// action gives an action of the prefix; the case of its name does not matter.
func (p *prefix) action(name string) (Action, bool) {
	if p == nil {
		return Action{}, false
	}
	p.once.Do(func() {
		p.actions = map[string]Action{}
		for _, line := range p.lines {
			kind, names, _ := strings.Cut(line, " ")
			for action := range strings.SplitSeq(names, " ") {
				p.actions[strings.ToLower(action)] = Action{Name: p.name + ":" + action, Levels: levelsOfLines[kind]}
			}
		}
	})
	a, ok := p.actions[strings.ToLower(name)]
	return a, ok
}

// operation gives an operation in PascalCase or snake_case.
func (s *service) operation(name string) (operation, bool) {
	if s == nil {
		return operation{}, false
	}
	s.once.Do(func() {
		s.operations = map[string]operation{}
		for _, line := range s.lines {
			kind, names, _ := strings.Cut(line, " ")
			for one := range strings.SplitSeq(names, " ") {
				name, method, _ := strings.Cut(one, ":")
				known := s.operations[fold(name)]
				if known.name == "" {
					known = operation{name: name, method: method}
				}
				known.unsigned = known.unsigned || kind == "u"
				s.operations[fold(name)] = known
			}
		}
	})
	o, ok := s.operations[fold(name)]
	return o, ok
}

// fold gives the form in which PascalCase and snake_case agree.
func fold(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }
