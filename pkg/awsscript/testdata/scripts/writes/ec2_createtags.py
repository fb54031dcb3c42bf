result = await call_boto3(
    service_name="ec2",
    operation_name="CreateTags",
    region_name="eu-west-1",
    params={"Resources": ["i-1"], "Tags": [{"Key": "owner", "Value": "alice"}]},
)
result
