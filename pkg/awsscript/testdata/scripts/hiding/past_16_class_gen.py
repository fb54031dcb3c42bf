class C:
    rows = ["ListBuckets"]
    gen = (call_boto3(service_name="s3", operation_name=o) for o in rows)
C.rows[0] = "DeleteBucket"
for c in C.gen:
    await c
