// Package toolhive reads the resources of ToolHive's operator and makes auth-configs of them:
// MCPRemoteProxy with what it refers to.
package toolhive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/configmap"
	"github.com/countersign-io/countersign/pkg/inject"
)

// maxObjects bounds the objects of a file.
const maxObjects = 10_000

// upstreamName names the one upstream of an auth-config that is made.
const upstreamName = "aws"

// Resources are ToolHive's, and the ConfigMaps beside them.
type Resources struct {
	objects map[key]map[string]any
	proxies []key
	// Skipped are objects that are nothing of ours or theirs.
	Skipped []string
}

type key struct{ kind, namespace, name string }

func (k key) String() string { return k.kind + " " + strings.TrimPrefix(k.namespace+"/"+k.name, "/") }

// Read reads manifests.
func Read(from io.Reader) (*Resources, error) {
	r := &Resources{objects: map[key]map[string]any{}}
	decoder := yaml.NewYAMLOrJSONDecoder(from, 4096)
	for range maxObjects {
		var o map[string]any
		err := decoder.Decode(&o)
		switch {
		case errors.Is(err, io.EOF):
			return r, nil
		case err != nil:
			return nil, err
		case o == nil:
			continue
		}
		r.add(o)
	}
	return nil, fmt.Errorf("there are more than %d objects", maxObjects)
}

func (r *Resources) add(o map[string]any) {
	if items, isList := o["items"].([]any); isList && strings.HasSuffix(text(o["kind"]), "List") {
		for _, item := range items {
			r.add(object(item))
		}
		return
	}
	metadata := object(o["metadata"])
	k := key{text(o["kind"]), text(metadata["namespace"]), text(metadata["name"])}
	r.objects[k] = o
	switch k.kind {
	case "MCPRemoteProxy":
		r.proxies = append(r.proxies, k)
	case "MCPExternalAuthConfig", "MCPOIDCConfig", "MCPAuthzConfig", "MCPToolConfig", "ConfigMap":
	default:
		r.Skipped = append(r.Skipped, k.String())
	}
}

// Converted is the auth-config made of one MCPRemoteProxy.
type Converted struct {
	// From names it.
	From      string
	ConfigMap *corev1.ConfigMap
	// Left are what could not be carried over, and what to look at.
	Left []string
}

// Convert makes an auth-config of every MCPRemoteProxy. Each result is valid; the error says
// of which none can be made.
func (r *Resources) Convert() ([]*Converted, error) {
	if len(r.proxies) == 0 {
		return nil, errors.New("there is no MCPRemoteProxy in what was given")
	}
	var all []*Converted
	var faults []error
	for _, k := range r.proxies {
		c := &conversion{resources: r, proxy: k, spec: object(r.objects[k]["spec"])}
		converted, err := c.run()
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", k, err))
			continue
		}
		all = append(all, converted)
	}
	return all, errors.Join(faults...)
}

type conversion struct {
	resources *Resources
	proxy     key
	spec      map[string]any
	left      []string
	files     authconfig.Files
}

func (c *conversion) leave(format string, args ...any) {
	c.left = append(c.left, fmt.Sprintf(format, args...))
}

// find gives the object of a kind that a reference names, in the proxy's namespace.
func (c *conversion) find(kind, name string) map[string]any {
	return c.resources.objects[key{kind, c.proxy.namespace, name}]
}

func (c *conversion) run() (*Converted, error) {
	c.files = authconfig.Files{}
	url := firstText(c.spec, "remoteUrl", "remoteURL", "upstreamURL")
	if url == "" {
		return nil, errors.New("spec.remoteUrl is missing")
	}
	identity, err := c.identity()
	if err != nil {
		return nil, err
	}
	sts, err := c.awsSTS()
	if err != nil {
		return nil, err
	}
	if err := c.policies(); err != nil {
		return nil, err
	}
	c.others()
	spec := map[string]any{
		"upstreams": []any{map[string]any{"name": upstreamName, "url": url}}, "identity": identity, "awsSts": sts,
	}
	if audit := object(c.spec["audit"]); audit != nil {
		enabled, _ := audit["enabled"].(bool)
		spec["audit"] = map[string]any{"enabled": enabled}
	}
	text, err := sigsyaml.Marshal(map[string]any{
		"apiVersion": authconfig.APIVersion, "kind": authconfig.Kind, "spec": spec,
	})
	if err != nil {
		return nil, err
	}
	c.files[authconfig.FileConfig] = string(text)
	cm := &corev1.ConfigMap{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{
			Name: c.proxy.name, Namespace: c.proxy.namespace, Labels: map[string]string{inject.LabelAuthConfig: "true"},
		},
		Data: c.files,
	}
	if _, err := configmap.Compile(cm); err != nil {
		return nil, fmt.Errorf("the auth-config made of it is not valid, so none is given: %w", err)
	}
	return &Converted{From: c.proxy.String(), ConfigMap: cm, Left: c.left}, nil
}

func firstText(of map[string]any, names ...string) string {
	for _, name := range names {
		if s := text(of[name]); s != "" {
			return s
		}
	}
	return ""
}

// identity reads oidcConfig, or what oidcConfigRef refers to.
func (c *conversion) identity() (map[string]any, error) {
	inline, audience, resource := map[string]any(nil), "", ""
	var scopes any
	switch reference, old := object(c.spec["oidcConfigRef"]), object(c.spec["oidcConfig"]); {
	case reference != nil:
		name := text(reference["name"])
		shared := c.find("MCPOIDCConfig", name)
		if shared == nil {
			return nil, fmt.Errorf("spec.oidcConfigRef: the MCPOIDCConfig %q is not in what was given", name)
		}
		spec := object(shared["spec"])
		if kind := text(spec["type"]); kind != "inline" {
			return nil, fmt.Errorf("MCPOIDCConfig %s: type %q has no counterpart: name an issuer", name, kind)
		}
		inline, audience, resource = object(
			spec["inline"],
		), text(
			reference["audience"],
		), text(
			reference["resourceUrl"],
		)
		scopes = reference["scopes"]
	case old != nil:
		if kind := text(old["type"]); kind != "inline" {
			return nil, fmt.Errorf("spec.oidcConfig: type %q has no counterpart: name an issuer", kind)
		}
		inline, resource = object(old["inline"]), text(old["resourceUrl"])
		audience, scopes = text(inline["audience"]), inline["scopes"]
	default:
		return nil, errors.New(
			"spec has no oidcConfigRef: ToolHive would take requests of anybody; Countersign needs an " +
				"issuer and an audience",
		)
	}
	oidc := map[string]any{"issuer": text(inline["issuer"]), "audience": audience}
	if url := firstText(inline, "jwksUrl", "jwksURL"); url != "" {
		oidc["jwksURL"] = url
	}
	if resource != "" {
		oidc["resourceURL"] = resource
	}
	if scopes != nil {
		oidc["scopes"] = scopes // ToolHive advertises them and requires none
	}
	for _, name := range []string{
		"introspectionUrl", "introspectionURL", "clientId", "clientID", "clientSecret", "clientSecretRef", "caBundleRef",
		"thvCABundlePath", "jwksAuthTokenPath", "jwksAllowPrivateIP", "insecureAllowHTTP", "protectedResourceAllowPrivateIP",
	} {
		if value, there := inline[name]; there && value != false {
			c.leave("the issuer's %s: %s", name, identityAdvice[strings.ToLower(name)])
		}
	}
	return map[string]any{"source": string(authconfig.SourceBearer), "oidc": oidc}, nil
}

// identityAdvice says what to do about a field that is not carried over.
var identityAdvice = map[string]string{
	"introspectionurl": "opaque tokens are not taken; have the issuer give JWTs", "clientid": "it is not needed to verify tokens",
	"clientsecret": "it is not needed to verify tokens", "clientsecretref": "it is not needed to verify tokens",
	"cabundleref": "put the certificates into the key ca.pem", "thvcabundlepath": "put the certificates into the key ca.pem",
	"jwksauthtokenpath":               "keys are fetched without a token",
	"jwksallowprivateip":              "not needed: private addresses are allowed",
	"insecureallowhttp":               "issuers are reached over https only, but on loopback",
	"protectedresourceallowprivateip": "not needed: private addresses are allowed",
}

// awsSTS reads the MCPExternalAuthConfig, whose awsSts has our names.
func (c *conversion) awsSTS() (map[string]any, error) {
	name := text(object(c.spec["externalAuthConfigRef"])["name"])
	if name == "" {
		return nil, errors.New("spec.externalAuthConfigRef is missing: there is no role to take")
	}
	found := c.find("MCPExternalAuthConfig", name)
	if found == nil {
		return nil, fmt.Errorf(
			"spec.externalAuthConfigRef: the MCPExternalAuthConfig %q is not in what was given",
			name,
		)
	}
	spec := object(found["spec"])
	if kind := text(spec["type"]); kind != "awsSts" {
		return nil, fmt.Errorf(
			"MCPExternalAuthConfig %s: type %q has no counterpart; see docs/identity.md for exchanges",
			name,
			kind,
		)
	}
	sts := maps.Clone(object(spec["awsSts"]))
	if _, there := sts["subjectProviderName"]; there {
		delete(sts, "subjectProviderName")
		c.leave("awsSts.subjectProviderName: it is for ToolHive's VirtualMCPServer")
	}
	mappings, _ := sts["roleMappings"].([]any)
	if slices.ContainsFunc(mappings, func(m any) bool { return text(object(m)["claim"]) != "" }) {
		c.leave(
			"roleMappings with a claim: ToolHive passes over a role claim that is no list of texts; here such a caller gets " +
				"403, unless awsSts.onUnusableClaim is fallback",
		)
	}
	if strings.Contains(text(sts["roleClaim"]), ".") {
		c.leave(
			"awsSts.roleClaim %q: a dot leads into a nested claim here, where no claim has the whole name",
			text(sts["roleClaim"]),
		)
	}
	return sts, nil
}

// others names what has no counterpart.
func (c *conversion) others() {
	for _, row := range [][2]string{
		{"authServerRef", "callers bring tokens of their own issuer"},
		{"headerForward", "the sidecar forwards headers by an allowlist; see spec.upstreams[].headers"},
		{"telemetryConfigRef", "set the variables of OpenTelemetry with the webhook's --sidecar-env"},
		{"telemetry", "set the variables of OpenTelemetry with the webhook's --sidecar-env"},
		{"resources", "set the annotations countersign.io/proxy-cpu-request and its like on the Pod"},
		{"resourceOverrides", "the sidecar has no Deployment of its own"},
		{"groupRef", "there are no groups of servers"},
		{"endpointPrefix", "the sidecar answers at the upstream's own URL"},
		{"serviceAccount", "the sidecar runs as the Pod's"},
		{"trustProxyHeaders", "see identity.oidc.trustedProxies"},
		{"sessionStorage", "sessions carry their own proof; there is nothing to store"},
	} {
		if _, there := c.spec[row[0]]; there {
			c.leave("spec.%s: %s", row[0], row[1])
		}
	}
	if text(c.spec["transport"]) == "sse" {
		c.leave(
			"spec.transport sse: the HTTP+SSE transport of 2024-11-05 is not supported; clients use streamable HTTP",
		)
	}
	c.leave(
		"annotate the agents' Pods with %s: %s; their MCP URL is the upstream's own",
		inject.AnnotationAuthConfig,
		c.proxy.name,
	)
}

// YAML writes the ConfigMap, with what was left out as a comment before it.
func (c *Converted) YAML() ([]byte, error) {
	text, err := sigsyaml.Marshal(c.ConfigMap)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "---\n# Made of %s.\n", c.From)
	for _, line := range c.Left {
		fmt.Fprintf(&b, "# Look at: %s\n", strings.ReplaceAll(line, "\n", " "))
	}
	b.Write(text)
	return b.Bytes(), nil
}
