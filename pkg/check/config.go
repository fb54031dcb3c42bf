package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/compile"
	"github.com/countersign-io/countersign/pkg/credentials"
	"github.com/countersign-io/countersign/pkg/explain"
	"github.com/countersign-io/countersign/pkg/liveconfig"
	"github.com/countersign-io/countersign/pkg/servertools"
	"github.com/countersign-io/countersign/pkg/tokenexchange"
	"github.com/countersign-io/countersign/pkg/toolslock"
)

// maxDocument bounds a discovery document or a set of keys.
const maxDocument = 1 << 20

// ConfigRequest says which auth-config to look at, and with what.
type ConfigRequest struct {
	Name  string
	Files authconfig.Files
	// Compiled is that of Files.
	Compiled *compile.Compiled
	// Token is a caller's; without it nothing is exchanged, and the upstream is not asked.
	Token string
	// ExchangeCredential is the file for identity.oidc.exchange.
	ExchangeCredential string
	// AWS has credentials of whoever asks, to look at IAM; nil for none. AWSFault says why
	// those that are there cannot be used, LeaveIAM that nobody looks.
	AWS      *aws.Config
	AWSFault error
	LeaveIAM bool
	// Issuer is the cluster's, for identity source serviceAccount.
	Issuer string
}

// Config looks at what an auth-config refers to: its issuer, STS, the upstream's tools. What
// it sees is from this machine, which may reach other things than Pods do.
func Config(ctx context.Context, q ConfigRequest, r *Report) {
	r.Group("Auth-config " + q.Name + ", from this machine")
	client, err := liveconfig.NewClient(q.Compiled.CA, os.Getenv("AWS_CA_BUNDLE"))
	if err != nil {
		r.Unknown("roots", err)
		return
	}
	if q.Compiled.Identity.Source == authconfig.SourceBearer {
		issuer(ctx, &q, client, r)
	}
	reached := stsReachable(ctx, &q, client, r)
	switch {
	case q.LeaveIAM:
	case !reached && q.AWS != nil:
		r.Unknown(trustFact, errors.New("AWS STS is not reached"))
	default:
		trust(ctx, &q, r)
	}
	if q.Token == "" {
		r.Unknown("exchange and tools", errors.New("give a caller's token with --token to look at them"))
		return
	}
	if exchange(ctx, &q, client, r) {
		tools(ctx, &q, r)
	}
}

// get gives a document, and the server's clock.
func get(ctx context.Context, client *http.Client, address string) (text []byte, at time.Time, err error) {
	ctx, cancel := withTime(ctx)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, at, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, at, err
	}
	defer func() { _ = response.Body.Close() }()
	at, _ = http.ParseTime(response.Header.Get("Date"))
	if response.StatusCode != http.StatusOK {
		return nil, at, fmt.Errorf("%s answers %s", address, response.Status)
	}
	text, err = io.ReadAll(io.LimitReader(response.Body, maxDocument))
	return text, at, err
}

func issuer(ctx context.Context, q *ConfigRequest, client *http.Client, r *Report) {
	oidc := &q.Compiled.Identity.OIDC
	keys := oidc.JWKSURL
	if keys == "" {
		const name = "issuer"
		text, at, err := get(ctx, client, strings.TrimSuffix(oidc.Issuer, "/")+"/.well-known/openid-configuration")
		if err != nil {
			r.Fail(
				name,
				err.Error(),
				"see whether identity.oidc.issuer is written as the provider writes it, and whether Pods reach it",
			)
			return
		}
		var document struct {
			Issuer string `json:"issuer"`
			Keys   string `json:"jwks_uri"`
		}
		if err := json.Unmarshal(text, &document); err != nil {
			r.Fail(
				name,
				"its discovery document is not JSON",
				"see whether identity.oidc.issuer is the issuer's own address",
			)
			return
		}
		if document.Issuer != oidc.Issuer {
			r.Fail(name, fmt.Sprintf("calls itself %q, and the auth-config has %q", document.Issuer, oidc.Issuer),
				"write identity.oidc.issuer to the letter as the provider does, slash at the end and all")
			return
		}
		r.OK(name, "%s is discovered", oidc.Issuer)
		clock(at, r)
		keys = document.Keys
	}
	const name = "issuer's keys"
	text, at, err := get(ctx, client, keys)
	var set struct {
		Keys []struct {
			Kind string `json:"kty"`
			Use  string `json:"use"`
		} `json:"keys"`
	}
	if err == nil {
		err = json.Unmarshal(text, &set)
	}
	usable := 0
	for _, key := range set.Keys {
		if (key.Kind == "RSA" || key.Kind == "EC") && key.Use != "enc" {
			usable++
		}
	}
	switch {
	case err != nil:
		r.Fail(name, err.Error(), "see whether "+keys+" is reached from Pods")
	case usable == 0:
		r.Fail(
			name,
			"none of them is an RSA or EC key for signatures",
			"AWS STS takes RS256 to RS512 and ES256 to ES512 only: have "+
				"the provider sign with one of these",
		)
	default:
		r.OK(name, "%d that STS knows", usable)
		if oidc.JWKSURL != "" {
			clock(at, r)
		}
	}
}

func clock(there time.Time, r *Report) {
	if there.IsZero() {
		return
	}
	const name = "clock"
	skew := time.Since(there).Abs()
	if skew > maxClockSkew {
		r.Fail(name, fmt.Sprintf("this machine's clock and the issuer's are %s apart", skew.Round(time.Second)),
			"set the clock (NTP), of the nodes too: tokens and signatures are refused where clocks differ")
		return
	}
	r.OK(name, "%s from the issuer's", skew.Round(time.Second))
}

// stsReachable reports whether AWS STS answers.
func stsReachable(ctx context.Context, q *ConfigRequest, client *http.Client, r *Report) bool {
	const name = "AWS STS"
	endpoint := credentials.ConfiguredEndpoint(os.Getenv)
	if endpoint == "" {
		endpoint = "https://sts." + q.Compiled.AWSSTS.Region + ".amazonaws.com"
	}
	if !strings.Contains(endpoint, "://") {
		endpoint = "https://" + endpoint
	}
	ctx, cancel := withTime(ctx)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint, http.NoBody)
	if err != nil {
		r.Fail(name, err.Error(), "see AWS_ENDPOINT_URL_STS")
		return false
	}
	// It redirects to its page of documentation, which nobody wants.
	plain := &http.Client{Transport: client.Transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	response, err := plain.Do(request)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err
		}
		r.Fail(
			name,
			endpoint+": "+err.Error(),
			"let Pods reach "+endpoint+" (a VPC endpoint, a proxy, the NetworkPolicy)",
		)
		return false
	}
	_ = response.Body.Close()
	r.OK(name, "%s answers", endpoint)
	return true
}

// exchange has STS give credentials for the token, and reports whether it did.
func exchange(ctx context.Context, q *ConfigRequest, client *http.Client, r *Report) bool {
	ctx, cancel := withTime(ctx)
	defer cancel()
	files := tokenexchange.Files{Credential: q.ExchangeCredential}
	exchanges := q.Compiled.Identity.OIDC.Exchange != nil && q.ExchangeCredential != ""
	answer, err := explain.Explain(ctx, explain.Question{
		Config: q.Compiled, Token: q.Token, Client: client, Exchange: exchanges, Files: files,
	})
	const name = "token"
	switch {
	case err != nil:
		r.Unknown(name, err)
		return false
	case !answer.Accepted:
		r.Fail(name, "refused, "+answer.Refusal, "docs/operations.md lists what makes a token refused")
		return false
	case answer.Role == "":
		r.Fail(
			name,
			"no role, "+answer.RoleReason,
			"add a mapping for one of the token's values of the role claim, or a fallback role",
		)
		return false
	case answer.AWS != nil && answer.AWS.Refusal != "":
		r.Fail(name, answer.AWS.Refusal, "`kubectl countersign iam` writes what IAM must hold")
		return false
	}
	r.OK(name, "of %s, gets the role %s", answer.Caller, answer.Role)
	return true
}

// tools asks the server for its tools as the caller: that takes the exchange, the role's trust
// policy and its permissions.
func tools(ctx context.Context, q *ConfigRequest, r *Report) {
	for i := range q.Compiled.Upstreams {
		upstream := q.Compiled.Upstreams[i].Name
		askCtx, cancel := withTime(ctx)
		list, err := servertools.List(askCtx, servertools.Request{
			Files: q.Files, Token: q.Token, Upstream: upstream, ExchangeCredential: q.ExchangeCredential,
		})
		cancel()
		name := "upstream " + upstream
		if err != nil {
			r.Fail(name, err.Error(), adviceFor(err))
			continue
		}
		r.OK(name, "STS gives the role's session, and the server lists %d tools", len(list))
		hashes, err := toolslock.Of(list)
		if err != nil {
			r.Fail(name, err.Error(), "the server's list is not to be trusted: tell its operator")
			continue
		}
		namedTools(q, upstream, hashes, r)
		pinned(q, upstream, hashes, r)
	}
}

// advices are by the reasons that the sidecar gives.
var advices = map[string]string{
	"stsAccessDenied": "the role's trust policy must name the provider, and its condition the audience: compare with " +
		"`kubectl countersign iam`",
	"identityProviderConfig": "register the issuer with IAM, its audience as a client id: `kubectl countersign iam -o shell` prints " +
		"the commands",
	"awsAccessDenied": "the role must allow what the server does: `kubectl countersign iam` writes its least permissions",
	"unavailable":     "STS or the issuer does not answer in time: see whether they are reached from here",
	"upstream":        "see whether the upstream's URL is right, and reached from here",
}

func adviceFor(err error) string {
	var refused *servertools.RefusedError
	if errors.As(err, &refused) && advices[refused.Reason] != "" {
		return advices[refused.Reason]
	}
	return "`sidecar explain --token` shows each step; docs/operations.md lists answers and their causes"
}

// namedTools finds policies on tools that the server does not have.
func namedTools(q *ConfigRequest, upstream string, there map[string]string, r *Report) {
	const name = "policies and tools"
	fine := true
	for _, named := range q.Compiled.Authorizer.NamedTools() {
		if _, known := there[named.Tool]; known || len(q.Compiled.Upstreams) > 1 {
			continue
		}
		fine = false
		advice := "correct the name: a call is matched to the letter"
		if close := closest(named.Tool, slices.Sorted(maps.Keys(there))); close != "" {
			advice = "did you mean " + close + "? A call is matched to the letter"
		}
		r.Fail(
			name,
			fmt.Sprintf(
				"policy %s names the tool %s, which the server %s does not have",
				named.Policy,
				named.Tool,
				upstream,
			),
			advice,
		)
	}
	if fine {
		r.OK(name, "every tool that a policy names is there")
	}
}

func pinned(q *ConfigRequest, upstream string, seen map[string]string, r *Report) {
	const name = "tools.lock"
	if q.Compiled.ToolsLock == nil {
		return
	}
	difference := toolslock.Compare(q.Compiled.ToolsLock.Upstreams[upstream], seen)
	if difference.IsEmpty() {
		r.OK(name, "the tools of %s are as they were pinned", upstream)
		return
	}
	text, err := json.Marshal(difference)
	if err != nil {
		text = jsontext.Value("?")
	}
	r.Fail(name, "tools of "+upstream+" are not as they were pinned: "+string(text),
		"look at what changed (`kubectl countersign tools diff`), then pin again (`kubectl countersign tools pin`)")
}

// closest is the name that differs least from the one that was written; empty where none is
// near.
func closest(written string, names []string) string {
	best, least := "", len(written)/3+1
	for _, name := range names {
		if d := distance(written, name); d < least || strings.HasSuffix(name, "___"+written) {
			best, least = name, min(d, least)
		}
	}
	return best
}

// distance is that of Levenshtein.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		previous := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := previous
			if a[i] != b[j] {
				cost++
			}
			previous, row[j+1] = row[j+1], min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
