result = await call_boto3(
    service_name="iam",
    operation_name="AttachRolePolicy",
    region_name="eu-west-1",
    params={"RoleName": "AppRole", "PolicyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"},
)
result
