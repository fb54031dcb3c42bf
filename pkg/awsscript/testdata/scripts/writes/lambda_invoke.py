result = await call_boto3(
    service_name="lambda",
    operation_name="Invoke",
    region_name="eu-west-1",
    params={"FunctionName": "nightly", "Payload": "{}"},
)
result
