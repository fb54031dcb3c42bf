package authconfig

import (
	"fmt"
	"regexp"
)

// RoleARN is a well-formed ARN of an IAM role in any AWS partition.
type RoleARN struct {
	text      string
	partition string
	account   string
	name      string
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
// Partitions grow (aws, aws-cn, aws-us-gov, aws-iso-b, aws-eusc, ...), so their
// form is checked and not their names.
var (
	roleARNForm = regexp.MustCompile(
		`^arn:(aws(?:-[a-z0-9]+)*):iam::([0-9]{12}):role/((?:[A-Za-z0-9_+=,.@-]+/)*[A-Za-z0-9_+=,.@-]{1,64})$`,
	)
	policyARNForm = regexp.MustCompile(
		`^arn:aws(?:-[a-z0-9]+)*:iam::(?:[0-9]{12}|aws):policy/(?:[A-Za-z0-9_+=,.@-]+/)*[A-Za-z0-9_+=,.@-]{1,128}$`,
	)
)

// maxARNLength is the longest ARN that STS takes, for roles and policies alike
// (AssumeRoleWithWebIdentity, RoleArn).
const maxARNLength = 2048

// ParseRoleARN accepts arn:<partition>:iam::<account>:role/<path and name>.
func ParseRoleARN(s string) (RoleARN, error) {
	m := roleARNForm.FindStringSubmatch(s)
	if m == nil || len(s) > maxARNLength {
		return RoleARN{}, fmt.Errorf("%q is not the ARN of an IAM role (arn:aws:iam::123456789012:role/Name)", clip(s))
	}
	return RoleARN{text: s, partition: m[1], account: m[2], name: m[3]}, nil
}

// String is the ARN as it was written.
func (r RoleARN) String() string { return r.text }

// IsZero reports whether there is no role.
func (r RoleARN) IsZero() bool { return r.text == "" }

// Partition is aws, aws-cn, aws-us-gov, ...
func (r RoleARN) Partition() string { return r.partition }

// Account is the 12-digit account number.
func (r RoleARN) Account() string { return r.account }

// Name is the role's name with its path, without a leading slash.
func (r RoleARN) Name() string { return r.name }

func checkPolicyARN(s string) error {
	if len(s) > maxARNLength || !policyARNForm.MatchString(s) {
		return fmt.Errorf("%q is not the ARN of an IAM policy (arn:aws:iam::aws:policy/Name)", clip(s))
	}
	return nil
}

// clip keeps error texts readable when a value is absurdly long.
func clip(s string) string {
	const most = 200
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
