rows = [("s3", ["ListBuckets"])]
for s, r in rows:
    r += ["DeleteBucket"]
for s, r2 in rows:
    for o in r2:
        await call_boto3(service_name=s, operation_name=o)
