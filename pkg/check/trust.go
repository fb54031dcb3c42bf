package check

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	awsiam "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/iam"
)

const (
	trustFact = "IAM's trust"
	iamAdvice = "`kubectl countersign iam` writes what IAM must hold; docs/iam.md"
	// iamRights are what the look takes.
	iamRights = "it takes iam:GetRole and iam:GetOpenIDConnectProvider"
)

// ErrNoAWSCredentials says that nothing names any.
var ErrNoAWSCredentials = errors.New("there are no AWS credentials")

// AWSCredentials are those of whoever runs the check: environment, profile, single
// sign-on. A machine's own role, which its metadata service has, is not asked for.
// The error is ErrNoAWSCredentials, or says what is wrong with those that are named.
func AWSCredentials(ctx context.Context) (aws.Config, error) {
	ctx, cancel := withTime(ctx)
	defer cancel()
	config, err := awsconfig.LoadDefaultConfig(ctx,
		awsconfig.WithEC2IMDSClientEnableState(imds.ClientDisabled), awsconfig.WithDefaultRegion("us-east-1"),
		awsconfig.WithRetryMaxAttempts(1))
	if err != nil {
		return aws.Config{}, err
	}
	if _, err = config.Credentials.Retrieve(ctx); err == nil {
		return config, nil
	}
	profile, id, secret := os.Getenv("AWS_PROFILE"), os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
	switch {
	case id != "" && secret == "":
		return aws.Config{}, errors.New("AWS_ACCESS_KEY_ID is set, and AWS_SECRET_ACCESS_KEY is not")
	case profile == "":
		return aws.Config{}, ErrNoAWSCredentials
	}
	// The SDK's own text may have what a program printed that a profile names.
	return aws.Config{}, fmt.Errorf(
		"the profile %q gives none: see `aws sts get-caller-identity --profile %[1]s`",
		profile,
	)
}

// trust looks at what IAM holds of the auth-config's roles, in the account of the AWS
// credentials: the provider, each role's trust policy and session length.
func trust(ctx context.Context, q *ConfigRequest, r *Report) {
	switch {
	case q.AWS == nil && q.AWSFault != nil:
		r.add(Unknown, trustFact, "your AWS credentials cannot be used: "+q.AWSFault.Error(),
			"or leave them alone with --aws=false")
		return
	case q.AWS == nil:
		r.Unknown(trustFact, errors.New(
			"with AWS credentials of yours (AWS_PROFILE, ...) the roles' trust policies are looked at"))
		return
	}
	options := iam.Options{TrustOnly: true}
	if q.Compiled.Identity.Source == authconfig.SourceServiceAccount {
		options.Issuer = q.Issuer
	}
	plan, err := iam.NewPlan(q.Compiled.Config, options)
	if err != nil {
		r.Unknown(trustFact, err)
		return
	}
	ctx, cancel := withTime(ctx)
	defer cancel()
	me, err := sts.NewFromConfig(*q.AWS).GetCallerIdentity(ctx, nil)
	if err != nil {
		r.Unknown(trustFact, notIdentified(err))
		return
	}
	client := awsiam.NewFromConfig(*q.AWS)
	for _, account := range plan.Accounts {
		if account.ID != aws.ToString(me.Account) {
			r.Unknown(
				trustFact,
				fmt.Errorf("account %s: your AWS credentials are of %s", account.ID, aws.ToString(me.Account)),
			)
			continue
		}
		provider(ctx, client, account, r)
		for _, role := range account.Roles {
			roleTrust(ctx, client, role, r)
		}
	}
}

// provider looks at the account's OIDC provider; IAM knows some issuers by itself.
func provider(ctx context.Context, client *awsiam.Client, account *iam.Account, r *Report) {
	want := account.Provider
	if want == nil {
		return
	}
	have, err := client.GetOpenIDConnectProvider(ctx, &awsiam.GetOpenIDConnectProviderInput{
		OpenIDConnectProviderArn: &want.ARN,
	})
	if !found(err, "the OIDC provider "+want.ARN, r) {
		return
	}
	missing := slices.DeleteFunc(slices.Clone(want.ClientIDs), func(id string) bool {
		return slices.Contains(have.ClientIDList, id)
	})
	if len(missing) > 0 {
		r.Fail(
			trustFact,
			fmt.Sprintf("the OIDC provider %s lacks the client ids %s", want.ARN, strings.Join(missing, ", ")),
			iamAdvice,
		)
		return
	}
	r.OK(trustFact, "%s is there, with its client ids", want.ARN)
}

func roleTrust(ctx context.Context, client *awsiam.Client, want *iam.Role, r *Report) {
	have, err := client.GetRole(ctx, &awsiam.GetRoleInput{RoleName: &want.Name})
	if !found(err, "the role "+want.ARN, r) {
		return
	}
	if arn := aws.ToString(have.Role.Arn); arn != want.ARN {
		r.Fail(
			trustFact,
			fmt.Sprintf("the role %s is %s in IAM: its path is another", want.ARN, arn),
			"write the role's whole ARN, path and all",
		)
		return
	}
	document, err := url.QueryUnescape(aws.ToString(have.Role.AssumeRolePolicyDocument))
	if err != nil {
		r.Unknown(trustFact, err)
		return
	}
	compared, err := want.CompareTrust([]byte(document))
	switch longest := int(aws.ToInt32(have.Role.MaxSessionDuration)); {
	case err != nil:
		r.Unknown(trustFact, fmt.Errorf("%s: %w", want.ARN, err))
	case len(compared.Missing) > 0:
		r.Fail(trustFact, want.ARN+": "+strings.Join(compared.Missing, "; "), iamAdvice)
	case longest < want.MaxSessionDuration:
		r.Fail(
			trustFact,
			fmt.Sprintf(
				"%s: its sessions last %d s at most, the auth-config asks for %d s (awsSts.sessionDuration)",
				want.ARN,
				longest,
				want.MaxSessionDuration,
			),
			"aws iam update-role --role-name "+want.Name+" --max-session-duration; or ask for less",
		)
	case len(compared.Open) > 0:
		r.Warn(trustFact, want.ARN+": "+strings.Join(compared.Open, "; "),
			"whoever has such a token has the role, past the sidecar. "+iamAdvice)
	case len(compared.Also) > 0:
		r.OK(
			trustFact,
			"%s trusts the issuer and the audience where %s are as its policy says",
			want.ARN,
			strings.Join(compared.Also, ", "),
		)
	default:
		r.OK(trustFact, "%s trusts the issuer and the audience", want.ARN)
	}
}

// found notes that IAM does not have something, or does not tell.
func found(err error, what string, r *Report) bool {
	var missing *types.NoSuchEntityException
	switch {
	case err == nil:
		return true
	case errors.As(err, &missing):
		r.Fail(trustFact, "IAM does not have "+what, iamAdvice)
	default:
		r.add(Unknown, trustFact, what+": "+codeOf(err), iamRights)
	}
	return false
}

// notIdentified tells credentials that AWS refuses from an AWS that is not reached.
func notIdentified(err error) error {
	var answer smithy.APIError
	if errors.As(err, &answer) {
		return fmt.Errorf("AWS does not take your credentials: %s", answer.ErrorCode())
	}
	return fmt.Errorf("AWS STS is not reached with your credentials: %w", innermost(err))
}

// innermost is what the SDK's chain of errors is about.
func innermost(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err
	}
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return err
}

// codeOf is AWS's code alone: its messages repeat request and account.
func codeOf(err error) string {
	var answer smithy.APIError
	if errors.As(err, &answer) {
		return answer.ErrorCode()
	}
	return innermost(err).Error()
}
