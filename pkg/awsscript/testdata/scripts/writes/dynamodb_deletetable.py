result = await call_boto3(
    service_name="dynamodb",
    operation_name="DeleteTable",
    region_name="eu-west-1",
    params={"TableName": "t"},
)
result
