package standin

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Account is a stand-in of an AWS account: a few resources, roles with their
// policies, and IAM before every call.
type Account struct {
	// Roles are the policies of roles by ARN; a role that is not there may do
	// everything.
	Roles map[string]string
	// Region is where calls go that name none.
	Region string

	mu        sync.Mutex
	instances map[string]map[string]string
	executed  []string
}

// NewAccount has an instance that runs in each of two Regions, and two buckets, of
// which "sealed" is encrypted with a key of KMS.
func NewAccount() *Account {
	return &Account{
		Roles: map[string]string{}, Region: Region,
		instances: map[string]map[string]string{
			"eu-west-1": {"i-0a1b2c3d4e5f60001": "running"},
			"us-east-1": {"i-0a1b2c3d4e5f60002": "running"},
		},
	}
}

// Executed are the actions of IAM that scripts did, in order; what services did
// onward is not among them.
func (a *Account) Executed() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.executed)
}

// Instances are the states of a Region's instances.
func (a *Account) Instances(region string) map[string]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.instances[region])
}

// apiCall is one call of an API.
type apiCall struct {
	service, operation, region string
	params                     map[string]any
	// via is the service that calls for the caller: the MCP server, or one that it
	// called.
	via string
}

// apiError is what an API answers with.
type apiError struct{ code, message string }

func (e *apiError) Error() string { return e.code + ": " + e.message }

const viaMCP = "aws-mcp.amazonaws.com"

// withoutPolicy are calls that no policy of IAM stops: those that are not signed, and
// one that needs no permission.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
var withoutPolicy = map[string]bool{
	"sts:GetCallerIdentity": true, "cognito-identity:GetId": true, "cognito-idp:InitiateAuth": true,
	"sso-oidc:CreateToken": true,
}

// call asks IAM, and does what the operation does as far as the account has it.
func (a *Account) call(session *RoleSession, c *apiCall) (any, *apiError) {
	if c.region == "" {
		c.region = a.Region
	}
	if c.via == "" {
		c.via = viaMCP
	}
	c.operation = pascal(c.operation)
	if withoutPolicy[c.service+":"+c.operation] {
		return a.perform(session, c)
	}
	for _, action := range actionsOf(c) {
		if failed := a.authorize(session, c, action, ""); failed != nil {
			return nil, failed
		}
	}
	if failed := a.onward(session, c); failed != nil {
		return nil, failed
	}
	return a.perform(session, c)
}

// onward asks IAM about what services do for a call with the caller's session: S3
// uses KMS in its own name, Athena reads in its.
func (a *Account) onward(session *RoleSession, c *apiCall) *apiError {
	switch c.service + ":" + c.operation {
	case "s3:GetObject":
		if c.params["Bucket"] == "sealed" {
			return a.authorize(session, c, "kms:Decrypt", "s3."+c.region+".amazonaws.com")
		}
	case "athena:StartQueryExecution":
		for _, action := range []string{"glue:GetTable", "s3:GetObject", "s3:PutObject"} {
			onward := *c
			onward.via = "athena.amazonaws.com"
			if failed := a.authorize(session, &onward, action, ""); failed != nil {
				return failed
			}
		}
	}
	return nil
}

// authorize evaluates the role's policy and the session's: what a session may do is
// what both allow and neither denies.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html#policies_session
func (a *Account) authorize(session *RoleSession, c *apiCall, action, viaService string) *apiError {
	r := &accessRequest{action: action, resource: "*", keys: map[string]string{
		"aws:requestedregion": c.region, "aws:calledvialast": c.via, "aws:viaawsmcpservice": "true",
		"aws:calledviaawsmcp": viaMCP,
	}}
	if viaService != "" {
		r.keys["kms:viaservice"] = viaService
	}
	policies := []struct{ document, kind string }{
		{a.Roles[session.RoleARN], "identity-based"},
		{session.Policy, "session"},
	}
	for _, p := range policies {
		if p.document == "" {
			continue
		}
		said, err := evaluate(p.document, r)
		denied := func(why string) *apiError {
			return &apiError{"AccessDeniedException", fmt.Sprintf(
				"User: %s is not authorized to perform: %s %s",
				assumedRole(session.RoleARN+"/"+session.Name),
				action,
				why,
			)}
		}
		switch {
		case err != nil:
			return &apiError{"MalformedPolicyDocument", err.Error()}
		case said == explicitlyDenied:
			return denied("with an explicit deny in " + article(p.kind) + " policy")
		case said == notAllowed:
			return denied("because no " + p.kind + " policy allows the " + action + " action")
		}
	}
	if c.via == viaMCP && viaService == "" {
		a.mu.Lock()
		a.executed = append(a.executed, action)
		a.mu.Unlock()
	}
	return nil
}

func article(kind string) string {
	if strings.HasPrefix(kind, "i") {
		return "an " + kind
	}
	return "a " + kind
}

// perform does what the operation does; most answer with nothing.
func (a *Account) perform(session *RoleSession, c *apiCall) (any, *apiError) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch c.service + ":" + c.operation {
	case "sts:GetCallerIdentity":
		return map[string]any{
			"Arn": assumedRole(
				session.RoleARN + "/" + session.Name,
			), "Account": "123456789012", "UserId": "AROASTANDIN",
		}, nil
	case "s3:ListBuckets":
		return map[string]any{"Buckets": []any{
			map[string]any{"Name": "reports"}, map[string]any{"Name": "sealed"},
		}}, nil
	case "s3:ListObjectsV2":
		return map[string]any{"Name": c.params["Bucket"], "Contents": []any{"report.csv", "notes.txt"}}, nil
	case "s3:GetObject":
		return map[string]any{"Body": "a,b\n1,2\n", "ContentLength": 8}, nil
	case "ec2:DescribeRegions":
		return map[string]any{"Regions": []any{
			map[string]any{"RegionName": "eu-west-1"}, map[string]any{"RegionName": "us-east-1"},
		}}, nil
	case "ec2:DescribeInstances":
		return map[string]any{"Reservations": a.reservations(c.region)}, nil
	case "ec2:StopInstances", "ec2:StartInstances", "ec2:TerminateInstances":
		state := map[string]string{
			"StopInstances": "stopped", "StartInstances": "running", "TerminateInstances": "terminated",
		}[c.operation]
		ids, _ := c.params["InstanceIds"].([]any)
		for _, id := range ids {
			if name := fmt.Sprint(id); a.instances[c.region][name] != "" {
				a.instances[c.region][name] = state
			}
		}
		return map[string]any{}, nil
	}
	return map[string]any{}, nil
}

func (a *Account) reservations(region string) []any {
	var instances []any
	for _, id := range slices.Sorted(maps.Keys(a.instances[region])) {
		instances = append(instances, map[string]any{
			"InstanceId": id, "State": map[string]any{"Name": a.instances[region][id]}, "InstanceType": "t3.micro",
			"Tags": []any{}, "Placement": map[string]any{"AvailabilityZone": region + "a"},
		})
	}
	return []any{map[string]any{"Instances": instances}}
}

// prefixes are the services whose actions begin otherwise than boto3 calls them. It is
// the stand-in's own knowledge, so that a mistake in pkg/awsiam shows.
var prefixes = map[string]string{
	"elbv2": "elasticloadbalancing", "elb": "elasticloadbalancing", "stepfunctions": "states",
	"efs": "elasticfilesystem",
	"emr": "elasticmapreduce", "opensearch": "es", "resourcegroupstaggingapi": "tag", "docdb": "rds", "neptune": "rds",
	"sesv2": "ses", "sso-admin": "sso", "cloudcontrol": "cloudformation", "bedrock-runtime": "bedrock",
	"mwaa":      "airflow",
	"keyspaces": "cassandra", "amp": "aps", "location": "geo", "opensearchserverless": "aoss", "iot-data": "iot",
	"apigatewayv2": "apigateway", "bedrock-agent": "bedrock", "service-quotas": "servicequotas",
}

// others are operations whose action has another name, or that need several.
var others = map[string][]string{
	"s3:ListBuckets": {
		"s3:ListAllMyBuckets",
	}, "s3:ListObjectsV2": {"s3:ListBucket"}, "s3:ListObjects": {"s3:ListBucket"},
	"s3:HeadObject": {
		"s3:GetObject",
	}, "s3:HeadBucket": {"s3:ListBucket"}, "s3:ListObjectVersions": {"s3:ListBucketVersions"},
	"s3:GetBucketEncryption":             {"s3:GetEncryptionConfiguration"},
	"s3:GetBucketLifecycleConfiguration": {"s3:GetLifecycleConfiguration"},
	"s3:GetPublicAccessBlock":            {"s3:GetBucketPublicAccessBlock"},
	"s3:GetBucketReplication":            {"s3:GetReplicationConfiguration"},
	"s3:PutPublicAccessBlock":            {"s3:PutBucketPublicAccessBlock"},
	"s3:PutBucketEncryption":             {"s3:PutEncryptionConfiguration"},
	"s3:PutBucketLifecycleConfiguration": {"s3:PutLifecycleConfiguration"},
	"s3:DeleteBucketTagging":             {"s3:PutBucketTagging"},
	"s3:CopyObject":                      {"s3:GetObject", "s3:PutObject"},
	"s3:DeleteObjects":                   {"s3:DeleteObject"},
	"s3:CreateMultipartUpload":           {"s3:PutObject"}, "s3:UploadPart": {"s3:PutObject"},
	"s3:CompleteMultipartUpload": {"s3:PutObject"},
	"s3:ListMultipartUploads":    {"s3:ListBucketMultipartUploads"},
	"lambda:Invoke":              {"lambda:InvokeFunction"}, "kms:ReEncrypt": {"kms:ReEncryptFrom", "kms:ReEncryptTo"},
	"sqs:SendMessageBatch": {"sqs:SendMessage"}, "sns:PublishBatch": {"sns:Publish"},
	"dynamodb:TransactGetItems": {"dynamodb:GetItem"}, "dynamodb:TransactWriteItems": {"dynamodb:PutItem"},
	"dynamodb:ExecuteStatement": {"dynamodb:PartiQLSelect"}, "budgets:DescribeBudgets": {"budgets:ViewBudget"},
	"bedrock-runtime:Converse": {"bedrock:InvokeModel"},
	"apigateway:GetRestApis":   {"apigateway:GET"}, "apigatewayv2:GetApis": {"apigateway:GET"},
	"apigateway:DeleteRestApi": {"apigateway:DELETE"},
	"lambda:CreateFunction":    {"lambda:CreateFunction", "iam:PassRole"},
	"es:GET":                   {"es:ESHttpGet"}, "es:POST": {"es:ESHttpPost"}, "es:HEAD": {"es:ESHttpHead"},
	"es:PUT": {"es:ESHttpPut"}, "es:DELETE": {"es:ESHttpDelete"},
}

// actionsOf are the actions that a call needs.
func actionsOf(c *apiCall) []string {
	actions := others[c.service+":"+c.operation]
	if actions == nil {
		prefix := prefixes[c.service]
		if prefix == "" {
			prefix = c.service
		}
		actions = []string{prefix + ":" + c.operation}
	}
	if c.service == "s3" && c.operation == "GetObject" && c.params["VersionId"] != nil {
		actions = []string{"s3:GetObjectVersion"}
	}
	if c.service == "ec2" && c.params["TagSpecifications"] != nil {
		actions = append(slices.Clone(actions), "ec2:CreateTags")
	}
	return actions
}
