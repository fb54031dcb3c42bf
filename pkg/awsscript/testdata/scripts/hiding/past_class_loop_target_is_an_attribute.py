rows = [["ListBuckets"]]
class C:
    for r in rows: pass
C.r[0] = "DeleteBucket"
for q in rows:
    await call_boto3(service_name="s3", operation_name=q[0])
