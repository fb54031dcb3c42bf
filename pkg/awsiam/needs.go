package awsiam

import (
	"slices"
	"strings"
)

// Levels is a set of access levels.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_understand-policy-summary-access-level-summaries.html
type Levels uint8

// The access levels.
const (
	List Levels = 1 << iota
	Read
	Write
	Tagging
	PermissionsManagement
)

// AllLevels are what a script may have of which nothing is known.
const AllLevels = List | Read | Write | Tagging | PermissionsManagement

var levelNames = []string{"List", "Read", "Write", "Tagging", "PermissionsManagement"}

// LevelNames are the names of all levels.
func LevelNames() []string { return slices.Clone(levelNames) }

// Names gives the levels of the set in AWS's order.
func (l Levels) Names() []string {
	var names []string
	for i, name := range levelNames {
		if l&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// ReadOnly reports whether there is no level but List and Read.
func (l Levels) ReadOnly() bool { return l&^(List|Read) == 0 }

// Action is an action of IAM.
type Action struct {
	// Name has its prefix: "s3:GetObject".
	Name   string
	Levels Levels
}

// Operation is one call of an AWS API with what it needs.
type Operation struct {
	// Service is boto3's name, Name the operation in PascalCase; of a request that
	// is no operation, its HTTP method.
	Service string
	Name    string
	// Actions are sorted by name, each once.
	Actions []Action
	// Unsigned: AWS takes it without a signature, so no policy stops it.
	Unsigned bool
	// Secret: the answer holds a secret or a credential.
	Secret bool
}

// Levels are those of all actions.
func (o *Operation) Levels() Levels {
	var all Levels
	for _, a := range o.Actions {
		all |= a.Levels
	}
	return all
}

// Call is "service:Operation".
func (o *Operation) Call() string { return o.Service + ":" + o.Name }

// Needs gives what a call of an operation, in PascalCase or snake_case, needs.
// mayHave reports whether the call may have a parameter: some need more then. It
// is false where the operation or its actions are not known.
func Needs(serviceName, operationName string, mayHave func(parameter string) bool) (Operation, bool) {
	c := load()
	s := c.services[serviceName]
	known, ok := s.operation(operationName)
	if !ok {
		return Operation{}, false
	}
	o := Operation{Service: s.name, Name: known.name, Unsigned: known.unsigned}
	var names []string
	switch own, isOwn := rows()[o.Call()]; {
	case isOwn:
		names = own
	case known.method != "":
		names = []string{s.prefix + ":" + known.method}
	default:
		names = []string{s.prefix + ":" + known.name}
	}
	if !c.addActions(&o, names) {
		return Operation{}, false
	}
	c.addForParameters(&o, s.prefix, mayHave)
	o.finish()
	return o, true
}

// NeedsRequest gives what an HTTP request to a service's own endpoint needs.
func NeedsRequest(serviceName, method string) (Operation, bool) {
	action, ok := requestActions[serviceName+" "+method]
	if !ok {
		return Operation{}, false
	}
	o := Operation{Service: serviceName, Name: method}
	if !load().addActions(&o, []string{action}) {
		return Operation{}, false
	}
	return o, true
}

// LookUp gives an action by its full name; the case does not matter.
func LookUp(name string) (Action, bool) {
	prefix, action, _ := strings.Cut(name, ":")
	return load().prefixes[strings.ToLower(prefix)].action(action)
}

// IsService reports whether boto3 has a service of this name, or requests go to one.
func IsService(name string) bool {
	if _, ok := requestActions[name+" GET"]; ok {
		return true
	}
	return load().services[name] != nil
}

// IsCall reports whether name is "service:Operation" of an operation, or the HTTP
// method of a request, whose actions are known.
func IsCall(name string) bool {
	service, operation, _ := strings.Cut(name, ":")
	if _, ok := requestActions[service+" "+operation]; ok {
		return true
	}
	known, ok := Needs(service, operation, func(string) bool { return false })
	return ok && known.Call() == name
}

// Sources says which packages the data comes from, with versions, date and licences.
func Sources() string { return strings.Join(load().sources, "\n") }

func (c *catalog) addActions(o *Operation, names []string) bool {
	for _, name := range names {
		prefix, action, _ := strings.Cut(name, ":")
		known, ok := c.prefixes[prefix].action(action)
		if !ok {
			return false
		}
		o.Actions = append(o.Actions, known)
	}
	return true
}

// finish sorts the actions and looks for secrets.
func (o *Operation) finish() {
	slices.SortFunc(o.Actions, func(a, b Action) int { return strings.Compare(a.Name, b.Name) })
	o.Actions = slices.CompactFunc(o.Actions, func(a, b Action) bool { return a.Name == b.Name })
	o.Secret = secretOperations[o.Call()]
	for _, a := range o.Actions {
		o.Secret = o.Secret || secretActions[a.Name]
	}
}
