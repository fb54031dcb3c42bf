result = await call_boto3(
    service_name="iam",
    operation_name="CreateAccessKey",
    region_name="eu-west-1",
    params={"UserName": "deploy"},
)
result
