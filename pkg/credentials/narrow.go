package credentials

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"crypto/sha256"

	"github.com/countersign-io/countersign/pkg/identity"
	"github.com/go-json-experiment/json"
	lru "github.com/hashicorp/golang-lru/v2"
)

// Narrowing is what the session of one script may do.
type Narrowing struct {
	// Actions are those of IAM, "s3:GetObject", sorted.
	Actions []string
	// KMS: a service that the script calls may use KMS for it.
	KMS bool
	// Regions are the only ones in which it may; nil leaves them to the role.
	Regions []string
}

// TooLargeError says that a narrowing does not fit into a session policy.
type TooLargeError struct {
	Actions int
	// Fit is how many of them would.
	Fit int
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("the script needs %d IAM actions, and a session policy has room for %d of them",
		e.Actions, e.Fit)
}

// calledByMCP holds for a call that comes from an MCP server of AWS, or names no
// caller, and not for what a service does onward for such a call. aws:ViaAWSService
// would not do: calls of an MCP server may carry it themselves.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-calledvialast
const calledByMCP = `"Condition":{"StringLikeIfExists":{"aws:CalledViaLast":"*-mcp.amazonaws.com"}}`

// onwardKMS are the actions of KMS that services use with the session that called
// them.
// https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-via-service
var onwardKMS = []string{"kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey*"}

// Narrow gives the session held to the narrowing: what the session's own policies
// and the role leave, and of that only the actions. The error is a *TooLargeError
// where it does not fit.
func Narrow(session *RoleSession, n Narrowing) (*RoleSession, error) {
	policy, err := narrowed(session, n)
	if err != nil {
		return nil, err
	}
	if policyLength(policy, session.PolicyARNs) > maxPolicyLength {
		return nil, &TooLargeError{Actions: len(n.Actions), Fit: fitting(session, n)}
	}
	one := *session
	one.Policy, one.Narrowed = policy, true
	return &one, nil
}

func narrowed(session *RoleSession, n Narrowing) (string, error) {
	return withStatements(session.Policy, len(session.PolicyARNs) > 0, strings.Join(n.statements(), ","))
}

// fitting is how many of the actions, in their order, fit.
func fitting(session *RoleSession, n Narrowing) int {
	fit := 0
	for fit < len(n.Actions) {
		some := n
		some.Actions = n.Actions[:fit+1]
		policy, err := narrowed(session, some)
		if err != nil || policyLength(policy, session.PolicyARNs) > maxPolicyLength {
			break
		}
		fit++
	}
	return fit
}

func (n *Narrowing) statements() []string {
	allowed := n.Actions
	if n.KMS {
		allowed = slices.Concat(n.Actions, undecided(n.Actions))
	}
	if len(allowed) == 0 {
		// NotAction must not be empty; this one is never denied anyway.
		// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
		allowed = []string{"sts:GetCallerIdentity"}
	}
	statements := []string{
		`{"Effect":"Deny","NotAction":` + list(allowed) + `,"Resource":"*",` + calledByMCP + `}`,
	}
	if direct := undecided(n.Actions); n.KMS && len(direct) > 0 {
		statements = append(statements, `{"Effect":"Deny","Action":`+list(direct)+
			`,"Resource":"*","Condition":{"Null":{"kms:ViaService":"true"}}}`)
	}
	if n.Regions != nil {
		statements = append(statements, `{"Effect":"Deny","Action":"*","Resource":"*","Condition":`+
			`{"StringNotEquals":{"aws:RequestedRegion":`+list(n.Regions)+`}}}`)
	}
	return statements
}

// undecided are the actions of onwardKMS that are not among those decided on. A
// pattern of which some are decided on is written out.
func undecided(actions []string) []string {
	var left []string
	for _, action := range onwardKMS {
		prefix, isPattern := strings.CutSuffix(action, "*")
		switch {
		case !isPattern:
			if !slices.Contains(actions, action) {
				left = append(left, action)
			}
		case slices.ContainsFunc(actions, func(a string) bool { return strings.HasPrefix(a, prefix) }):
			for _, one := range dataKeyActions {
				if !slices.Contains(actions, one) {
					left = append(left, one)
				}
			}
		default:
			left = append(left, action)
		}
	}
	return left
}

// dataKeyActions are all of kms:GenerateDataKey*.
var dataKeyActions = []string{
	"kms:GenerateDataKey", "kms:GenerateDataKeyPair", "kms:GenerateDataKeyPairWithoutPlaintext",
	"kms:GenerateDataKeyWithoutPlaintext",
}

// list writes strings as JSON.
func list(members []string) string {
	text, err := json.Marshal(members)
	if err != nil {
		return "[]" // not for strings of UTF-8
	}
	return string(text)
}

// narrowedKeys are the narrowed sessions of a token, the oldest first.
type narrowedKeys struct {
	mu      sync.Mutex
	byToken *lru.Cache[[sha256.Size]byte, []Key]
}

func newNarrowedKeys() narrowedKeys {
	byToken, err := lru.New[[sha256.Size]byte, []Key](maxNarrowing)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return narrowedKeys{byToken: byToken}
}

// use notes that a token uses a session, and gives the one that has to go for it.
func (n *narrowedKeys) use(token [sha256.Size]byte, key Key) (gone Key, some bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	keys, _ := n.byToken.Get(token)
	if at := slices.Index(keys, key); at >= 0 {
		keys = slices.Delete(keys, at, at+1)
	}
	keys = append(keys, key)
	if some = len(keys) > maxNarrowed; some {
		gone = keys[0]
		keys = slices.Delete(keys, 0, 1)
	}
	n.byToken.Add(token, keys)
	return gone, some
}

// keepFew forgets a token's narrowed session that was not used for longest.
func (c *Cache) keepFew(key Key, token identity.Token) {
	if gone, some := c.narrowed.use(token.Digest(), key); some {
		c.shelf.remove(gone)
	}
}
