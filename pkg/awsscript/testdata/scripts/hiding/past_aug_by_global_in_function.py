rows = [["ListBuckets"]]
def g():
    global r
    r += ["DeleteBucket"]
for r in rows: g()
for q in rows:
    for o in q:
        await call_boto3(service_name="s3", operation_name=o)
