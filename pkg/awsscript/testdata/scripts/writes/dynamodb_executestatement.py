result = await call_boto3(
    service_name="dynamodb",
    operation_name="ExecuteStatement",
    region_name="eu-west-1",
    params={"Statement": "SELECT * FROM t"},
)
result
