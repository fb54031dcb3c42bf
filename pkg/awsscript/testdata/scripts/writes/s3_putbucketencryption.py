result = await call_boto3(
    service_name="s3",
    operation_name="PutBucketEncryption",
    region_name="eu-west-1",
    params={"Bucket": "reports", "ServerSideEncryptionConfiguration": {}},
)
result
