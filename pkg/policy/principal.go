package policy

import (
	"maps"
	"slices"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/countersign-io/countersign/pkg/rolemap"
)

// Principal is a caller as policies see it. Make one per caller and reuse it.
type Principal struct {
	entity types.Entity
	// claims is context.claims; mismatches are claims of another type than the
	// declared one.
	claims     types.Record
	mismatches []mismatch
	// actor is context.actor, empty for none.
	actor string
}

// Actor is context.actor, empty for none.
func (p *Principal) Actor() string { return p.actor }

// contextActor is the part of context that says who acts for the caller. It is absent
// where no token names anybody.
const contextActor = "actor"

// SetActor takes the claim act (RFC 8693, section 4.1), nil for none; only its sub
// counts, and of a chain only the current actor. One of another shape is absent, and a
// policy that makes something of that decides against the call.
func (p *Principal) SetActor(act any) {
	if act == nil {
		return
	}
	members, _ := act.(map[string]any)
	if sub, ok := members["sub"].(string); ok && sub != "" {
		p.actor = sub
		return
	}
	p.mismatches = append(p.mismatches, mismatch{
		path: []string{contextActor}, why: "is not a text: the token's act has no usable sub", absent: true,
	})
}

// UID renders the principal as policies name it: MCP::User::"alice".
func (p *Principal) UID() string { return p.entity.UID.String() }

// NewUser is the principal of a bearer token. Groups become its parents and
// claims its tags.
func NewUser(subject, issuer string, scopes, groups []string, claims map[string]any) *Principal {
	return &Principal{entity: types.Entity{
		UID:     types.NewEntityUID(typeUser, types.String(subject)),
		Parents: groupUIDs(groups),
		Attributes: types.NewRecord(types.RecordMap{
			"sub":    types.String(subject),
			"iss":    types.String(issuer),
			"scopes": stringSet(scopes),
		}),
		Tags: claimTags(claims),
	}}
}

// NewWorkload is the principal of a service-account token.
func NewWorkload(serviceAccountNamespace, serviceAccount string, groups []string, claims map[string]any) *Principal {
	id := "system:serviceaccount:" + serviceAccountNamespace + ":" + serviceAccount
	return &Principal{entity: types.Entity{
		UID:     types.NewEntityUID(typeWorkload, types.String(id)),
		Parents: groupUIDs(groups),
		Attributes: types.NewRecord(types.RecordMap{
			"namespace":      types.String(serviceAccountNamespace),
			"serviceAccount": types.String(serviceAccount),
		}),
		Tags: claimTags(claims),
	}}
}

func groupUIDs(groups []string) types.EntityUIDSet {
	uids := make([]types.EntityUID, len(groups))
	for i, group := range groups {
		uids[i] = types.NewEntityUID(typeGroup, types.String(group))
	}
	return types.NewEntityUIDSet(uids...)
}

func stringSet(values []string) types.Set {
	members := make([]types.Value, len(values))
	for i, value := range values {
		members[i] = types.String(value)
	}
	return types.NewSet(members...)
}

// claimTags makes every string, number, boolean and array of such a tag, a set
// of strings. Nested claims get dotted names; a claim whose own name is the
// dotted one wins, as it does in role mappings.
func claimTags(claims map[string]any) types.Record {
	tags := make(types.RecordMap, len(claims))
	addNestedTags(tags, "", claims)
	for name, value := range claims {
		if set, ok := tagValue(value); ok {
			tags[types.String(name)] = set
		}
	}
	return types.NewRecord(tags)
}

func addNestedTags(tags types.RecordMap, prefix string, claims map[string]any) {
	// In order of names, so that a clash of two nested names is decided alike
	// in every run.
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		full := prefix + name
		if nested, ok := claims[name].(map[string]any); ok {
			addNestedTags(tags, full+".", nested)
			continue
		}
		if set, ok := tagValue(claims[name]); ok {
			if _, taken := tags[types.String(full)]; !taken {
				tags[types.String(full)] = set
			}
		}
	}
}

func tagValue(value any) (types.Set, bool) {
	if _, isList := value.([]any); !isList {
		if _, isScalar := rolemap.ClaimText(value); !isScalar {
			return types.Set{}, false
		}
	}
	return stringSet(rolemap.ClaimTexts(value)), true
}
