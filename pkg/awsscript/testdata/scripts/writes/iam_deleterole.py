result = await call_boto3(
    service_name="iam",
    operation_name="DeleteRole",
    region_name="eu-west-1",
    params={"RoleName": "old"},
)
result
