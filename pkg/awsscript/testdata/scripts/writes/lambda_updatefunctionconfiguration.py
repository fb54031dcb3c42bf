result = await call_boto3(
    service_name="lambda",
    operation_name="UpdateFunctionConfiguration",
    region_name="eu-west-1",
    params={"FunctionName": "nightly", "MemorySize": 512},
)
result
