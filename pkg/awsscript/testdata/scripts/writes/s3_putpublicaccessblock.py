result = await call_boto3(
    service_name="s3",
    operation_name="PutPublicAccessBlock",
    region_name="eu-west-1",
    params={"Bucket": "reports", "PublicAccessBlockConfiguration": {"BlockPublicAcls": True}},
)
result
