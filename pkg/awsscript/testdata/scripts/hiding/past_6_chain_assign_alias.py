x = y = ["ListBuckets"]
y[0] = "DeleteBucket"
for o in x:
    await call_boto3(service_name="s3", operation_name=o)
