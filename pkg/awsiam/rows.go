package awsiam

import (
	"strings"
	"sync"
)

// page is a page of AWS with what it says of operations: a line for each whose
// actions are not only the one of its own name, and + goes on with the line before.
type page struct {
	url  string
	rows string
}

// rows are the actions of operations by "service:Operation".
var rows = sync.OnceValue(func() map[string][]string {
	found := map[string][]string{}
	for _, p := range pages {
		last := ""
		for line := range strings.Lines(p.rows) {
			fields := strings.Fields(line)
			switch {
			case len(fields) < 2:
			case fields[0] == "+":
				found[last] = append(found[last], fields[1:]...)
			default:
				last = fields[0]
				found[last] = fields[1:]
			}
		}
	}
	return found
})

// pages are the rows of our own. An operation whose name is that of an action has
// no row, unless it needs others.
var pages = []page{
	{url: "https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html", rows: `
		s3:CompleteMultipartUpload s3:PutObject
		s3:CopyObject s3:GetObject s3:GetObjectTagging s3:GetObjectVersion s3:GetObjectVersionTagging
		+ s3:PutObject s3:PutObjectTagging
		s3:CreateBucketMetadataConfiguration s3:CreateBucketMetadataTableConfiguration s3tables:CreateNamespace
		+ s3tables:CreateTable s3tables:CreateTableBucket s3tables:GetTable s3tables:PutTableEncryption
		+ s3tables:PutTablePolicy kms:DescribeKey
		s3:CreateBucketMetadataTableConfiguration s3:CreateBucketMetadataTableConfiguration
		+ s3tables:CreateNamespace s3tables:CreateTable s3tables:GetTable s3tables:PutTablePolicy
		s3:CreateMultipartUpload s3:PutObject
		s3:CreateSession s3express:CreateSession
		s3:DeleteBucketAnalyticsConfiguration s3:PutAnalyticsConfiguration
		s3:DeleteBucketCors s3:PutBucketCORS
		s3:DeleteBucketEncryption s3:PutEncryptionConfiguration
		s3:DeleteBucketIntelligentTieringConfiguration s3:PutIntelligentTieringConfiguration
		s3:DeleteBucketInventoryConfiguration s3:PutInventoryConfiguration
		s3:DeleteBucketLifecycle s3:PutLifecycleConfiguration
		s3:DeleteBucketMetadataConfiguration s3:DeleteBucketMetadataTableConfiguration
		s3:DeleteBucketMetricsConfiguration s3:PutMetricsConfiguration
		s3:DeleteBucketOwnershipControls s3:PutBucketOwnershipControls
		s3:DeleteBucketReplication s3:PutReplicationConfiguration
		s3:DeleteBucketTagging s3:PutBucketTagging
		s3:DeleteObjects s3:DeleteObject s3:DeleteObjectVersion
		s3:DeletePublicAccessBlock s3:PutBucketPublicAccessBlock
		s3:GetBucketAccelerateConfiguration s3:GetAccelerateConfiguration
		s3:GetBucketAnalyticsConfiguration s3:GetAnalyticsConfiguration
		s3:GetBucketEncryption s3:GetEncryptionConfiguration
		s3:GetBucketIntelligentTieringConfiguration s3:GetIntelligentTieringConfiguration
		s3:GetBucketInventoryConfiguration s3:GetInventoryConfiguration
		s3:GetBucketLifecycleConfiguration s3:GetLifecycleConfiguration
		s3:GetBucketMetadataConfiguration s3:GetBucketMetadataTableConfiguration
		s3:GetBucketMetricsConfiguration s3:GetMetricsConfiguration
		s3:GetBucketNotificationConfiguration s3:GetBucketNotification
		s3:GetBucketReplication s3:GetReplicationConfiguration
		s3:GetObjectAttributes s3:GetObject s3:GetObjectAttributes
		s3:GetObjectLockConfiguration s3:GetBucketObjectLockConfiguration
		s3:GetPublicAccessBlock s3:GetBucketPublicAccessBlock
		s3:HeadBucket s3:ListBucket
		s3:HeadObject s3:GetObject
		s3:ListBucketAnalyticsConfigurations s3:GetAnalyticsConfiguration
		s3:ListBucketIntelligentTieringConfigurations s3:GetIntelligentTieringConfiguration
		s3:ListBucketInventoryConfigurations s3:GetInventoryConfiguration
		s3:ListBucketMetricsConfigurations s3:GetMetricsConfiguration
		s3:ListBuckets s3:ListAllMyBuckets
		s3:ListDirectoryBuckets s3express:ListAllMyDirectoryBuckets
		s3:ListMultipartUploads s3:ListBucketMultipartUploads
		s3:ListObjectVersions s3:ListBucketVersions
		s3:ListObjects s3:ListBucket
		s3:ListObjectsV2 s3:ListBucket
		s3:ListParts s3:ListMultipartUploadParts
		s3:PutBucketAccelerateConfiguration s3:PutAccelerateConfiguration
		s3:PutBucketAnalyticsConfiguration s3:PutAnalyticsConfiguration
		s3:PutBucketEncryption s3:PutEncryptionConfiguration
		s3:PutBucketIntelligentTieringConfiguration s3:PutIntelligentTieringConfiguration
		s3:PutBucketInventoryConfiguration s3:PutInventoryConfiguration
		s3:PutBucketLifecycleConfiguration s3:PutLifecycleConfiguration
		s3:PutBucketMetricsConfiguration s3:PutMetricsConfiguration
		s3:PutBucketNotificationConfiguration s3:PutBucketNotification
		s3:PutBucketReplication s3:PutReplicationConfiguration iam:PassRole
		s3:PutObjectLockConfiguration s3:PutBucketObjectLockConfiguration
		s3:PutPublicAccessBlock s3:PutBucketPublicAccessBlock
		s3:RenameObject s3express:CreateSession
		s3:SelectObjectContent s3:GetObject
		s3:UploadPart s3:PutObject
		s3:UploadPartCopy s3:GetObject s3:GetObjectVersion s3:PutObject
		s3:WriteGetObjectResponse s3-object-lambda:WriteGetObjectResponse
	`},
	{url: "https://docs.aws.amazon.com/AmazonS3/latest/userguide/S3OutpostsIAM.html", rows: `
		s3control:CreateBucket s3-outposts:CreateBucket
		s3control:DeleteBucket s3-outposts:DeleteBucket
		s3control:DeleteBucketLifecycleConfiguration s3-outposts:PutLifecycleConfiguration
		s3control:DeleteBucketPolicy s3-outposts:DeleteBucketPolicy
		s3control:DeleteBucketReplication s3-outposts:PutReplicationConfiguration
		s3control:DeleteBucketTagging s3-outposts:PutBucketTagging
		s3control:GetBucket s3-outposts:GetBucket
		s3control:GetBucketLifecycleConfiguration s3-outposts:GetLifecycleConfiguration
		s3control:GetBucketPolicy s3-outposts:GetBucketPolicy
		s3control:GetBucketReplication s3-outposts:GetReplicationConfiguration
		s3control:GetBucketTagging s3-outposts:GetBucketTagging
		s3control:GetBucketVersioning s3-outposts:GetBucketVersioning
		s3control:ListRegionalBuckets s3-outposts:ListRegionalBuckets
		s3control:PutBucketLifecycleConfiguration s3-outposts:PutLifecycleConfiguration
		s3control:PutBucketPolicy s3-outposts:PutBucketPolicy
		s3control:PutBucketReplication s3-outposts:PutReplicationConfiguration iam:PassRole
		s3control:PutBucketTagging s3-outposts:PutBucketTagging
		s3control:PutBucketVersioning s3-outposts:PutBucketVersioning
	`},
	{url: "https://docs.aws.amazon.com/AmazonS3/latest/userguide/configuring-block-public-access-account.html", rows: `
		s3control:DeletePublicAccessBlock s3:PutAccountPublicAccessBlock
		s3control:GetPublicAccessBlock s3:GetAccountPublicAccessBlock
		s3control:PutPublicAccessBlock s3:PutAccountPublicAccessBlock
	`},
	{url: "https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-directory-buckets.html", rows: `
		s3control:DeleteAccessPointScope s3express:DeleteAccessPointScope
		s3control:GetAccessPointScope s3express:GetAccessPointScope
		s3control:ListAccessPointsForDirectoryBuckets s3express:ListAccessPointsForDirectoryBuckets
		s3control:PutAccessPointScope s3express:PutAccessPointScope
	`},
	{url: "https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsbudgetservice.html", rows: `
		budgets:CreateBudget budgets:ModifyBudget
		budgets:CreateNotification budgets:ModifyBudget
		budgets:CreateSubscriber budgets:ModifyBudget
		budgets:DeleteBudget budgets:ModifyBudget
		budgets:DeleteNotification budgets:ModifyBudget
		budgets:DeleteSubscriber budgets:ModifyBudget
		budgets:DescribeBudget budgets:ViewBudget
		budgets:DescribeBudgetNotificationsForAccount budgets:ViewBudget
		budgets:DescribeBudgetPerformanceHistory budgets:ViewBudget
		budgets:DescribeBudgets budgets:ViewBudget
		budgets:DescribeNotificationsForBudget budgets:ViewBudget
		budgets:DescribeSubscribersForNotification budgets:ViewBudget
		budgets:UpdateBudget budgets:ModifyBudget
		budgets:UpdateNotification budgets:ModifyBudget
		budgets:UpdateSubscriber budgets:ModifyBudget
	`},
	{url: "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-iam.html", rows: `
		dynamodb:BatchExecuteStatement dynamodb:PartiQLDelete dynamodb:PartiQLInsert dynamodb:PartiQLSelect
		+ dynamodb:PartiQLUpdate
		dynamodb:ExecuteStatement dynamodb:PartiQLDelete dynamodb:PartiQLInsert dynamodb:PartiQLSelect
		+ dynamodb:PartiQLUpdate
		dynamodb:ExecuteTransaction dynamodb:PartiQLDelete dynamodb:PartiQLInsert dynamodb:PartiQLSelect
		+ dynamodb:PartiQLUpdate
	`},
	{url: "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html", rows: `
		dynamodb:TransactGetItems dynamodb:GetItem
		dynamodb:TransactWriteItems dynamodb:ConditionCheckItem dynamodb:DeleteItem dynamodb:PutItem dynamodb:UpdateItem
	`},
	{url: "https://docs.aws.amazon.com/lambda/latest/dg/lambda-api-permissions-ref.html", rows: `
		lambda:GetLayerVersionByArn lambda:GetLayerVersion
		lambda:Invoke lambda:InvokeFunction
		lambda:InvokeWithResponseStream lambda:InvokeFunction
	`},
	{url: "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html", rows: `
		sqs:ChangeMessageVisibilityBatch sqs:ChangeMessageVisibility
		sqs:DeleteMessageBatch sqs:DeleteMessage
		sqs:SendMessageBatch sqs:SendMessage
	`},
	{url: "https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsns.html", rows: `
		sns:PublishBatch sns:Publish
	`},
	{url: "https://docs.aws.amazon.com/kms/latest/APIReference/API_ReEncrypt.html", rows: `
		kms:ReEncrypt kms:ReEncryptFrom kms:ReEncryptTo
	`},
	{url: "https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_CreateDistributionWithTags.html", rows: `
		cloudfront:CreateDistributionWithTags cloudfront:CreateDistribution cloudfront:TagResource
	`},
	{url: "https://docs.aws.amazon.com/bedrock/latest/userguide/inference-prereq.html", rows: `
		bedrock-runtime:Converse bedrock:InvokeModel
		bedrock-runtime:ConverseStream bedrock:InvokeModelWithResponseStream
		bedrock-runtime:StartAsyncInvoke bedrock:InvokeModel
	`},
	{url: "https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_RetrieveAndGenerateStream.html", rows: `
		bedrock-agent-runtime:RetrieveAndGenerateStream bedrock:RetrieveAndGenerate
	`},
	{url: "https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-control-access-iam.html", rows: `
		apigatewaymanagementapi:DeleteConnection execute-api:ManageConnections
		apigatewaymanagementapi:GetConnection execute-api:ManageConnections
		apigatewaymanagementapi:PostToConnection execute-api:ManageConnections
	`},
	{url: "https://docs.aws.amazon.com/timestream/latest/developerguide/security_iam_service-with-iam.html", rows: `
		timestream-query:Query timestream:DescribeEndpoints timestream:Select timestream:SelectValues
	`},
	{url: "https://docs.aws.amazon.com/verifiedpermissions/latest/apireference/API_BatchIsAuthorized.html", rows: `
		verifiedpermissions:BatchGetPolicy verifiedpermissions:GetPolicy
		verifiedpermissions:BatchIsAuthorized verifiedpermissions:IsAuthorized
		verifiedpermissions:BatchIsAuthorizedWithToken verifiedpermissions:IsAuthorizedWithToken
	`},
	{url: "https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonkeyspacesforapachecassandra.html", rows: `
		keyspaces:CreateKeyspace cassandra:Create cassandra:CreateMultiRegionResource
		keyspaces:CreateTable cassandra:Create cassandra:CreateMultiRegionResource
		keyspaces:CreateType cassandra:Create cassandra:CreateMultiRegionResource
		keyspaces:DeleteKeyspace cassandra:Drop cassandra:DropMultiRegionResource
		keyspaces:DeleteTable cassandra:Drop cassandra:DropMultiRegionResource
		keyspaces:DeleteType cassandra:Drop cassandra:DropMultiRegionResource
		keyspaces:GetKeyspace cassandra:Select cassandra:SelectMultiRegionResource
		keyspaces:GetTable cassandra:Select cassandra:SelectMultiRegionResource
		keyspaces:GetTableAutoScalingSettings cassandra:Select cassandra:SelectMultiRegionResource
		keyspaces:GetType cassandra:Select cassandra:SelectMultiRegionResource
		keyspaces:ListKeyspaces cassandra:Select cassandra:SelectMultiRegionResource
		keyspaces:ListTables cassandra:Select cassandra:SelectMultiRegionResource
		keyspaces:ListTagsForResource cassandra:Select cassandra:SelectMultiRegionResource
		keyspaces:ListTypes cassandra:Select cassandra:SelectMultiRegionResource
		keyspaces:RestoreTable cassandra:Restore cassandra:RestoreMultiRegionTable
		keyspaces:UpdateKeyspace cassandra:Alter cassandra:AlterMultiRegionResource
		keyspaces:UpdateTable cassandra:Alter cassandra:AlterMultiRegionResource
	`},
	{url: "https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsdatabasemigrationservice.html", rows: `
		dms:DescribeDataProviders dms:ListDataProviders
		dms:DescribeExtensionPackAssociations dms:ListExtensionPacks
		dms:DescribeInstanceProfiles dms:ListInstanceProfiles
		dms:DescribeMetadataModelAssessments dms:ListMetadataModelAssessments
		dms:DescribeMetadataModelConversions dms:ListMetadataModelConversions
		dms:DescribeMetadataModelExportsAsScript dms:ListMetadataModelExports
		dms:DescribeMetadataModelExportsToTarget dms:ListMetadataModelExports
		dms:DescribeMigrationProjects dms:ListMigrationProjects
		dms:ModifyDataProvider dms:UpdateDataProvider
		dms:ModifyInstanceProfile dms:UpdateInstanceProfile
		dms:ModifyMigrationProject dms:UpdateMigrationProject
		dms:StartExtensionPackAssociation dms:AssociateExtensionPack
	`},
	{url: "https://docs.aws.amazon.com/neptune/latest/userguide/iam-dp-actions.html", rows: `
		neptunedata:CancelGremlinQuery neptune-db:CancelQuery
		neptunedata:CancelOpenCypherQuery neptune-db:CancelQuery
		neptunedata:DeletePropertygraphStatistics neptune-db:DeleteStatistics
		neptunedata:DeleteSparqlStatistics neptune-db:DeleteStatistics
		neptunedata:ExecuteFastReset neptune-db:ResetDatabase
		neptunedata:ExecuteGremlinExplainQuery neptune-db:DeleteDataViaQuery neptune-db:ReadDataViaQuery
		+ neptune-db:WriteDataViaQuery
		neptunedata:ExecuteGremlinProfileQuery neptune-db:DeleteDataViaQuery neptune-db:ReadDataViaQuery
		+ neptune-db:WriteDataViaQuery
		neptunedata:ExecuteGremlinQuery neptune-db:DeleteDataViaQuery neptune-db:ReadDataViaQuery
		+ neptune-db:WriteDataViaQuery
		neptunedata:ExecuteOpenCypherExplainQuery neptune-db:DeleteDataViaQuery neptune-db:ReadDataViaQuery
		+ neptune-db:WriteDataViaQuery
		neptunedata:ExecuteOpenCypherQuery neptune-db:DeleteDataViaQuery neptune-db:ReadDataViaQuery
		+ neptune-db:WriteDataViaQuery
		neptunedata:GetGremlinQueryStatus neptune-db:GetQueryStatus
		neptunedata:GetMLDataProcessingJob neptune-db:GetMLDataProcessingJobStatus
		neptunedata:GetMLEndpoint neptune-db:GetMLEndpointStatus
		neptunedata:GetMLModelTrainingJob neptune-db:GetMLModelTrainingJobStatus
		neptunedata:GetMLModelTransformJob neptune-db:GetMLModelTransformJobStatus
		neptunedata:GetOpenCypherQueryStatus neptune-db:GetQueryStatus
		neptunedata:GetPropertygraphStatistics neptune-db:GetStatisticsStatus
		neptunedata:GetPropertygraphStream neptune-db:GetStreamRecords
		neptunedata:GetPropertygraphSummary neptune-db:GetGraphSummary
		neptunedata:GetRDFGraphSummary neptune-db:GetGraphSummary
		neptunedata:GetSparqlStatistics neptune-db:GetStatisticsStatus
		neptunedata:GetSparqlStream neptune-db:GetStreamRecords
		neptunedata:ListGremlinQueries neptune-db:GetQueryStatus
		neptunedata:ListOpenCypherQueries neptune-db:GetQueryStatus
		neptunedata:ManagePropertygraphStatistics neptune-db:ManageStatistics
		neptunedata:ManageSparqlStatistics neptune-db:ManageStatistics
	`},
	{url: "https://docs.aws.amazon.com/neptune-analytics/latest/userguide/iam-policies.html", rows: `
		neptune-graph:ExecuteQuery neptune-graph:DeleteDataViaQuery neptune-graph:ReadDataViaQuery
		+ neptune-graph:WriteDataViaQuery
		neptune-graph:GetQuery neptune-graph:GetQueryStatus
	`},
	{url: "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html", rows: `
		autoscaling:CreateAutoScalingGroup autoscaling:CreateAutoScalingGroup iam:PassRole
		backup:CreateBackupSelection backup:CreateBackupSelection iam:PassRole
		codepipeline:CreatePipeline codepipeline:CreatePipeline iam:PassRole
		codepipeline:UpdatePipeline codepipeline:UpdatePipeline iam:PassRole
		cognito-identity:SetIdentityPoolRoles cognito-identity:SetIdentityPoolRoles iam:PassRole
		config:PutConfigurationRecorder config:PutConfigurationRecorder iam:PassRole
		ec2:AssociateIamInstanceProfile ec2:AssociateIamInstanceProfile iam:PassRole
		ec2:ReplaceIamInstanceProfileAssociation ec2:ReplaceIamInstanceProfileAssociation iam:PassRole
		ec2:RequestSpotFleet ec2:RequestSpotFleet iam:PassRole
		ec2:RequestSpotInstances ec2:RequestSpotInstances iam:PassRole
		ecs:CreateService ecs:CreateService iam:PassRole
		ecs:RunTask ecs:RunTask iam:PassRole
		ecs:StartTask ecs:StartTask iam:PassRole
		ecs:UpdateService ecs:UpdateService iam:PassRole
		events:PutTargets events:PutTargets iam:PassRole
		firehose:CreateDeliveryStream firehose:CreateDeliveryStream iam:PassRole
		firehose:UpdateDestination firehose:UpdateDestination iam:PassRole
		iam:AddRoleToInstanceProfile iam:AddRoleToInstanceProfile iam:PassRole
		iot:CreateTopicRule iot:CreateTopicRule iam:PassRole
		iot:ReplaceTopicRule iot:ReplaceTopicRule iam:PassRole
		kinesisanalyticsv2:CreateApplication kinesisanalytics:CreateApplication iam:PassRole
		scheduler:CreateSchedule scheduler:CreateSchedule iam:PassRole
		scheduler:UpdateSchedule scheduler:UpdateSchedule iam:PassRole
	`},
}

// requestActions are the actions of HTTP requests to a service's own endpoint, by
// the service and the method.
// https://docs.aws.amazon.com/opensearch-service/latest/developerguide/ac.html
// https://docs.aws.amazon.com/opensearch-service/latest/developerguide/serverless-data-access.html
var requestActions = map[string]string{
	"es DELETE": "es:ESHttpDelete", "es GET": "es:ESHttpGet", "es HEAD": "es:ESHttpHead",
	"es PATCH": "es:ESHttpPatch", "es POST": "es:ESHttpPost", "es PUT": "es:ESHttpPut",
	"aoss DELETE": "aoss:APIAccessAll", "aoss GET": "aoss:APIAccessAll", "aoss HEAD": "aoss:APIAccessAll",
	"aoss POST": "aoss:APIAccessAll", "aoss PUT": "aoss:APIAccessAll",
}

// conditionals are operations that need more with a parameter.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
var conditionals = []conditional{
	{
		"s3:GetObject", []string{"VersionId"},
		[]string{"s3:GetObjectVersion"},
	},
	{
		"s3:HeadObject", []string{"VersionId"},
		[]string{"s3:GetObjectVersion"},
	},
	{
		"s3:GetObjectAcl", []string{"VersionId"},
		[]string{"s3:GetObjectVersionAcl"},
	},
	{
		"s3:GetObjectAttributes", []string{"VersionId"},
		[]string{"s3:GetObjectVersion", "s3:GetObjectVersionAttributes"},
	},
	{
		"s3:GetObjectTagging", []string{"VersionId"},
		[]string{"s3:GetObjectVersionTagging"},
	},
	{
		"s3:PutObjectAcl", []string{"VersionId"},
		[]string{"s3:PutObjectVersionAcl"},
	},
	{
		"s3:PutObjectTagging", []string{"VersionId"},
		[]string{"s3:PutObjectVersionTagging"},
	},
	{
		"s3:DeleteObject", []string{"VersionId"},
		[]string{"s3:DeleteObjectVersion"},
	},
	{
		"s3:DeleteObjectTagging", []string{"VersionId"},
		[]string{"s3:DeleteObjectVersionTagging"},
	},
	{
		"s3:DeleteObject", []string{"BypassGovernanceRetention"},
		[]string{"s3:BypassGovernanceRetention"},
	},
	{
		"s3:DeleteObjects", []string{"BypassGovernanceRetention"},
		[]string{"s3:BypassGovernanceRetention"},
	},
	{
		"s3:PutObjectRetention", []string{"BypassGovernanceRetention"},
		[]string{"s3:BypassGovernanceRetention"},
	},
	{
		"s3:PutObject", []string{"ACL", "GrantFullControl", "GrantRead", "GrantReadACP", "GrantWriteACP"},
		[]string{"s3:PutObjectAcl"},
	},
	{
		"s3:PutObject", []string{"Tagging"},
		[]string{"s3:PutObjectTagging"},
	},
	{
		"s3:PutObject", []string{"ObjectLockMode", "ObjectLockRetainUntilDate"},
		[]string{"s3:PutObjectRetention"},
	},
	{
		"s3:PutObject", []string{"ObjectLockLegalHoldStatus"},
		[]string{"s3:PutObjectLegalHold"},
	},
	{
		"s3:CreateMultipartUpload", []string{"ACL", "GrantFullControl", "GrantRead", "GrantReadACP", "GrantWriteACP"},
		[]string{"s3:PutObjectAcl"},
	},
	{
		"s3:CreateMultipartUpload", []string{"Tagging"},
		[]string{"s3:PutObjectTagging"},
	},
	{
		"s3:CreateMultipartUpload", []string{"ObjectLockMode", "ObjectLockRetainUntilDate"},
		[]string{"s3:PutObjectRetention"},
	},
	{
		"s3:CreateMultipartUpload", []string{"ObjectLockLegalHoldStatus"},
		[]string{"s3:PutObjectLegalHold"},
	},
	{
		"s3:CopyObject", []string{"ACL", "GrantFullControl", "GrantRead", "GrantReadACP", "GrantWriteACP"},
		[]string{"s3:PutObjectAcl"},
	},
	{
		"s3:CopyObject", []string{"ObjectLockMode", "ObjectLockRetainUntilDate"},
		[]string{"s3:PutObjectRetention"},
	},
	{
		"s3:CopyObject", []string{"ObjectLockLegalHoldStatus"},
		[]string{"s3:PutObjectLegalHold"},
	},
	{
		"s3:CreateBucket",
		[]string{"ACL", "GrantFullControl", "GrantRead", "GrantReadACP", "GrantWrite", "GrantWriteACP"},
		[]string{"s3:PutBucketAcl"},
	},
	{
		"s3:CreateBucket", []string{"ObjectLockEnabledForBucket"},
		[]string{"s3:PutBucketObjectLockConfiguration", "s3:PutBucketVersioning"},
	},
	{
		"s3:CreateBucket", []string{"ObjectOwnership"},
		[]string{"s3:PutBucketOwnershipControls"},
	},
	{
		"s3:CreateBucket", []string{"CreateBucketConfiguration"},
		[]string{"s3:TagResource"},
	},
}
