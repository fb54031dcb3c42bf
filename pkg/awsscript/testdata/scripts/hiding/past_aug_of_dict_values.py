d = {"a": ["ListBuckets"]}
for r in d.values():
    r += ["DeleteBucket"]
for o in d["a"]:
    await call_boto3(service_name="s3", operation_name=o)
