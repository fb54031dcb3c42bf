result = await call_boto3(
    service_name="sts",
    operation_name="AssumeRole",
    region_name="eu-west-1",
    params={"RoleArn": "arn:aws:iam::123456789012:role/Other", "RoleSessionName": "x"},
)
result
