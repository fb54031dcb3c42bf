result = await call_boto3(
    service_name="stepfunctions",
    operation_name="StartExecution",
    region_name="eu-west-1",
    params={"stateMachineArn": "m"},
)
result
