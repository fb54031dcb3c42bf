package toolhive

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/policy"
)

// policies reads authzConfig, or what authzConfigRef refers to, and toolConfigRef.
func (c *conversion) policies() error {
	config, err := c.authorization()
	if err != nil {
		return err
	}
	var texts []string
	switch stands := c.spec["authzConfig"] != nil || c.spec["authzConfigRef"] != nil; {
	case stands && config == nil:
		return errors.New("the authorization cannot be read: without policies every tool would be allowed")
	case config != nil:
		if texts, err = c.translate(config); err != nil {
			return err
		}
	}
	filtered, err := c.toolFilter(len(texts) > 0)
	if err != nil {
		return err
	}
	texts = append(texts, filtered...)
	if len(texts) == 0 {
		c.leave("there are no policies: every tool is allowed, as with ToolHive without authzConfig")
		return nil
	}
	c.files["toolhive"+authconfig.PolicySuffix] = strings.Join(texts, "\n\n") + "\n"
	return nil
}

// authorization gives the object that has policies, whatever its form; nil where there is
// none.
func (c *conversion) authorization() (map[string]any, error) {
	if reference := object(c.spec["authzConfigRef"]); reference != nil {
		name := text(reference["name"])
		found := c.find("MCPAuthzConfig", name)
		if found == nil {
			return nil, fmt.Errorf("spec.authzConfigRef: the MCPAuthzConfig %q is not in what was given", name)
		}
		spec := object(found["spec"])
		if kind := text(spec["type"]); kind != "cedarv1" {
			return nil, fmt.Errorf("MCPAuthzConfig %s: type %q has no counterpart", name, kind)
		}
		return object(spec["config"]), nil
	}
	authz := object(c.spec["authzConfig"])
	switch kind := text(authz["type"]); {
	case authz == nil:
		return nil, nil //nolint:nilnil // there is none
	case kind == "inline":
		inline := object(authz["inline"])
		if class := text(authz["groupEntityType"]); class != "" && class != "THVGroup" {
			return nil, fmt.Errorf("spec.authzConfig.groupEntityType %q has no counterpart", class)
		}
		return map[string]any{"policies": inline["policies"], "entities_json": inline["entitiesJson"]}, nil
	case kind == "configMap" || kind == "":
		return c.authorizationOf(object(authz["configMap"]))
	default:
		return nil, fmt.Errorf("spec.authzConfig: type %q has no counterpart", kind)
	}
}

func (c *conversion) authorizationOf(reference map[string]any) (map[string]any, error) {
	name, name2 := text(reference["name"]), text(reference["key"])
	if name2 == "" {
		name2 = "authz.json"
	}
	found := c.find("ConfigMap", name)
	if found == nil {
		return nil, fmt.Errorf("spec.authzConfig: the ConfigMap %q is not in what was given", name)
	}
	content := text(object(found["data"])[name2])
	var file map[string]any
	if err := yaml.Unmarshal([]byte(content), &file); err != nil {
		return nil, fmt.Errorf("ConfigMap %s: %s: %w", name, name2, err)
	}
	if kind := text(file["type"]); kind != "cedarv1" {
		return nil, fmt.Errorf("ConfigMap %s: %s: type %q has no counterpart", name, name2, kind)
	}
	return object(file["cedar"]), nil
}

// translate carries policies over. A permit that cannot be is left out, which allows less; a
// forbid that cannot be ends the conversion, since the result would allow more.
func (c *conversion) translate(config map[string]any) ([]string, error) {
	list, _ := config["policies"].([]any)
	forbids := slices.ContainsFunc(list, func(one any) bool { return isForbid(text(one)) })
	if entities := strings.TrimSpace(text(config["entities_json"])); entities != "" && entities != "[]" {
		if forbids {
			return nil, errors.New(
				"entities_json stands beside a forbid, which may need it: write entities.json by hand",
			)
		}
		c.leave("entities_json: write its groups into the key entities.json by hand, see docs/policies.md")
	}
	if len(list) == 0 {
		return nil, errors.New("the authorization has no policies")
	}
	t := &translator{server: upstreamName}
	var texts []string
	for i, one := range list {
		written := text(one)
		if written == "" {
			return nil, fmt.Errorf("policy %d is no text", i+1)
		}
		translated, err := t.translate(written)
		switch {
		case errors.Is(err, errDead):
			c.leave("policy %d is left out: %v", i+1, err)
		case err != nil && isForbid(written):
			return nil, fmt.Errorf(
				"policy %d is a forbid and cannot be carried over, and without it more would be allowed: %w",
				i+1,
				err,
			)
		case err != nil:
			c.leave("policy %d is left out, so less is allowed: %v", i+1, err)
		default:
			texts = append(texts, translated...)
		}
	}
	if len(texts) == 0 {
		return nil, errors.New("none of the policies can be carried over; without any every tool would be allowed")
	}
	if claim := c.groupClaim(config); t.namesGroups && claim != "" && claim != c.roleClaim() {
		return nil, fmt.Errorf(
			"groups of policies are the claim %q there, and awsSts.roleClaim, %q, here",
			claim,
			c.roleClaim(),
		)
	}
	c.leave(
		"policies: where a claim or an argument that a policy reads is missing, a permit does not apply and a forbid does; " +
			"ToolHive denies the request whatever else permits it",
	)
	return texts, nil
}

// groupClaim is the claim that ToolHive takes groups from; empty for its defaults.
func (c *conversion) groupClaim(config map[string]any) string {
	return firstText(object(c.spec["authzConfig"]), "groupClaimName") + firstText(config, "group_claim_name")
}

// roleClaim is that of awsSts.
func (c *conversion) roleClaim() string {
	found := c.find("MCPExternalAuthConfig", text(object(c.spec["externalAuthConfigRef"])["name"]))
	return cmp.Or(text(object(object(found["spec"])["awsSts"])["roleClaim"]), "groups")
}

// toolFilter makes a policy of an MCPToolConfig, which lists the tools that there are.
func (c *conversion) toolFilter(havePolicies bool) ([]string, error) {
	name := text(object(c.spec["toolConfigRef"])["name"])
	if name == "" {
		return nil, nil
	}
	found := c.find("MCPToolConfig", name)
	if found == nil {
		return nil, fmt.Errorf("spec.toolConfigRef: the MCPToolConfig %q is not in what was given", name)
	}
	spec := object(found["spec"])
	if spec["toolsOverride"] != nil && (havePolicies || spec["toolsFilter"] != nil) {
		return nil, fmt.Errorf(
			"MCPToolConfig %s: toolsOverride gives tools other names, which policies and the filter may mean",
			name,
		)
	}
	if spec["toolsOverride"] != nil {
		c.leave(
			"MCPToolConfig %s: toolsOverride: tools keep the names and descriptions that the server gives them",
			name,
		)
	}
	list, _ := spec["toolsFilter"].([]any)
	if len(list) == 0 {
		return nil, nil
	}
	var actions []string
	for _, tool := range list {
		if policy.IsReservedTool(text(tool)) {
			return nil, fmt.Errorf(
				"MCPToolConfig %s: the tool %q bears the name of a built-in action",
				name,
				text(tool),
			)
		}
		actions = append(actions, fmt.Sprintf("MCP::Action::%q", text(tool)))
	}
	condition := "action in [" + strings.Join(actions, ", ") + "]"
	policies := []string{
		"@id(\"tools-filter\")\nforbid (principal, action in MCP::Action::\"CallTool\", resource)\nunless { " + condition + " };",
	}
	if !havePolicies {
		policies = append(policies, "permit (principal, action, resource);")
	}
	return policies, nil
}
