result = await call_boto3(
    service_name="lambda",
    operation_name="CreateFunction",
    region_name="eu-west-1",
    params={"FunctionName": "f", "Role": "arn:aws:iam::123456789012:role/F", "Code": {}},
)
result
