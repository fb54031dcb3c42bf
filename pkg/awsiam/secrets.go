package awsiam

// secretActions are the actions whose answers hold a secret, a credential, or
// something that opens a session, beside what AWS's access levels say of them.
// They are curated from the Service Authorization Reference.
// https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
var secretActions = set(
	"acm:ExportCertificate", "acm:GetAcmeExternalAccountBindingCredentials", "airflow:CreateCliToken",
	"airflow:CreateWebLoginToken", "amplifybackend:GetToken", "appstream:CreateStreamingURL",
	"appsync:CreateApiKey", "appsync:ListApiKeys", "athena:CreatePresignedNotebookUrl",
	"bedrock-agentcore:GetResourceApiKey", "bedrock-agentcore:GetResourceOauth2Token",
	"bedrock-agentcore:GetResourcePaymentToken", "bedrock-agentcore:GetWorkloadAccessToken",
	"bedrock-agentcore:GetWorkloadAccessTokenForJWT", "bedrock-agentcore:GetWorkloadAccessTokenForUserId",
	"chime:BatchCreateAttendee", "chime:CreateAttendee", "chime:GetAttendee", "chime:ListAttendees",
	"cloudformation:GetResource", "cloudformation:ListResources", "cloudwatch:GetSpaceCredentials",
	"cloudwatch:GetSpaceCredentialsForOrganization", "codeartifact:GetAuthorizationToken",
	"codeconnections:GetIndividualAccessToken", "codepipeline:GetJobDetails",
	"codepipeline:GetThirdPartyJobDetails", "codepipeline:PollForJobs", "codepipeline:PollForThirdPartyJobs",
	"codestar-connections:GetIndividualAccessToken", "cognito-identity:GetCredentialsForIdentity",
	"cognito-identity:GetOpenIdToken", "cognito-identity:GetOpenIdTokenForDeveloperIdentity",
	"cognito-idp:AddUserPoolClientSecret", "cognito-idp:AdminInitiateAuth",
	"cognito-idp:AdminRespondToAuthChallenge", "cognito-idp:AssociateSoftwareToken",
	"cognito-idp:CreateUserPoolClient", "cognito-idp:DescribeIdentityProvider",
	"cognito-idp:DescribeUserPoolClient", "cognito-idp:GetIdentityProviderByIdentifier",
	"cognito-idp:GetTokensFromRefreshToken", "cognito-idp:InitiateAuth", "cognito-idp:RespondToAuthChallenge",
	"connect:AdminGetEmergencyAccessToken", "connect:GetFederationToken",
	"datazone:GetDomainExecutionRoleCredentials", "datazone:GetEnvironmentCredentials",
	"deadline:AssumeFleetRoleForRead", "deadline:AssumeFleetRoleForWorker", "deadline:AssumeQueueRoleForRead",
	"deadline:AssumeQueueRoleForUser", "deadline:AssumeQueueRoleForWorker",
	"directconnect:DescribeVirtualInterfaces", "ec2:CreateKeyPair", "ec2:CreateVpnConnection",
	"ec2:DescribeVpnConnections", "ec2:GetPasswordData", "ec2:GetVpnConnectionDeviceSampleConfiguration",
	"ecr-public:GetAuthorizationToken", "ecr:GetAuthorizationToken", "ecs:ExecuteCommand",
	"eks-auth:AssumeRoleForPodIdentity", "elasticmapreduce:CreateStudioPresignedUrl",
	"elasticmapreduce:GetClusterSessionCredentials", "elasticmapreduce:GetOnClusterAppUIPresignedURL",
	"elasticmapreduce:GetPersistentAppUIPresignedURL", "emr-containers:GetManagedEndpointSessionCredentials",
	"events:RetrieveConnectionCredentials", "finspace-api:GetProgrammaticAccessCredentials",
	"gamelift:GetComputeAuthToken", "gamelift:GetInstanceAccess", "gamelift:RequestUploadCredentials",
	"geo:DescribeKey", "glue:GetConnection", "glue:GetConnections", "grafana:CreateWorkspaceApiKey",
	"grafana:CreateWorkspaceServiceAccountToken", "iam:CreateAccessKey", "iam:CreateServiceSpecificCredential",
	"iam:CreateVirtualMFADevice", "iam:ResetServiceSpecificCredential", "iot:CreateKeysAndCertificate",
	"iot:CreateProvisioningClaim", "iot:OpenTunnel", "iot:RotateTunnelAccessToken", "ivs:BatchGetStreamKey",
	"ivs:CreateParticipantToken", "ivs:CreateStreamKey", "ivs:GetStreamKey",
	"kinesisanalytics:CreateApplicationPresignedUrl", "kms:Decrypt", "kms:DeriveSharedSecret",
	"kms:GenerateDataKey", "kms:GenerateDataKeyPair", "lakeformation:GetTemporaryGluePartitionCredentials",
	"lakeformation:GetTemporaryGlueTableCredentials", "license-manager:GetAccessToken",
	"lightsail:CreateBucketAccessKey", "lightsail:CreateContainerServiceRegistryLogin", "lightsail:CreateKeyPair",
	"lightsail:DownloadDefaultKeyPair", "lightsail:GetInstanceAccessDetails",
	"lightsail:GetRelationalDatabaseMasterUserPassword", "mediapackage:RotateChannelCredentials",
	"mediapackage:RotateIngestEndpointCredentials", "payment-cryptography:DecryptData",
	"payment-cryptography:ExportKey", "pca-connector-scep:GetChallengePassword", "q:CreateScimAccessToken",
	"quicksight:GenerateEmbedUrlForAnonymousUser", "quicksight:GenerateEmbedUrlForRegisteredUser",
	"quicksight:GenerateEmbedUrlForRegisteredUserWithIdentity", "quicksight:GetDashboardEmbedUrl",
	"quicksight:GetSessionEmbedUrl", "redshift-serverless:GetCredentials",
	"redshift-serverless:GetIdentityCenterAuthToken", "redshift:GetClusterCredentials",
	"redshift:GetClusterCredentialsWithIAM", "redshift:GetIdentityCenterAuthToken",
	"route53domains:RetrieveDomainAuthCode", "route53globalresolver:CreateAccessToken",
	"route53globalresolver:GetAccessToken", "s3:GetDataAccess", "s3express:CreateSession",
	"sagemaker:CreateHubContentPresignedUrls", "sagemaker:CreatePartnerAppPresignedUrl",
	"sagemaker:CreatePresignedDomainUrl", "sagemaker:CreatePresignedMlflowAppUrl",
	"sagemaker:CreatePresignedMlflowTrackingServerUrl", "sagemaker:CreatePresignedNotebookInstanceUrl",
	"secretsmanager:BatchGetSecretValue", "secretsmanager:GetRandomPassword", "secretsmanager:GetSecretValue",
	"signin:CreateOAuth2Token", "snowball:GetJobManifest", "snowball:GetJobUnlockCode", "ssm:GetAccessToken",
	"ssm:GetParameter", "ssm:GetParameterHistory", "ssm:GetParameters", "ssm:GetParametersByPath",
	"ssm:ResumeSession", "ssm:StartSession", "sso-directory:CreateBearerToken", "sso-oauth:CreateTokenWithIAM",
	"states:RevealSecrets", "storagegateway:DescribeChapCredentials", "sts:AssumeRole", "sts:AssumeRoleWithSAML",
	"sts:AssumeRoleWithWebIdentity", "sts:AssumeRoot", "sts:GetDelegatedAccessToken", "sts:GetFederationToken",
	"sts:GetServiceBearerToken", "sts:GetSessionToken", "sts:GetWebIdentityToken", "wafv2:CreateAPIKey",
	"wafv2:GetDecryptedAPIKey", "wafv2:ListAPIKeys", "workmail:AssumeImpersonationRole",
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
