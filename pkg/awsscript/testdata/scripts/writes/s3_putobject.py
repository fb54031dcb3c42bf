result = await call_boto3(
    service_name="s3",
    operation_name="PutObject",
    region_name="eu-west-1",
    params={"Bucket": "reports", "Key": "a.txt", "Body": "hello"},
)
result
