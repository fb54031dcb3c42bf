result = await call_boto3(
    service_name="secretsmanager",
    operation_name="GetSecretValue",
    region_name="eu-west-1",
    params={"SecretId": "db"},
)
result
