package awsiam

// UsesKMS reports whether a service calls KMS for its callers, with the session
// that called it: its calls may then need actions of KMS beside their own.
func UsesKMS(service string) bool { return kmsServices[service] }

// GlobalRegion is the Region in which AWS takes the calls of a service that has one
// endpoint for all, and empty for other services.
func GlobalRegion(service string) string { return globalServices[service] }

// kmsServices are the services that support kms:ViaService.
// https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-via-service
var kmsServices = set(
	"amp", "appflow", "apprunner", "appsync", "athena", "auditmanager", "autoscaling", "backup", "backup-gateway",
	"bedrock", "bedrock-agent", "bedrock-agent-runtime", "bedrock-agentcore", "bedrock-agentcore-control",
	"bedrock-runtime", "braket", "chime", "chime-sdk-voice", "cleanrooms", "cloudformation", "cloudtrail", "codeartifact",
	"codebuild", "codecommit", "codedeploy", "codeguru-reviewer", "codepipeline", "comprehend", "connect",
	"customer-profiles", "dax", "detective", "directconnect", "dlm", "dms", "docdb", "docdb-elastic", "drs", "ds",
	"dsql", "dynamodb", "dynamodbstreams", "ebs", "ec2", "ecr", "ecs", "efs", "eks", "elasticache", "elasticbeanstalk",
	"emr", "emr-containers", "emr-serverless", "entityresolution", "es", "events", "finspace", "firehose", "forecast",
	"frauddetector", "fsx", "glacier", "glue", "grafana", "greengrassv2", "groundstation", "guardduty", "healthlake",
	"imagebuilder", "inspector2", "iot", "iotsitewise", "ivs", "kafka", "kafkaconnect", "kendra", "keyspaces", "kinesis",
	"kinesisanalyticsv2", "kinesisvideo", "lambda", "license-manager", "lightsail", "location", "logs", "lookoutequipment",
	"lookoutmetrics", "lookoutvision", "macie2", "mediaconnect", "memorydb", "mgn", "mq", "mwaa", "neptune", "opensearch",
	"opensearchserverless", "osis", "personalize", "pi", "pipes", "proton", "qbusiness", "qldb", "quicksight", "rds",
	"redshift", "redshift-data", "redshift-serverless", "rekognition", "s3", "s3control", "s3outposts", "s3tables",
	"s3vectors", "sagemaker", "sagemaker-featurestore-runtime", "sagemaker-runtime", "scheduler", "secretsmanager",
	"securityhub", "securitylake", "ses", "sesv2", "sns", "snowball", "sqs", "ssm", "ssm-contacts", "ssm-incidents",
	"stepfunctions", "storagegateway", "synthetics", "textract", "timestream-influxdb", "timestream-query",
	"timestream-write", "transcribe", "transfer", "translate", "voice-id", "wisdom", "workmail", "workspaces",
	"workspaces-web", "xray",
)

// globalServices are the services whose requests go to one Region whatever the
// client's is.
// https://docs.aws.amazon.com/general/latest/gr/rande.html#global-endpoints
var globalServices = map[string]string{
	"account": "us-east-1", "artifact": "us-east-1", "bcm-data-exports": "us-east-1", "billing": "us-east-1",
	"budgets": "us-east-1", "ce": "us-east-1", "cloudfront": "us-east-1", "cur": "us-east-1", "freetier": "us-east-1",
	"globalaccelerator": "us-west-2", "health": "us-east-1", "iam": "us-east-1", "networkmanager": "us-west-2",
	"organizations": "us-east-1", "pricing": "us-east-1", "route53": "us-east-1", "route53domains": "us-east-1",
	"savingsplans": "us-east-1", "shield": "us-east-1", "sts": "us-east-1", "support": "us-east-1",
	"tax": "us-east-1", "taxsettings": "us-east-1", "trustedadvisor": "us-east-1", "waf": "us-east-1",
}
