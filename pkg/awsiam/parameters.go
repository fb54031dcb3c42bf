package awsiam

import (
	"slices"
	"strings"
)

// conditional is a row for a parameter of an operation that needs more.
type conditional struct {
	call       string
	parameters []string
	actions    []string
}

// passesRole are the parameters in which operations take the role that a service
// shall work as, which needs iam:PassRole.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
var passesRole = []string{
	"Role", "RoleArn", "RoleARN", "role", "roleArn", "IamRoleArn", "iamRoleArn", "ServiceRole", "serviceRole",
	"ServiceRoleArn", "serviceRoleArn", "ServiceRoleARN", "JobFlowRole", "ExecutionRoleArn", "executionRoleArn",
	"ExecutionRole", "taskRoleArn", "nodeRole", "podExecutionRoleArn", "MonitoringRoleArn", "IamInstanceProfile",
	"CloudWatchLogsRoleArn", "LogDeliveryRoleArn", "AccessRoleArn", "DataAccessRoleArn", "InstanceRoleArn",
	"agentResourceRoleArn", "credentials", "AutomationAssumeRole", "serviceRoleForExecution", "JobRole",
	"AutoScalingRole", "ServiceLinkedRoleARN", "PreSignedUrlRoleArn", "DomainIAMRoleName", "IamRoles",
	"DefaultIamRoleArn",
	"ServiceAccessRoleArn", "LambdaFunctionRoleArn", "overrides",
}

// passNoRole are prefixes of actions whose operations take roles for other ends.
var passNoRole = []string{"sts", "iam", "sso", "tag", "organizations", "access-analyzer", "ram", "rolesanywhere"}

// tagParameters tag what an operation creates.
var tagParameters = []string{"Tags", "tags", "TagSpecifications", "TagList", "TagSet", "ResourceTags", "TagsModel"}

// taggingActions are the actions that tag in most services.
var taggingActions = []string{"TagResource", "TagResources", "CreateTags", "AddTags", "AddTagsToResource", "TagQueue"}

// addForParameters adds what parameters of the call need beside.
func (c *catalog) addForParameters(o *Operation, prefix string, mayHave func(string) bool) {
	has := func(parameters []string) bool { return slices.ContainsFunc(parameters, mayHave) }
	call := o.Call()
	for i := range conditionals {
		if row := &conditionals[i]; row.call == call && has(row.parameters) {
			c.addActions(o, row.actions)
		}
	}
	// What only reads takes these parameters to look for, if at all.
	if o.Levels().ReadOnly() {
		return
	}
	if !slices.Contains(passNoRole, prefix) && has(passesRole) {
		c.addActions(o, []string{"iam:PassRole"})
	}
	if o.Levels()&Tagging == 0 && has(tagParameters) {
		for _, action := range append(taggingActions[:len(taggingActions):len(taggingActions)], tagsItsKind(o.Name)) {
			if _, ok := c.prefixes[prefix].action(action); ok {
				c.addActions(o, []string{prefix + ":" + action})
			}
		}
	}
}

// tagsItsKind is the action of IAM that tags what an operation creates: TagRole for
// CreateRole.
func tagsItsKind(operation string) string {
	kind, created := strings.CutPrefix(operation, "Create")
	if !created {
		return ""
	}
	return "Tag" + kind
}
