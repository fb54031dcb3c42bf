def evil(r):
    r[1] = "DeleteBucket"
    return 0
for s, o in sorted([["s3", "ListBuckets"]], key=evil):
    await call_boto3(service_name=s, operation_name=o)
