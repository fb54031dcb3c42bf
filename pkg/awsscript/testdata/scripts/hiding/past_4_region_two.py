for d in ({}, {"region_name": "us-east-1"}):
    e = {"region_name": "eu-west-1"}
    await call_boto3(service_name="s3", operation_name="ListBuckets", **d, **e)
