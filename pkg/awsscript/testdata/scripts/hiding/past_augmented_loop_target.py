rows = [["ListBuckets"]]
for r in rows:
    r += ["DeleteBucket"]
for q in rows:
    for o in q:
        await call_boto3(service_name="s3", operation_name=o)
