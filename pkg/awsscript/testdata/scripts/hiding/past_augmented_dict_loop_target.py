rows = [{"a": "ListBuckets"}]
for r in rows:
    r |= {"a": "DeleteBucket"}
for q in rows:
    await call_boto3(service_name="s3", operation_name=q["a"])
