package policy

import (
	"fmt"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema/resolved"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/countersign-io/countersign/pkg/authconfig"
)

// namedPolicy is a policy with its id.
type namedPolicy struct {
	id     cedar.PolicyID
	policy *cedar.Policy
	// position lies in the *.cedar key; file is that key.
	file     string
	position authconfig.Position
	// scope and reads say which requests the policy may decide, and on what of
	// them.
	scope scopes
	reads *reads
	// absence lists the parts of context whose absence could make a permit apply, or
	// keep a forbid from applying.
	absence *reads
}

// policyList is what cedar-go iterates; a slice costs less than its own map.
type policyList []namedPolicy

// All implements cedar.PolicyIterator.
func (l policyList) All() iter.Seq2[cedar.PolicyID, *cedar.Policy] {
	return func(yield func(cedar.PolicyID, *cedar.Policy) bool) {
		for i := range l {
			if !yield(l[i].id, l[i].policy) {
				return
			}
		}
	}
}

// Set is the compiled policies of one auth-config. It is safe for concurrent
// use.
type Set struct {
	policies policyList
	forbids  map[cedar.PolicyID]bool
	// templates are the policies by server, rewritten for the question whether
	// some resource of that server may be read.
	templates map[string]policyList
	static    types.EntityMap
	tools     map[string]*savedTool
	claims    map[string]claimType
	targets   *lru.Cache[targetKey, *target]
	pod       types.Record
	tags      tagReads
	logOnly   bool

	distinctions distinctions
}

// Count is the number of policies.
func (s *Set) Count() int { return len(s.policies) }

// LogOnly reports whether denials are recorded and let pass.
func (s *Set) LogOnly() bool { return s.logOnly }

// NamesGroups reports whether some policy reads which groups a caller is in.
func (s *Set) NamesGroups() bool {
	return s != nil &&
		slices.ContainsFunc(s.policies, func(p namedPolicy) bool { return namesType(policyAST(p.policy), typeGroup) })
}

// namesType reports whether a policy names an entity of the type, or the type.
func namesType(p *ast.Policy, t types.EntityType) bool {
	named := false
	note := func(uid types.EntityUID) { named = named || uid.Type == t }
	for _, scope := range []any{p.Principal, p.Resource} {
		switch s := scope.(type) {
		case ast.ScopeTypeEq:
			note(s.Entity)
		case ast.ScopeTypeIn:
			note(s.Entity)
		case ast.ScopeTypeIsIn:
			note(s.Entity)
			named = named || s.Type == t
		case ast.ScopeTypeIs:
			named = named || s.Type == t
		}
	}
	inspect(p, func(n ast.IsNode) {
		switch node := n.(type) {
		case ast.NodeValue:
			if uid, ok := node.Value.(types.EntityUID); ok {
				note(uid)
			}
		case ast.NodeTypeIs:
			named = named || node.EntityType == t
		case ast.NodeTypeIsIn:
			named = named || node.EntityType == t
		}
	})
	return named
}

// Compile parses and validates policies, entities.json and tools.json. The Set
// is nil when the auth-config has no authorization. Warnings are things that
// are allowed and probably not meant.
func Compile(config *authconfig.Config, pod Pod) (set *Set, warnings []string, errs authconfig.Errors) {
	targets, err := lru.New[targetKey, *target](maxTargets)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	set = &Set{
		targets:   targets,
		pod:       pod.record(),
		static:    types.EntityMap{},
		forbids:   map[cedar.PolicyID]bool{},
		templates: map[string]policyList{},
	}
	if config.Tools != nil {
		tools, toolErrs := parseTools(config.Tools)
		errs = append(errs, toolErrs...)
		set.tools = tools
	}
	if config.Claims != nil {
		claims, claimErrs := parseClaims(config.Claims)
		errs = append(errs, claimErrs...)
		set.claims = claims
	}
	own := ownTypes{}
	if config.Entities != nil {
		entities, types, entityErrs := parseEntities(config.Entities)
		errs = append(errs, entityErrs...)
		if entities != nil {
			set.static, own = entities, types
		}
	}
	policies, policyErrs := parsePolicies(config.PolicyFiles)
	errs = append(errs, policyErrs...)
	set.policies = policies
	if len(errs) == 0 || len(policies) > 0 && !hasFile(errs, authconfig.FileEntities) {
		dead, validationErrs := set.validate(config, own)
		warnings, errs = dead, append(errs, validationErrs...)
	}
	if config.Authorization == nil || len(errs) > 0 {
		return nil, nil, errs
	}
	set.logOnly = config.Authorization.Mode == authconfig.ModeLogOnly
	for _, p := range policies {
		set.forbids[p.id] = p.policy.Effect() == cedar.Forbid
		set.tags.add(policyAST(p.policy))
	}
	set.distinctions = distinctionsOf(policies, set.static)
	for _, upstream := range config.Upstreams {
		set.templates[upstream.Name] = templatePolicies(policies, upstream.Name, set.static)
	}
	return set, append(warnings, set.warn(config.Upstreams)...), errs
}

// hasFile reports whether a key has a fault of its own.
func hasFile(errs authconfig.Errors, file string) bool {
	return slices.ContainsFunc(errs, func(e authconfig.Error) bool { return e.Path == file })
}

// maxPolicies bounds an auth-config's policies: validating them takes time that
// grows with the square of their number.
const maxPolicies = 1000

// parsePolicies names every policy by its @id, else <file>/<n> counted from 0.
func parsePolicies(files []authconfig.PolicyFile) (policyList, authconfig.Errors) {
	var list policyList
	var errs authconfig.Errors
	seen := map[cedar.PolicyID]bool{}
	for _, file := range files {
		if at, err := checkPolicyText(file.Text); err != nil {
			errs.AddAt(file.Name, at, "%v", err)
			continue
		}
		parsed, err := cedar.NewPolicyListFromBytes(file.Name, []byte(file.Text))
		if err != nil {
			errs = append(errs, parseError(file.Name, err))
			continue
		}
		if len(parsed) == 0 {
			errs.Addf(file.Name, "holds no policy")
		}
		for n, p := range parsed {
			id := cedar.PolicyID(file.Name + "/" + strconv.Itoa(n))
			if own, ok := p.Annotations()["id"]; ok && own != "" {
				id = cedar.PolicyID(own)
			}
			at := authconfig.Position{Line: p.Position().Line, Column: p.Position().Column}
			if seen[id] {
				errs.AddAt(file.Name, at, "the policy id %q is taken", string(id))
			}
			seen[id] = true
			tree := policyAST(p)
			list = append(list, namedPolicy{
				id: id, policy: p, file: file.Name, position: at, scope: scopesOf(tree), reads: contextReads(tree),
				absence: absenceReads(tree),
			})
		}
		if len(list) > maxPolicies {
			errs.Addf(file.Name, "there are more than %d policies", maxPolicies)
			return nil, errs
		}
	}
	return list, errs
}

var parserPosition = regexp.MustCompile(`^(?:parser error: )?(?:parse error at )?<input>:(\d+):(\d+):? ?(.*)$`)

func parseError(file string, err error) authconfig.Error {
	m := parserPosition.FindStringSubmatch(err.Error())
	if m == nil {
		return authconfig.Error{Path: file, Message: err.Error()}
	}
	line, _ := strconv.Atoi(m[1])
	column, _ := strconv.Atoi(m[2])
	return authconfig.Error{
		Path:     file,
		Position: authconfig.Position{Line: line, Column: column},
		Message:  "parse error: " + m[3],
	}
}

func policyAST(p *cedar.Policy) *ast.Policy { return (*ast.Policy)(p.AST()) }

// validate checks entities and policies against the schema. A policy is sound
// when it fits the callers that this config's identity source gives, so it may
// read principal.sub without asking for the type; one that is written for both
// kinds of callers is sound as well. The warnings name policies that can never
// apply.
func (s *Set) validate(config *authconfig.Config, own ownTypes) (warnings []string, errs authconfig.Errors) {
	m := &model{inputs: s.toolInputs(), own: own, claims: s.claims}
	if size := m.size(); size*len(s.policies) > maxSchemaWork {
		errs.Addf(
			authconfig.FileConfig,
			"there are too many policies (%d) for so many tools, arguments and claims (%d): to validate them would "+
				"take too long; name fewer tools, or save fewer in %s",
			len(s.policies),
			size,
			authconfig.FileTools,
		)
		return nil, errs
	}
	var validators []*validate.Validator
	for _, principals := range [][]types.EntityType{principalTypes(config.Identity.Source), {typeUser, typeWorkload}} {
		var resolved *resolved.Schema
		m.principals = principals
		err := guarded(func() (err error) {
			resolved, err = m.schema()
			return err
		})
		if err != nil {
			errs.Addf(authconfig.FileEntities, "%v", err)
			return nil, errs
		}
		validators = append(validators, validate.New(resolved))
	}
	for _, uid := range slices.SortedFunc(maps.Keys(s.static), compareUIDs) {
		if uid.Type == typeTool {
			continue // it has no built-in attributes here; parseEntities has checked the others
		}
		if err := guarded(func() error { return validators[0].Entity(s.static[uid]) }); err != nil {
			errs.Addf(authconfig.FileEntities, "%s: %v", uid, err)
		}
	}
	finder := &deadFinder{
		validator: validators[0], principals: principalTypes(config.Identity.Source),
		size: m.size(), left: maxProbeWork,
	}
	for _, p := range s.policies {
		err := validatePolicy(validators[0], p)
		if err != nil && validatePolicy(validators[1], p) != nil {
			for _, one := range unjoin(err) {
				errs.AddAt(p.file, p.position, "policy %q: %v", string(p.id), one)
			}
			continue
		}
		if why := finder.neverApplies(policyAST(p.policy)); why != "" {
			warnings = append(warnings, fmt.Sprintf("policy %s can never apply: %s", p.id, why))
		}
	}
	return warnings, errs
}

func validatePolicy(v *validate.Validator, p namedPolicy) error {
	// Conditions are joined: what one has made sure of holds in the next.
	return guarded(func() error { return v.Policy("", withJoinedConditions(policyAST(p.policy))) })
}

// guarded turns a panic of cedar-go's schema packages, which are experimental,
// into an error: what cannot be checked is not accepted.
func guarded(check func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("cannot be checked: %v", r)
		}
	}()
	return check()
}

func compareUIDs(a, b types.EntityUID) int { return strings.Compare(a.String(), b.String()) }

func unjoin(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

func principalTypes(source authconfig.IdentitySource) []types.EntityType {
	switch source {
	case authconfig.SourceBearer:
		return []types.EntityType{typeUser}
	case authconfig.SourceServiceAccount:
		return []types.EntityType{typeWorkload}
	}
	return []types.EntityType{typeUser, typeWorkload}
}

// toolInputs are the tools that get an action: those of tools.json, or without
// it each one that a policy names, with arguments of which nothing is known.
func (s *Set) toolInputs() map[string]*argumentType {
	inputs := map[string]*argumentType{}
	if s.tools != nil {
		for name, tool := range s.tools {
			inputs[name] = tool.input
		}
		return inputs
	}
	for _, p := range s.policies {
		for _, uid := range namedActions(policyAST(p.policy)) {
			inputs[string(uid.ID)] = nil
		}
	}
	return inputs
}

// namedActions are the MCP actions in a policy's scope and conditions.
func namedActions(p *ast.Policy) []types.EntityUID {
	var uids []types.EntityUID
	switch scope := p.Action.(type) {
	case ast.ScopeTypeEq:
		uids = append(uids, scope.Entity)
	case ast.ScopeTypeIn:
		uids = append(uids, scope.Entity)
	case ast.ScopeTypeInSet:
		uids = append(uids, scope.Entities...)
	}
	inspect(p, func(n ast.IsNode) {
		if value, ok := n.(ast.NodeValue); ok {
			if uid, isEntity := value.Value.(types.EntityUID); isEntity {
				uids = append(uids, uid)
			}
		}
	})
	return slices.DeleteFunc(uids, func(uid types.EntityUID) bool { return uid.Type != typeAction })
}
