result = await call_boto3(
    service_name="ssm",
    operation_name="SendCommand",
    region_name="eu-west-1",
    params={"DocumentName": "AWS-RunShellScript", "Targets": []},
)
result
