package policy

import (
	"math"

	"github.com/cedar-policy/cedar-go/types"
	schemaast "github.com/cedar-policy/cedar-go/x/exp/schema/ast"
	"github.com/go-json-experiment/json"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/rolemap"
)

// claimType is the Cedar type that claims.json gives a claim.
type claimType string

// The types.
const (
	claimLong    claimType = "Long"
	claimString  claimType = "String"
	claimBool    claimType = "Bool"
	claimStrings claimType = "Set<String>"
)

// maxClaims bounds the claims that are declared.
const maxClaims = 256

// parseClaims reads claims.json: an object of claims with their types.
func parseClaims(text []byte) (map[string]claimType, authconfig.Errors) {
	var errs authconfig.Errors
	var declared map[string]claimType
	if err := json.Unmarshal(text, &declared); err != nil {
		errs.Addf(authconfig.FileClaims, "is not an object of claims with their types: %v", err)
		return nil, errs
	}
	if len(declared) > maxClaims {
		errs.Addf(authconfig.FileClaims, "declares more than %d claims", maxClaims)
	}
	for name, typ := range declared {
		switch typ {
		case claimLong, claimString, claimBool, claimStrings:
		default:
			errs.Addf(
				authconfig.FileClaims,
				"claim %q: %q is not Long, String, Bool or Set<String>",
				name,
				string(typ),
			)
		}
	}
	return declared, errs
}

// claimsType is context.claims in the schema: every claim may be missing.
func claimsType(declared map[string]claimType) schemaast.RecordType {
	record := schemaast.RecordType{}
	for name, typ := range declared {
		attribute := schemaast.Attribute{Optional: true}
		switch typ {
		case claimLong:
			attribute.Type = schemaast.Long()
		case claimBool:
			attribute.Type = schemaast.Bool()
		case claimStrings:
			attribute.Type = schemaast.Set(schemaast.String())
		default:
			attribute.Type = schemaast.String()
		}
		record[cedarString(name)] = attribute
	}
	return record
}

// Declare gives the principal the claims that claims.json declares, as values of
// their types. A claim of another type is absent, and where a policy makes
// something of that, a forbid or a permit's negation, the call is denied: nobody
// can tell what the policy would have said.
func (s *Set) Declare(p *Principal, claims map[string]any) {
	if s == nil || len(s.claims) == 0 {
		return
	}
	record := types.RecordMap{}
	for name, typ := range s.claims {
		value, present := rolemap.LookupClaim(claims, name)
		if !present || value == nil {
			continue
		}
		typed, ok := claimValue(value, typ)
		if !ok {
			p.mismatches = append(p.mismatches, mismatch{
				path: []string{"claims", name}, why: "is not a " + string(typ) + ", as claims.json declares it",
				absent: true,
			})
			continue
		}
		record[types.String(name)] = typed
	}
	p.claims = types.NewRecord(record)
}

func claimValue(value any, typ claimType) (types.Value, bool) {
	switch v := value.(type) {
	case string:
		if typ == claimStrings {
			return stringSet([]string{v}), true
		}
		return types.String(v), typ == claimString
	case bool:
		return types.Boolean(v), typ == claimBool
	case int64:
		return types.Long(v), typ == claimLong
	case float64:
		// An integral one that a float64 holds exactly: 3.0 is 3.
		const exact = 1 << 53
		return types.Long(int64(v)), typ == claimLong && v == math.Trunc(v) && math.Abs(v) < exact
	case []any:
		texts := make([]string, 0, len(v))
		for _, member := range v {
			text, ok := member.(string)
			if !ok {
				return nil, false
			}
			texts = append(texts, text)
		}
		return stringSet(texts), typ == claimStrings
	}
	return nil, false
}
