package authconfig

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
)

// Exchange says how a caller's token is exchanged at the identity provider for the
// one that AWS STS gets, which nobody but the sidecar can have.
type Exchange struct {
	Grant ExchangeGrant
	// Issuer of the exchanged token.
	Issuer string
	// TokenEndpoint is empty when it is to be discovered from Issuer.
	TokenEndpoint string
	// SubjectTokenType and RequestedTokenType are URIs (RFC 8693, section 3);
	// RequestedTokenType is empty when it is not sent.
	SubjectTokenType   string
	RequestedTokenType string
	// Audience of the exchanged token, and whether it is asked for.
	Audience     string
	SendAudience bool
	// AuthorizedParty is the azp of the exchanged token, empty where the identity
	// provider sets none.
	AuthorizedParty string
	// Resource and Scope are sent where they are not empty.
	Resource, Scope string
	// Parameters are further form fields.
	Parameters map[string]string
	// SubjectClaim must be equal in both tokens; empty for no comparison.
	SubjectClaim string
	Actor        ExchangeActor
	Client       ExchangeClient
}

// ExchangeGrant is the grant by which a token is exchanged.
type ExchangeGrant string

// The grants.
const (
	// GrantTokenExchange is RFC 8693.
	GrantTokenExchange ExchangeGrant = "tokenExchange"
	// GrantJWTBearer is RFC 7523, section 2.1, as Entra ID's on-behalf-of flow uses it.
	GrantJWTBearer ExchangeGrant = "jwtBearer"
)

// ExchangeActor is who is sent as the actor of an exchange.
type ExchangeActor string

// The actors.
const (
	ActorNone ExchangeActor = "none"
	// ActorServiceAccount sends the Pod's service-account token as actor_token.
	ActorServiceAccount ExchangeActor = "serviceAccount"
)

// ExchangeClient is the sidecar as the identity provider knows it.
type ExchangeClient struct {
	// ID is empty when it is not sent.
	ID             string
	Authentication ClientAuthentication
	// Audience of the assertion that authenticates the client.
	Audience     string
	SecretMethod SecretMethod
	// SecretRef names the Secret with the client's secret or key.
	SecretRef SecretRef
}

// ClientAuthentication is how the client proves who it is.
type ClientAuthentication string

// The ways of authentication.
const (
	ClientSecret ClientAuthentication = "secret"
	// ClientPrivateKeyJWT signs an assertion (RFC 7523, section 2.2).
	ClientPrivateKeyJWT ClientAuthentication = "privateKeyJWT"
	// ClientServiceAccount sends the Pod's service-account token as the assertion.
	ClientServiceAccount ClientAuthentication = "serviceAccount"
)

// SecretMethod is where a client secret is sent (RFC 6749, section 2.3.1).
type SecretMethod string

// The places.
const (
	SecretBasic SecretMethod = "basic"
	SecretPost  SecretMethod = "post"
)

// SecretRef names a key of a Secret in the Pod's namespace.
type SecretRef struct{ Name, Key string }

// ExchangeTokenSeconds is how long the service-account token lives that
// authenticates the client.
const ExchangeTokenSeconds = 3600

// UsesServiceAccount reports whether the exchange needs the Pod's service-account
// token.
func (e *Exchange) UsesServiceAccount() bool {
	return e != nil && (e.Client.Authentication == ClientServiceAccount || e.Actor == ActorServiceAccount)
}

// UsesSecret reports whether the client's credential is a secret or a key.
func (e *Exchange) UsesSecret() bool {
	return e != nil && e.Client.Authentication != ClientServiceAccount
}

// Digest identifies the exchange in caches of what came of it; it is empty without an
// exchange.
func (e *Exchange) Digest() string {
	if e == nil {
		return ""
	}
	text, err := json.Marshal(e, json.Deterministic(true))
	if err != nil {
		panic(err) // strings, booleans and maps of strings only
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// AWSAudiences are the values of which AWS must see one as the audience of the tokens
// that STS gets. IAM compares azp where a token has one, else aud; see
// identity.AWSAudience.
func (c *OIDC) AWSAudiences() []string {
	audiences := slices.Concat(c.Audiences, c.AuthorizedParties)
	if c.Exchange != nil {
		audiences = []string{c.Exchange.Audience}
		if c.Exchange.AuthorizedParty != "" {
			audiences = append(audiences, c.Exchange.AuthorizedParty)
		}
	}
	var distinct []string
	for _, audience := range audiences {
		if !slices.Contains(distinct, audience) {
			distinct = append(distinct, audience)
		}
	}
	return distinct
}

const (
	claimAudience = "aud"
	// defaultExchangeAudience is what AWS's documentation uses as the audience for STS.
	defaultExchangeAudience = "sts.amazonaws.com"
	// authorizedPartyNone is written where the identity provider sets no azp.
	authorizedPartyNone = "none"

	tokenTypePrefix  = "urn:ietf:params:oauth:token-type:" //nolint:gosec // a name
	maxParameters    = 32
	maxParameterSize = 4096
)

// tokenTypes are short names of token types (RFC 8693, section 3).
var tokenTypes = map[string]string{
	"accessToken": tokenTypePrefix + "access_token",
	"idToken":     tokenTypePrefix + "id_token",
	"jwt":         tokenTypePrefix + "jwt",
}

// notAboutCaller are claims that are equal in tokens of different people.
var notAboutCaller = []string{"iss", "aud", "azp", "exp", "iat", "nbf", "scope", "scp", "client_id", "act"}

// ownParameters are form fields that the exchange itself sets.
var ownParameters = []string{
	"grant_type", "subject_token", "subject_token_type", "requested_token_type", "audience", "resource", "scope",
	"actor_token", "actor_token_type", "assertion", "client_id", "client_secret", "client_assertion",
	"client_assertion_type",
}

func (v *validator) exchange(path string, wire *wireExchange, oidc *OIDC) *Exchange {
	e := &Exchange{
		Grant: oneOf(
			v, path+".grant", wire.Grant, GrantTokenExchange, GrantTokenExchange, GrantJWTBearer,
		),
		Issuer:             orEmpty(wire.Issuer, oidc.Issuer),
		TokenEndpoint:      wire.TokenEndpoint,
		SubjectTokenType:   v.tokenType(path+".subjectTokenType", orEmpty(wire.SubjectTokenType, "accessToken")),
		RequestedTokenType: v.tokenType(path+".requestedTokenType", wire.RequestedTokenType),
		Audience:           orEmpty(wire.Audience, defaultExchangeAudience),
		SendAudience:       orDefault(wire.SendAudience, true),
		AuthorizedParty:    orEmpty(wire.AuthorizedParty, wire.Client.ID),
		Resource:           wire.Resource,
		Scope:              wire.Scope,
		Parameters:         v.parameters(path+".parameters", wire.Parameters),
		SubjectClaim:       orDefault(wire.SubjectClaim, "sub"),
		Actor:              oneOf(v, path+".actor", wire.Actor, ActorNone, ActorNone, ActorServiceAccount),
	}
	if wire.Issuer != "" {
		v.url(path+".issuer", wire.Issuer, false)
	}
	if wire.TokenEndpoint != "" {
		v.url(path+".tokenEndpoint", wire.TokenEndpoint, true)
	}
	if e.AuthorizedParty == authorizedPartyNone {
		e.AuthorizedParty = ""
	}
	if slices.Contains(oidc.Audiences, e.Audience) {
		v.failf(
			path+".audience",
			"%q is an audience of callers' tokens too: what an agent holds would open AWS STS",
			clip(e.Audience),
		)
	}
	if e.Issuer == oidc.Issuer && e.AuthorizedParty != "" && slices.Contains(oidc.Audiences, e.AuthorizedParty) {
		field := path + ".authorizedParty"
		if wire.AuthorizedParty == "" {
			field = path + ".client.id"
		}
		v.failf(
			field,
			"%q is an audience of callers' tokens too, and AWS takes aud where a token has no azp: what an agent holds "+
				"would open AWS STS; give the sidecar a client of its own",
			clip(e.AuthorizedParty),
		)
	}
	if slices.Contains(notAboutCaller, e.SubjectClaim) || e.SubjectClaim != strings.TrimSpace(e.SubjectClaim) {
		v.failf(path+".subjectClaim", "%q does not say whom a token is about", clip(e.SubjectClaim))
	}
	if strings.EqualFold(e.AuthorizedParty, authorizedPartyNone) {
		v.failf(path+".authorizedParty", "%q would be a client's name; write none", e.AuthorizedParty)
	}
	for field, value := range map[string]string{
		".audience": wire.Audience, ".authorizedParty": wire.AuthorizedParty, ".client.id": wire.Client.ID,
		".client.audience": wire.Client.Audience,
	} {
		if value != strings.TrimSpace(value) {
			v.failf(path+field, "%q begins or ends with white space", clip(value))
		}
	}
	if wire.Resource != "" && !isAbsoluteURI(wire.Resource) {
		v.failf(path+".resource", "%q is not an absolute URI without a fragment (RFC 8707, section 2)",
			clip(wire.Resource))
	}
	for _, scope := range strings.Fields(wire.Scope) {
		if !scopeForm.MatchString(scope) {
			v.failf(path+".scope", "%q is not a scope (RFC 6749, section 3.3)", clip(scope))
		}
	}
	if e.Grant == GrantJWTBearer && e.Actor != ActorNone {
		v.failf(path+".actor", "is for the grant tokenExchange: RFC 7523 knows no actor")
	}
	e.Client = v.exchangeClient(path+".client", &wire.Client, e)
	return e
}

func (v *validator) exchangeClient(path string, wire *wireExchangeClient, e *Exchange) ExchangeClient {
	c := ExchangeClient{
		ID: wire.ID,
		Authentication: oneOf(
			v, path+".authentication", wire.Authentication, ClientSecret, ClientSecret, ClientPrivateKeyJWT,
			ClientServiceAccount,
		),
		Audience:     orEmpty(wire.Audience, e.Issuer),
		SecretMethod: oneOf(v, path+".secretMethod", wire.SecretMethod, SecretBasic, SecretBasic, SecretPost),
		SecretRef:    SecretRef(wire.SecretRef),
	}
	if c.ID == "" && c.Authentication != ClientServiceAccount {
		v.failf(path+".id", "is required with authentication %s", c.Authentication)
	}
	if wire.SecretMethod != "" && c.Authentication != ClientSecret {
		v.failf(path+".secretMethod", "is for authentication secret")
	}
	if c.Authentication == ClientServiceAccount && isAPIServer(c.Audience) {
		v.failf(
			path+".audience",
			"%q is the API server's: every container's own service-account token has it",
			clip(c.Audience),
		)
	}
	ref := path + ".secretRef"
	switch {
	case c.SecretRef == SecretRef{}:
	case c.Authentication == ClientServiceAccount:
		v.failf(ref, "is not used with authentication serviceAccount")
	case c.SecretRef.Name == "":
		v.failf(ref+".name", "is required: which Secret has the key %q", clip(c.SecretRef.Key))
	case c.SecretRef.Key == "":
		v.failf(ref+".key", "is required: which key of the Secret %q", clip(c.SecretRef.Name))
	case !isObjectName(c.SecretRef.Name):
		v.failf(ref+".name", "%q is not the name of a Secret", clip(c.SecretRef.Name))
	case !secretKeyForm.MatchString(c.SecretRef.Key) || strings.HasPrefix(c.SecretRef.Key, ".."):
		v.failf(ref+".key", "%q is not a key of a Secret", clip(c.SecretRef.Key))
	}
	return c
}

// isAPIServer reports whether an audience is the usual one of a cluster's API server,
// which a service-account token has that names none.
func isAPIServer(audience string) bool {
	host := strings.TrimSuffix(strings.TrimPrefix(audience, "https://"), "/")
	return host == "kubernetes.default.svc" || strings.HasPrefix(host, "kubernetes.default.svc.")
}

// tokenType gives the URI of a short name; a URI stays what it is.
func (v *validator) tokenType(path, written string) string {
	switch {
	case written == "":
		return ""
	case tokenTypes[written] != "":
		return tokenTypes[written]
	case !isAbsoluteURI(written):
		names := slices.Sorted(maps.Keys(tokenTypes))
		v.failf(path, "%q is not one of %s, nor a URI", clip(written), strings.Join(names, ", "))
	}
	return written
}

func isAbsoluteURI(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.IsAbs() && !strings.Contains(text, "#") && len(text) <= maxParameterSize
}

func (v *validator) parameters(path string, wire map[string]string) map[string]string {
	if len(wire) > maxParameters {
		v.failf(path, "has more than %d members", maxParameters)
	}
	for _, name := range slices.Sorted(maps.Keys(wire)) {
		at := path + "." + name
		switch {
		case name == "":
			v.failf(path, "a name must not be empty")
		case slices.Contains(ownParameters, name):
			v.failf(at, "is set by the exchange itself")
		case len(name)+len(wire[name]) > maxParameterSize:
			v.failf(at, "is longer than %d bytes", maxParameterSize)
		}
	}
	return wire
}

// authorizedParties bounds the list and its members.
func (v *validator) authorizedParties(path string, wire []string) {
	if len(wire) > maxListEntries {
		v.failf(path, "has more than %d entries", maxListEntries)
	}
	for i, party := range wire {
		if party == "" {
			v.failf(fmt.Sprintf("%s[%d]", path, i), "must not be empty")
		}
	}
}

// isObjectName reports whether text can name an object of Kubernetes (a DNS subdomain,
// RFC 1123).
func isObjectName(text string) bool {
	return len(text) <= 253 && !slices.ContainsFunc(strings.Split(text, "."), func(label string) bool {
		return !dnsLabel.MatchString(label)
	})
}
