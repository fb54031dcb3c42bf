package awsiam

// secretActions are the actions whose answers hold a secret, a credential, or
// something that opens a session, beside what AWS's access levels say of them.
// They are curated from the Service Authorization Reference.
// https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
var secretActions = set(
	"acm:ExportCertificate", "acm:GetAcmeExternalAccountBindingCredentials",
	"airflow:CreateCliToken", "airflow:CreateWebLoginToken",
	"appsync:CreateApiKey", "appsync:ListApiKeys",
	"athena:CreatePresignedNotebookUrl",
	"bedrock-agentcore:GetResourceApiKey", "bedrock-agentcore:GetResourceOauth2Token",
	"bedrock-agentcore:GetWorkloadAccessToken", "bedrock-agentcore:GetWorkloadAccessTokenForJWT",
	"bedrock-agentcore:GetWorkloadAccessTokenForUserId",
	"cloudwatch:GetSpaceCredentials", "cloudwatch:GetSpaceCredentialsForOrganization",
	"codeartifact:GetAuthorizationToken",
	"codeconnections:GetIndividualAccessToken", "codestar-connections:GetIndividualAccessToken",
	"cognito-identity:GetCredentialsForIdentity", "cognito-identity:GetOpenIdToken",
	"cognito-identity:GetOpenIdTokenForDeveloperIdentity",
	"cognito-idp:AddUserPoolClientSecret", "cognito-idp:AdminInitiateAuth", "cognito-idp:AdminRespondToAuthChallenge",
	"cognito-idp:CreateUserPoolClient", "cognito-idp:DescribeUserPoolClient", "cognito-idp:GetTokensFromRefreshToken",
	"cognito-idp:InitiateAuth", "cognito-idp:RespondToAuthChallenge",
	"connect:AdminGetEmergencyAccessToken", "connect:GetFederationToken",
	"datazone:GetDomainExecutionRoleCredentials", "datazone:GetEnvironmentCredentials",
	"ec2:CreateKeyPair", "ec2:GetPasswordData",
	"ecr-public:GetAuthorizationToken", "ecr:GetAuthorizationToken",
	"eks-auth:AssumeRoleForPodIdentity",
	"elasticmapreduce:CreateStudioPresignedUrl", "elasticmapreduce:GetClusterSessionCredentials",
	"elasticmapreduce:GetOnClusterAppUIPresignedURL", "elasticmapreduce:GetPersistentAppUIPresignedURL",
	"emr-containers:GetManagedEndpointSessionCredentials",
	"events:RetrieveConnectionCredentials",
	"finspace-api:GetProgrammaticAccessCredentials",
	"gamelift:GetComputeAuthToken", "gamelift:GetInstanceAccess", "gamelift:RequestUploadCredentials",
	"glue:GetConnection", "glue:GetConnections",
	"grafana:CreateWorkspaceApiKey", "grafana:CreateWorkspaceServiceAccountToken",
	"iam:CreateAccessKey", "iam:CreateServiceSpecificCredential", "iam:CreateVirtualMFADevice",
	"iam:ResetServiceSpecificCredential",
	"iot:CreateKeysAndCertificate", "iot:CreateProvisioningClaim", "iot:RotateTunnelAccessToken", "iot:OpenTunnel",
	"kinesisanalytics:CreateApplicationPresignedUrl",
	"kms:Decrypt", "kms:DeriveSharedSecret", "kms:GenerateDataKey", "kms:GenerateDataKeyPair",
	"lakeformation:GetTemporaryGluePartitionCredentials", "lakeformation:GetTemporaryGlueTableCredentials",
	"license-manager:GetAccessToken",
	"lightsail:CreateBucketAccessKey", "lightsail:CreateKeyPair", "lightsail:DownloadDefaultKeyPair",
	"lightsail:GetInstanceAccessDetails", "lightsail:GetRelationalDatabaseMasterUserPassword",
	"mediapackage:RotateChannelCredentials", "mediapackage:RotateIngestEndpointCredentials",
	"pca-connector-scep:GetChallengePassword",
	"q:CreateScimAccessToken",
	"redshift-serverless:GetCredentials", "redshift:GetClusterCredentials", "redshift:GetClusterCredentialsWithIAM",
	"route53globalresolver:CreateAccessToken", "route53globalresolver:GetAccessToken",
	"s3:GetDataAccess", "s3express:CreateSession",
	"sagemaker:CreateHubContentPresignedUrls", "sagemaker:CreatePartnerAppPresignedUrl",
	"sagemaker:CreatePresignedDomainUrl", "sagemaker:CreatePresignedMlflowAppUrl",
	"sagemaker:CreatePresignedMlflowTrackingServerUrl", "sagemaker:CreatePresignedNotebookInstanceUrl",
	"secretsmanager:BatchGetSecretValue", "secretsmanager:GetRandomPassword", "secretsmanager:GetSecretValue",
	"signin:CreateOAuth2Token",
	"ssm:GetAccessToken", "ssm:GetParameter", "ssm:GetParameterHistory", "ssm:GetParameters", "ssm:GetParametersByPath",
	"ssm:StartSession", "sso-directory:CreateBearerToken", "states:RevealSecrets",
	"storagegateway:DescribeChapCredentials",
	"sts:AssumeRole", "sts:AssumeRoleWithSAML", "sts:AssumeRoleWithWebIdentity", "sts:AssumeRoot",
	"sts:GetDelegatedAccessToken", "sts:GetFederationToken", "sts:GetServiceBearerToken", "sts:GetSessionToken",
	"sts:GetWebIdentityToken",
	"wafv2:CreateAPIKey", "wafv2:GetDecryptedAPIKey", "wafv2:ListAPIKeys",
	"workmail:AssumeImpersonationRole",
)

// secretOperations are operations whose answers hold secrets and whose action is
// that of others, too.
var secretOperations = set(
	"apigateway:CreateApiKey", "apigateway:GetApiKey", "apigateway:GetApiKeys", "apigateway:ImportApiKeys",
	"apigateway:UpdateApiKey",
)

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, name := range names {
		m[name] = true
	}
	return m
}
