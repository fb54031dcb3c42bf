package check

import (
	"context"
	"errors"
	"fmt"
	"net/url"
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
)

// AWSCredentials are those of whoever runs the check: environment, profile, single
// sign-on. A machine's own role, which its metadata service has, is not asked for.
// Without any the error says so.
func AWSCredentials(ctx context.Context) (aws.Config, error) {
	ctx, cancel := withTime(ctx)
	defer cancel()
	config, err := awsconfig.LoadDefaultConfig(ctx,
		awsconfig.WithEC2IMDSClientEnableState(imds.ClientDisabled), awsconfig.WithDefaultRegion("us-east-1"))
	if err != nil {
		return aws.Config{}, err
	}
	if _, err := config.Credentials.Retrieve(ctx); err != nil {
		return aws.Config{}, fmt.Errorf("there are no AWS credentials: %w", err)
	}
	return config, nil
}

// trust looks at what IAM holds of the auth-config's roles, in the account of the AWS
// credentials: the provider, each role's trust policy and session length.
func trust(ctx context.Context, q *ConfigRequest, r *Report) {
	if q.AWS == nil {
		r.Unknown(
			trustFact,
			errors.New("with AWS credentials of yours (AWS_PROFILE, ...) the roles' trust policies are looked at"),
		)
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
		r.Unknown(trustFact, fmt.Errorf("AWS does not take your credentials: %s", codeOf(err)))
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
	case compared.AnyAudience:
		r.Warn(
			trustFact,
			want.ARN+" trusts tokens of the issuer for any audience",
			"add the condition on the audience: whoever has a token of the issuer for another program has the role. "+iamAdvice,
		)
	case len(compared.Also) > 0:
		r.OK(
			trustFact,
			"%s trusts the issuer where %s are as its policy says",
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
		r.Unknown(trustFact, fmt.Errorf("%s: %s", what, codeOf(err)))
	}
	return false
}

// codeOf is AWS's code alone: its messages repeat request and account.
func codeOf(err error) string {
	var answer smithy.APIError
	if errors.As(err, &answer) {
		return answer.ErrorCode()
	}
	return err.Error()
}
