package toolhive

import (
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/countersign-io/countersign/pkg/authconfig"
)

// policies reads authzConfig, or what authzConfigRef refers to, and toolConfigRef.
func (c *conversion) policies() error {
	config, err := c.authorization()
	if err != nil {
		return err
	}
	var texts []string
	if config != nil {
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
	if entities := strings.TrimSpace(text(config["entities_json"])); entities != "" && entities != "[]" {
		c.leave("entities_json: write its groups into the key entities.json by hand, see docs/policies.md")
	}
	list, _ := config["policies"].([]any)
	if len(list) == 0 {
		return nil, errors.New("the authorization has no policies")
	}
	t := &translator{server: upstreamName}
	var texts []string
	for i, one := range list {
		policy := text(one)
		translated, err := t.translate(policy)
		switch {
		case errors.Is(err, errDead):
			c.leave("policy %d is left out: %v", i+1, err)
		case err != nil && strings.Contains(policy, "forbid"):
			return nil, fmt.Errorf("policy %d is a forbid and cannot be carried over, and without it more would be allowed: %w", i+1, err)
		case err != nil:
			c.leave("policy %d is left out, so less is allowed: %v", i+1, err)
		default:
			texts = append(texts, translated...)
		}
	}
	if len(texts) == 0 {
		return nil, errors.New("none of the policies can be carried over; without any every tool would be allowed")
	}
	c.leave("policies: ToolHive denies a request when any policy fails to be evaluated; here a permit that fails permits nothing, " +
		"and a forbid that fails denies")
	return texts, nil
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
	if spec["toolsOverride"] != nil {
		c.leave("MCPToolConfig %s: toolsOverride: tools keep the names and descriptions that the server gives them", name)
	}
	list, _ := spec["toolsFilter"].([]any)
	if len(list) == 0 {
		return nil, nil
	}
	var actions []string
	for _, tool := range list {
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
