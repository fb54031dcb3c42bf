package iam

import (
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

func writeIndented(w io.Writer, text jsontext.Value) error {
	if err := text.Indent(jsontext.WithIndent("  ")); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	_, err := fmt.Fprintf(w, "%s\n", text)
	return err
}

// object keeps the order of its members.
type object []member

type member struct {
	name  string
	value any
}

// MarshalJSONTo writes the members in order.
func (o object) MarshalJSONTo(encoder *jsontext.Encoder) error {
	if err := encoder.WriteToken(jsontext.BeginObject); err != nil {
		return err
	}
	for _, m := range o {
		if err := encoder.WriteToken(jsontext.String(m.name)); err != nil {
			return err
		}
		if err := json.MarshalEncode(encoder, m.value); err != nil {
			return err
		}
	}
	return encoder.WriteToken(jsontext.EndObject)
}

// WriteCloudFormation writes one template for all accounts of the plan; in each
// it makes what belongs there.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/AWS_IAM.html
func (p *Plan) WriteCloudFormation(w io.Writer) error {
	conditions, resources := object{}, object{}
	for _, a := range p.Accounts {
		inAccount, makesProvider := "In"+a.ID, "MakesProviderIn"+a.ID
		conditions = append(conditions,
			member{inAccount, map[string]any{"Fn::Equals": []any{map[string]any{"Ref": "AWS::AccountId"}, a.ID}}})
		if a.Provider != nil {
			conditions = append(conditions, member{makesProvider, map[string]any{"Fn::And": []any{
				map[string]any{"Condition": inAccount},
				map[string]any{"Fn::Equals": []any{map[string]any{"Ref": "CreateProvider"}, "true"}},
			}}})
			resources = append(resources, member{"Provider" + a.ID, object{
				{"Type", "AWS::IAM::OIDCProvider"}, {"Condition", makesProvider},
				{"Properties", object{{"Url", a.Provider.URL}, {"ClientIdList", a.Provider.ClientIDs}}},
			}})
		}
		for n, r := range a.Roles {
			resources = append(
				resources,
				member{fmt.Sprintf("Role%d%s%s", n+1, notAlphanumeric.ReplaceAllString(r.Name, ""), a.ID), object{
					{"Type", "AWS::IAM::Role"}, {"Condition", inAccount},
					{"Properties", object{
						{"RoleName", r.Name}, {"Path", r.Path}, {"MaxSessionDuration", r.MaxSessionDuration},
						{"AssumeRolePolicyDocument", r.TrustPolicy},
						{"Policies", []object{{{"PolicyName", policyName}, {"PolicyDocument", r.PermissionPolicy}}}},
						{"ManagedPolicyArns", r.ManagedPolicyARNs},
					}},
				}},
			)
		}
	}
	text, err := json.Marshal(object{
		{"AWSTemplateFormatVersion", "2010-09-09"},
		{"Description", "What AWS IAM must hold for a Countersign auth-config"},
		{"Parameters", object{{"CreateProvider", object{
			{"Type", "String"}, {"Default", "true"}, {"AllowedValues", []string{"true", "false"}},
			{"Description", "false where the account has this OIDC provider already"},
		}}}},
		{"Conditions", conditions},
		{"Resources", resources},
	}, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("write CloudFormation: %w", err)
	}
	return writeIndented(w, text)
}

var notAlphanumeric = regexp.MustCompile(`[^A-Za-z0-9]+`)

// WriteTerraform writes HCL for the hashicorp/aws provider. What belongs to
// another account than that of the provider's credentials is left out there.
func (p *Plan) WriteTerraform(w io.Writer) error {
	var b strings.Builder
	b.WriteString(`# What AWS IAM must hold for a Countersign auth-config.
terraform {
  required_providers {
    # Older releases want the thumbprints of OIDC providers.
    aws = { source = "hashicorp/aws", version = ">= 5.81" }
  }
}

variable "create_provider" {
  description = "false where the account has this OIDC provider already"
  type        = bool
  default     = true
}

data "aws_caller_identity" "current" {}
`)
	for _, a := range p.Accounts {
		here := fmt.Sprintf("data.aws_caller_identity.current.account_id == %s", hclString(a.ID))
		if a.Provider != nil {
			fmt.Fprintf(&b, "\nresource \"aws_iam_openid_connect_provider\" \"countersign_%s\" {\n", a.ID)
			fmt.Fprintf(
				&b,
				"  count          = var.create_provider && %s ? 1 : 0\n  url            = %s\n  client_id_list = "+
					"%s\n}\n",
				here,
				hclString(a.Provider.URL),
				hclStrings(a.Provider.ClientIDs),
			)
		}
		for n, r := range a.Roles {
			label := fmt.Sprintf("countersign_%s_%d", a.ID, n+1)
			fmt.Fprintf(
				&b,
				"\nresource \"aws_iam_role\" %q {\n  count                = %s ? 1 : 0\n  name                 = "+
					"%s\n  path                 = %s\n  max_session_duration = %d\n  assume_role_policy   = %s\n}\n",
				label,
				here,
				hclString(r.Name),
				hclString(r.Path),
				r.MaxSessionDuration,
				heredoc(r.TrustPolicy),
			)
			fmt.Fprintf(
				&b,
				"\nresource \"aws_iam_role_policy\" %q {\n  count  = %s ? 1 : 0\n  name   = %q\n  role   = "+
					"aws_iam_role.%s[0].id\n  policy = %s\n}\n",
				label,
				here,
				policyName,
				label,
				heredoc(r.PermissionPolicy),
			)
			for i, arn := range r.ManagedPolicyARNs {
				fmt.Fprintf(
					&b,
					"\nresource \"aws_iam_role_policy_attachment\" \"%s_%d\" {\n  count      = %s ? 1 : 0\n  role  "+
						"     = aws_iam_role.%s[0].name\n  policy_arn = %s\n}\n",
					label,
					i+1,
					here,
					label,
					hclString(arn),
				)
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Both begin a template in HCL: ${ of an IAM policy variable is data here.
var hclTemplate = strings.NewReplacer("${", "$${", "%{", "%%{")

func hclString(s string) string {
	return hclTemplate.Replace(`"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`)
}

func hclStrings(texts []string) string {
	quoted := make([]string, len(texts))
	for i, text := range texts {
		quoted[i] = hclString(text)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

func heredoc(d Document) string {
	text := marshal(d)
	if err := text.Indent(jsontext.WithIndent("  ")); err != nil {
		panic(err) // it was marshalled just now
	}
	return "<<-JSON\n" + hclTemplate.Replace("    "+strings.ReplaceAll(string(text), "\n", "\n    ")) + "\n  JSON"
}
