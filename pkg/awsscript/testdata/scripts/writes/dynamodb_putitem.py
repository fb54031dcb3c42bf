result = await call_boto3(
    service_name="dynamodb",
    operation_name="PutItem",
    region_name="eu-west-1",
    params={"TableName": "t", "Item": {"pk": {"S": "1"}}},
)
result
