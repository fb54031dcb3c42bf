result = await call_boto3(
    service_name="s3",
    operation_name="CreateBucket",
    region_name="eu-west-1",
    params={"Bucket": "new-reports"},
)
result
