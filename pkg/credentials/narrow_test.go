package credentials

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/countersign-io/countersign/pkg/authconfig"
)

// statements are those of a policy, as JSON without its white space.
func statements(t *testing.T, policy string) []string {
	t.Helper()
	var document struct{ Statement []json.RawMessage }
	if err := json.Unmarshal([]byte(policy), &document); err != nil {
		t.Fatalf("%v: %s", err, policy)
	}
	var all []string
	for _, s := range document.Statement {
		all = append(all, string(s))
	}
	return all
}

const (
	denyOthers   = `{"Effect":"Deny","NotAction":[%s],"Resource":"*","Condition":{"StringLikeIfExists":{"aws:CalledViaLast":"*-mcp.amazonaws.com"}}}`
	denyDirect   = `{"Effect":"Deny","Action":[%s],"Resource":"*","Condition":{"Null":{"kms:ViaService":"true"}}}`
	denyElswhere = `{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringNotEquals":{"aws:RequestedRegion":["eu-west-1","us-east-1"]}}}`
	fourOfKMS    = `"kms:CreateGrant","kms:Decrypt","kms:DescribeKey","kms:GenerateDataKey*"`
)

func TestANarrowedSessionCanDoTheActionsAndNothingElse(t *testing.T) {
	own := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}`
	for name, c := range map[string]struct {
		policy    string
		arns      []string
		narrowing Narrowing
		want      []string
	}{
		"beside nothing": {"", nil, Narrowing{Actions: []string{"a:B"}}, []string{allowAll, fmt.Sprintf(denyOthers, `"a:B"`)}},
		"beside the mapping's own": {
			own, nil, Narrowing{Actions: []string{"a:B"}},
			[]string{`{"Effect":"Allow","Action":"s3:*","Resource":"*"}`, fmt.Sprintf(denyOthers, `"a:B"`)},
		},
		"beside managed policies, which allow": {"", []string{"arn:aws:iam::aws:policy/X"}, Narrowing{Actions: []string{"a:B"}}, []string{fmt.Sprintf(denyOthers, `"a:B"`)}},
		"with KMS behind a service": {
			"", nil, Narrowing{Actions: []string{"s3:GetObject"}, KMS: true},
			[]string{allowAll, fmt.Sprintf(denyOthers, `"s3:GetObject",`+fourOfKMS), fmt.Sprintf(denyDirect, fourOfKMS)},
		},
		"with KMS that was decided on": {
			"", nil, Narrowing{Actions: []string{"kms:Decrypt", "s3:GetObject"}, KMS: true},
			[]string{
				allowAll, fmt.Sprintf(denyOthers, `"kms:Decrypt","s3:GetObject","kms:CreateGrant","kms:DescribeKey","kms:GenerateDataKey*"`),
				fmt.Sprintf(denyDirect, `"kms:CreateGrant","kms:DescribeKey","kms:GenerateDataKey*"`),
			},
		},
		"with one of several data keys": {
			"", nil, Narrowing{Actions: []string{"kms:GenerateDataKey"}, KMS: true},
			[]string{
				allowAll, fmt.Sprintf(denyOthers, `"kms:GenerateDataKey","kms:CreateGrant","kms:Decrypt","kms:DescribeKey","kms:GenerateDataKeyPair","kms:GenerateDataKeyPairWithoutPlaintext","kms:GenerateDataKeyWithoutPlaintext"`),
				fmt.Sprintf(denyDirect, `"kms:CreateGrant","kms:Decrypt","kms:DescribeKey","kms:GenerateDataKeyPair","kms:GenerateDataKeyPairWithoutPlaintext","kms:GenerateDataKeyWithoutPlaintext"`),
			},
		},
		"in Regions":     {"", nil, Narrowing{Actions: []string{"a:B"}, Regions: []string{"eu-west-1", "us-east-1"}}, []string{allowAll, fmt.Sprintf(denyOthers, `"a:B"`), denyElswhere}},
		"without a call": {"", nil, Narrowing{}, []string{allowAll, fmt.Sprintf(denyOthers, `"sts:GetCallerIdentity"`)}},
	} {
		t.Run(name, func(t *testing.T) {
			from := &RoleSession{Name: "alice", Policy: c.policy, PolicyARNs: c.arns}
			got, err := Narrow(from, c.narrowing)
			if err != nil {
				t.Fatal(err)
			}
			if all := statements(t, got.Policy); strings.Join(all, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("%s", strings.Join(all, "\n"))
			}
			if !got.Narrowed || from.Narrowed || from.Policy != c.policy || got.Name != "alice" || KeyOf(token("t"), from) == KeyOf(token("t"), got) {
				t.Errorf("%+v", got)
			}
		})
	}
	guarded, err := SessionPolicy(authconfig.GuardrailMCPOnly, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Narrow(&RoleSession{Policy: guarded}, Narrowing{Actions: []string{"a:B"}})
	if err != nil || strings.Join(statements(t, got.Policy), "\n") != strings.Join([]string{allowAll, DenyOutsideMCP, fmt.Sprintf(denyOthers, `"a:B"`)}, "\n") {
		t.Errorf("beside the guardrail: %v, %v", got, err)
	}
}

func TestWhatDoesNotFitIsRefusedWithTheNumberThatFits(t *testing.T) {
	var actions []string
	for n := range 100 {
		actions = append(actions, fmt.Sprintf("ec2:DescribeSomethingLonger%02d", n))
	}
	_, err := Narrow(&RoleSession{}, Narrowing{Actions: actions})
	var tooLarge *TooLargeError
	if !errors.As(err, &tooLarge) || tooLarge.Actions != len(actions) || tooLarge.Fit < 40 || tooLarge.Fit > 60 {
		t.Fatalf("%v", err)
	}
	if _, err := Narrow(&RoleSession{}, Narrowing{Actions: actions[:tooLarge.Fit]}); err != nil {
		t.Errorf("what fits: %v", err)
	}
	if _, err := Narrow(&RoleSession{}, Narrowing{Actions: actions[:tooLarge.Fit+1]}); err == nil {
		t.Error("one more fits too")
	}
}

func TestANarrowedSessionIsUsedWithTimeLeftAndNotRenewedAhead(t *testing.T) {
	for name, c := range map[string]struct{ life, used, renewed time.Duration }{
		"an hour":            {time.Hour, 44 * time.Minute, 46 * time.Minute},
		"a quarter of one":   {15 * time.Minute, 7 * time.Minute, 8 * time.Minute},
		"as long as STS has": {12 * time.Hour, 11*time.Hour + 44*time.Minute, 11*time.Hour + 46*time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			cache, sts, clock := testCache(nil)
			sts.next = func(n int64) (aws.Credentials, error) {
				return credential(fmt.Sprint(n), clock.now().Add(c.life)), nil
			}
			narrowed, err := Narrow(session, Narrowing{Actions: []string{"a:B"}})
			if err != nil {
				t.Fatal(err)
			}
			get := func(want string) {
				t.Helper()
				got, err := cache.Get(t.Context(), from(sts), KeyOf(token("t"), narrowed), caller("t"), narrowed)
				if err != nil || got.AccessKeyID != want {
					t.Errorf("%v, %v, want %s", got.AccessKeyID, err, want)
				}
			}
			get("1")
			clock.advance(c.used)
			get("1")
			if n := sts.count.Load(); n != 1 {
				t.Errorf("%d exchanges: renewed ahead", n)
			}
			clock.advance(c.renewed - c.used)
			get("2")
		})
	}
}
