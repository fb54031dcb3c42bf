result = await call_boto3(
    service_name="athena",
    operation_name="StartQueryExecution",
    region_name="eu-west-1",
    params={"QueryString": "SELECT 1"},
)
result
