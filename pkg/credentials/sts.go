package credentials

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/countersign-io/countersign/pkg/identity"
)

// STS exchanges web identities at the regional endpoints of AWS STS.
//
// It honours AWS_ENDPOINT_URL_STS, AWS_ENDPOINT_URL,
// AWS_IGNORE_CONFIGURED_ENDPOINT_URLS, AWS_USE_FIPS_ENDPOINT and
// AWS_USE_DUALSTACK_ENDPOINT. The SDK's config package, which would read them,
// is not linked: it also finds ambient credentials, which must never be used
// here.
type STS struct {
	client  *http.Client
	mu      sync.Mutex
	regions map[string]*sts.Client
}

// maxSTSAnswer bounds an answer of STS, which the SDK reads as a whole, in bytes. Session
// tokens are a few KiB; AWS names no bound.
const maxSTSAnswer = 64 << 10

// NewSTS uses client for every region.
func NewSTS(client *http.Client) *STS {
	bounded := *client
	bounded.Transport = identity.LimitAnswers(client.Transport, maxSTSAnswer)
	return &STS{client: &bounded, regions: map[string]*sts.Client{}}
}

func (s *STS) region(name string) *sts.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	if existing := s.regions[name]; existing != nil {
		return existing
	}
	options := sts.Options{
		Region:     name,
		HTTPClient: s.client,
		// AssumeRoleWithWebIdentity is not signed.
		Credentials: aws.AnonymousCredentials{},
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts = 2
			o.MaxBackoff = 300 * time.Millisecond
			// A throttled call is not repeated at once: the client is told to
			// come back.
			o.Retryables = append(
				[]retry.IsErrorRetryable{retry.IsErrorRetryableFunc(notWhenThrottled)},
				retry.DefaultRetryables...)
		}),
	}
	if endpoint := ConfiguredEndpoint(os.Getenv); endpoint != "" {
		options.BaseEndpoint = &endpoint
	}
	if envBool("AWS_USE_FIPS_ENDPOINT") {
		options.EndpointOptions.UseFIPSEndpoint = aws.FIPSEndpointStateEnabled
	}
	if envBool("AWS_USE_DUALSTACK_ENDPOINT") {
		options.EndpointOptions.UseDualStackEndpoint = aws.DualStackEndpointStateEnabled
	}
	client := sts.New(options)
	s.regions[name] = client
	return client
}

// ConfiguredEndpoint is the URL that the environment gives in place of AWS's; empty for
// none.
func ConfiguredEndpoint(getenv func(string) string) string {
	if strings.EqualFold(getenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"), "true") {
		return ""
	}
	if endpoint := getenv("AWS_ENDPOINT_URL_STS"); endpoint != "" {
		return endpoint
	}
	return getenv("AWS_ENDPOINT_URL")
}

func envBool(name string) bool {
	value, err := strconv.ParseBool(os.Getenv(name))
	return err == nil && value
}

func notWhenThrottled(err error) aws.Ternary {
	if kindOf(err) == KindUnavailable &&
		(retry.ThrottleErrorCode{Codes: retry.DefaultThrottleErrorCodes}).IsErrorThrottle(err).Bool() {
		return aws.FalseTernary
	}
	return aws.UnknownTernary
}

// Exchange implements Exchanger.
func (s *STS) Exchange(ctx context.Context, token string, session *RoleSession) (aws.Credentials, error) {
	input := &sts.AssumeRoleWithWebIdentityInput{
		RoleArn:          aws.String(session.Role.String()),
		RoleSessionName:  aws.String(session.Name),
		WebIdentityToken: aws.String(token),
		DurationSeconds:  aws.Int32(int32(session.Duration / time.Second)), //nolint:gosec // at most 43200
	}
	if session.Policy != "" {
		input.Policy = aws.String(session.Policy)
	}
	for i := range session.PolicyARNs {
		input.PolicyArns = append(input.PolicyArns, types.PolicyDescriptorType{Arn: &session.PolicyARNs[i]})
	}
	output, err := s.region(session.Region).AssumeRoleWithWebIdentity(ctx, input)
	if err != nil {
		return aws.Credentials{}, classify(err)
	}
	got := output.Credentials
	if got == nil || aws.ToString(got.AccessKeyId) == "" || aws.ToString(got.SecretAccessKey) == "" ||
		aws.ToString(got.SessionToken) == "" ||
		got.Expiration == nil {
		return aws.Credentials{}, &Error{Kind: KindOther, cause: errIncomplete}
	}
	return aws.Credentials{
		AccessKeyID: *got.AccessKeyId, SecretAccessKey: *got.SecretAccessKey, SessionToken: *got.SessionToken,
		CanExpire: true, Expires: *got.Expiration,
	}, nil
}

var errIncomplete = errors.New("the answer holds no complete credential")
