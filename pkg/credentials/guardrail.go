package credentials

import (
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/countersign-io/countersign/pkg/authconfig"
)

// maxPolicyLength bounds the inline session policy and the ARNs of managed ones
// together, in characters.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
const maxPolicyLength = 2048

// DenyOutsideMCP is the guardrail's statement. The condition key is set by AWS's own
// MCP servers. With IfExists a key that is absent counts as true, so the Deny
// applies to requests without it as well, which is what is wanted: a leaked
// credential that is used directly has no such key.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html#Conditions_IfExists
const DenyOutsideMCP = `{"Effect":"Deny","Action":"*","Resource":"*",` +
	`"Condition":{"BoolIfExists":{"aws:ViaAWSMCPService":"false"}}}`

const allowAll = `{"Effect":"Allow","Action":"*","Resource":"*"}`

// SessionPolicy gives the one inline policy that STS takes: the mapping's own
// with the guardrail's Deny appended. Session policies intersect with the role
// and add up among themselves, so an Allow * may stand beside the Deny only
// where no other session policy narrows the role.
func SessionPolicy(guardrail authconfig.Guardrail, own string, policyARNs []string) (string, error) {
	if own != "" {
		if _, err := withStatements(own, false, DenyOutsideMCP); err != nil {
			return "", err
		}
	}
	policy := own
	if guardrail == authconfig.GuardrailMCPOnly {
		var err error
		if policy, err = withStatements(own, len(policyARNs) > 0, DenyOutsideMCP); err != nil {
			return "", err
		}
	}
	if length := policyLength(policy, policyARNs); length > maxPolicyLength {
		return "", fmt.Errorf(
			"inline session policy (guardrail included) and policyArns have %d characters; STS takes %d",
			length,
			maxPolicyLength,
		)
	}
	return policy, nil
}

// policyLength is what STS counts, in characters.
func policyLength(policy string, policyARNs []string) int {
	length := len([]rune(policy))
	for _, arn := range policyARNs {
		length += len(arn)
	}
	return length
}

// withStatements appends statements that deny to a policy.
func withStatements(own string, hasARNs bool, added string) (string, error) {
	switch {
	case own == "" && hasARNs:
		return `{"Version":"2012-10-17","Statement":[` + added + `]}`, nil
	case own == "":
		return `{"Version":"2012-10-17","Statement":[` + allowAll + `,` + added + `]}`, nil
	}
	var document struct {
		Version   jsontext.Value `json:"Version,omitempty"`
		ID        jsontext.Value `json:"Id,omitempty"`
		Statement jsontext.Value `json:"Statement"`
	}
	if err := json.Unmarshal([]byte(own), &document, json.RejectUnknownMembers(true)); err != nil {
		return "", fmt.Errorf("is not an IAM policy: %w", err)
	}
	statements := string(document.Statement)
	switch document.Statement.Kind() {
	case '[':
		var list []jsontext.Value
		if err := json.Unmarshal(document.Statement, &list); err != nil ||
			slices.ContainsFunc(list, func(v jsontext.Value) bool { return v.Kind() != '{' }) {
			return "", fmt.Errorf("is not an IAM policy: every Statement must be an object")
		}
		statements = statements[1 : len(statements)-1]
	case '{':
	default:
		return "", fmt.Errorf("is not an IAM policy: Statement is missing")
	}
	if statements != "" {
		statements += ","
	}
	document.Statement = jsontext.Value("[" + statements + added + "]")
	text, err := json.Marshal(document)
	if err != nil {
		return "", fmt.Errorf("is not an IAM policy: %w", err)
	}
	return string(text), nil
}
