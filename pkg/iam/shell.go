package iam

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
)

// Commands are lines for the AWS command line.
type Commands struct {
	Create []string `json:"create"`
	Remove []string `json:"remove"`
	// RemoveProvider stands apart: other roles may use the same provider.
	RemoveProvider []string `json:"removeProvider"`
}

// policyName names the inline policy of each role.
const policyName = "countersign"

func commands(a *Account) Commands {
	var c Commands
	if a.Provider != nil {
		words := append(
			[]string{"iam", "create-open-id-connect-provider", "--url", a.Provider.URL, "--client-id-list"},
			a.Provider.ClientIDs...)
		c.Create = append(c.Create, aws(words...))
		c.RemoveProvider = []string{
			aws("iam", "delete-open-id-connect-provider", "--open-id-connect-provider-arn", a.Provider.ARN),
		}
	}
	for _, r := range a.Roles {
		c.Create = append(
			c.Create,
			aws(
				"iam",
				"create-role",
				"--path",
				r.Path,
				"--role-name",
				r.Name,
				"--max-session-duration",
				strconv.Itoa(r.MaxSessionDuration),
				"--assume-role-policy-document",
				compact(r.TrustPolicy),
			),
			aws(
				"iam",
				"put-role-policy",
				"--role-name",
				r.Name,
				"--policy-name",
				policyName,
				"--policy-document",
				compact(r.PermissionPolicy),
			),
		)
		for _, arn := range r.ManagedPolicyARNs {
			c.Create = append(c.Create, aws("iam", "attach-role-policy", "--role-name", r.Name, "--policy-arn", arn))
			c.Remove = append(c.Remove, aws("iam", "detach-role-policy", "--role-name", r.Name, "--policy-arn", arn))
		}
		c.Remove = append(c.Remove,
			aws("iam", "delete-role-policy", "--role-name", r.Name, "--policy-name", policyName),
			aws("iam", "delete-role", "--role-name", r.Name))
	}
	return c
}

func compact(d Document) string {
	return string(marshal(d))
}

func aws(words ...string) string {
	line := "aws"
	for _, word := range words {
		line += " " + shellQuote(word)
	}
	return line
}

func shellQuote(word string) string {
	plain := word != "" &&
		strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=+@,") == ""
	if plain {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// WriteJSON writes the plan as one JSON object.
func (p *Plan) WriteJSON(w io.Writer) error {
	text, err := json.Marshal(p, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return writeIndented(w, text)
}

// WriteShell writes a POSIX shell script that creates what is missing, and with
// an argument removes it. It does the account of the credentials it runs with.
func (p *Plan) WriteShell(w io.Writer) error {
	var b strings.Builder
	b.WriteString(`#!/bin/sh
# What AWS IAM must hold for a Countersign auth-config.
#   sh FILE                   create what is missing, update what is there
#   sh FILE remove            remove the roles
#   sh FILE remove-provider   remove the OIDC provider, which other roles may use
set -eu
account=$(aws sts get-caller-identity --query Account --output text)
action=${1:-create}
found=
`)
	for _, a := range p.Accounts {
		fmt.Fprintf(&b, "\n# Account %s\n", a.ID)
		for _, step := range []struct {
			action string
			lines  []string
		}{{"create", createOrUpdate(a)}, {"remove", removeIfThere(a)}, {"remove-provider", a.Commands.RemoveProvider}} {
			if len(step.lines) == 0 {
				continue
			}
			fmt.Fprintf(&b, "if [ \"$account $action\" = %s ]; then\n  found=yes\n", shellQuote(a.ID+" "+step.action))
			for _, line := range step.lines {
				b.WriteString("  " + line + "\n")
			}
			b.WriteString("fi\n")
		}
	}
	b.WriteString(
		"\nif [ -z \"$found\" ]; then\n  echo \"nothing to $action in account $account\" >&2\n  exit 1\nfi\n",
	)
	_, err := io.WriteString(w, b.String())
	return err
}

// removeIfThere are the remove commands, made to be run again after a failure.
func removeIfThere(a *Account) []string {
	var lines []string
	for _, r := range a.Roles {
		lines = append(lines, "if "+aws("iam", "get-role", "--role-name", r.Name)+" >/dev/null 2>&1; then")
		for _, arn := range r.ManagedPolicyARNs {
			lines = append(
				lines,
				"  "+aws("iam", "detach-role-policy", "--role-name", r.Name, "--policy-arn", arn)+" || true",
			)
		}
		lines = append(lines,
			"  "+aws("iam", "delete-role-policy", "--role-name", r.Name, "--policy-name", policyName)+" || true",
			"  "+aws("iam", "delete-role", "--role-name", r.Name), "fi")
	}
	return lines
}

// createOrUpdate are the create commands, made to be run again.
func createOrUpdate(a *Account) []string {
	var lines []string
	if p := a.Provider; p != nil {
		lines = append(
			lines,
			"if "+aws(
				"iam",
				"get-open-id-connect-provider",
				"--open-id-connect-provider-arn",
				p.ARN,
			)+" >/dev/null 2>&1; then",
		)
		for _, client := range p.ClientIDs {
			lines = append(lines, "  "+aws("iam", "add-client-id-to-open-id-connect-provider",
				"--open-id-connect-provider-arn", p.ARN, "--client-id", client))
		}
		lines = append(lines, "else", "  "+a.Commands.Create[0], "fi")
	}
	for _, r := range a.Roles {
		lines = append(
			lines,
			"if "+aws("iam", "get-role", "--role-name", r.Name)+" >/dev/null 2>&1; then",
			"  "+aws(
				"iam",
				"update-assume-role-policy",
				"--role-name",
				r.Name,
				"--policy-document",
				compact(r.TrustPolicy),
			),
			"  "+aws(
				"iam",
				"update-role",
				"--role-name",
				r.Name,
				"--max-session-duration",
				strconv.Itoa(r.MaxSessionDuration),
			),
			"else",
			"  "+aws(
				"iam",
				"create-role",
				"--path",
				r.Path,
				"--role-name",
				r.Name,
				"--max-session-duration",
				strconv.Itoa(r.MaxSessionDuration),
				"--assume-role-policy-document",
				compact(r.TrustPolicy),
			),
			"fi",
			aws(
				"iam",
				"put-role-policy",
				"--role-name",
				r.Name,
				"--policy-name",
				policyName,
				"--policy-document",
				compact(r.PermissionPolicy),
			),
		)
		for _, arn := range r.ManagedPolicyARNs {
			lines = append(lines, aws("iam", "attach-role-policy", "--role-name", r.Name, "--policy-arn", arn))
		}
	}
	return lines
}
