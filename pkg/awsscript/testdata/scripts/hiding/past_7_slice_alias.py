rows = [["ListBuckets"]]
rows[0:1][0][0] = "DeleteBucket"
await call_boto3(service_name="s3", operation_name=rows[0][0])
