package authconfig

import (
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

func (v *validator) awsSTS(path string, wire *wireAWSSTS) {
	c := AWSSTS{
		Region:           wire.Region,
		Service:          orEmpty(wire.Service, defaultService),
		RoleClaim:        orEmpty(wire.RoleClaim, "groups"),
		SessionNameClaim: orEmpty(wire.SessionNameClaim, "sub"),
		Guardrail:        oneOf(v, path+".guardrail", wire.Guardrail, "", GuardrailMCPOnly, GuardrailNone),
		SessionTags:      wire.SessionTags,
		OnUnusableClaim: oneOf(
			v,
			path+".onUnusableClaim",
			wire.OnUnusableClaim,
			UnusableDenies,
			UnusableDenies,
			UnusableFallsBack,
		),
	}
	if wire.Region == "" {
		v.failf(path+".region", "is required: it chooses the STS endpoint")
	} else if !regionForm.MatchString(wire.Region) {
		v.failf(path+".region", "%q is not an AWS region", clip(wire.Region))
	}
	if !serviceForm.MatchString(c.Service) {
		v.failf(path+".service", "%q is not a signing service name", clip(c.Service))
	}
	seconds := between(
		v,
		path+".sessionDuration",
		wire.SessionDuration,
		defaultSessionDuration,
		minSessionDuration,
		maxSessionDuration,
	)
	c.SessionDuration = time.Duration(seconds) * time.Second
	if wire.FallbackRoleARN != "" {
		role, err := ParseRoleARN(wire.FallbackRoleARN)
		if err != nil {
			v.failf(path+".fallbackRoleArn", "%v", err)
		}
		c.FallbackRole = role
	}
	if len(wire.RoleMappings) == 0 && wire.FallbackRoleARN == "" && !v.badPaths[path+".roleMappings"] {
		v.failf(path, "needs roleMappings or a fallbackRoleArn: nobody would get a role")
	}
	if len(wire.RoleMappings) > maxRoleMappings {
		v.failf(path+".roleMappings", "has more than %d entries", maxRoleMappings)
	}
	for i := range wire.RoleMappings {
		c.RoleMappings = append(
			c.RoleMappings,
			v.roleMapping(fmt.Sprintf("%s.roleMappings[%d]", path, i), &wire.RoleMappings[i]),
		)
	}
	v.config.AWSSTS = c
}

func (v *validator) roleMapping(path string, wire *wireRoleMapping) RoleMapping {
	m := RoleMapping{Claim: wire.Claim, Matcher: wire.Matcher, Priority: wire.Priority, PolicyARNs: wire.PolicyARNs}
	if (wire.Claim == "") == (wire.Matcher == "") && !v.badPaths[path+".claim"] && !v.badPaths[path+".matcher"] {
		v.failf(path, "needs exactly one of claim and matcher")
	}
	role, err := ParseRoleARN(wire.RoleARN)
	switch {
	case wire.RoleARN == "":
		v.failf(path+".roleArn", "is required")
	case err != nil:
		v.failf(path+".roleArn", "%v", err)
	}
	m.Role = role
	if wire.SessionPolicy != "" {
		m.SessionPolicy = v.compactJSON(path+".sessionPolicy", wire.SessionPolicy)
	}
	if len(wire.PolicyARNs) > maxPolicyARNs {
		v.failf(path+".policyArns", "has more than %d entries, the most that STS takes", maxPolicyARNs)
	}
	for i, arn := range wire.PolicyARNs {
		if err := checkPolicyARN(arn); err != nil {
			v.failf(fmt.Sprintf("%s.policyArns[%d]", path, i), "%v", err)
		}
	}
	return m
}

// compactJSON removes white space that would count against STS's limit.
func (v *validator) compactJSON(path, text string) string {
	value := jsontext.Value(strings.TrimSpace(text))
	if err := value.Compact(); err != nil {
		at := Position{}
		if syntax, ok := jsonSyntaxError(err); ok {
			leading := len(text) - len(strings.TrimLeft(text, " \t\r\n"))
			at = OffsetPosition(text, leading+int(syntax.ByteOffset))
		}
		v.errs.AddAt(path, at, "is not valid JSON: %v", err)
		return ""
	}
	if value.Kind() != '{' {
		v.failf(path, "must be a JSON object: an IAM policy")
		return ""
	}
	return string(value)
}
