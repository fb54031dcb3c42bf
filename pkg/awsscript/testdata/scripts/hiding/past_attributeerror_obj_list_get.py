rows = ["ListBuckets"]
try:
    rows.get("a")
except AttributeError as e:
    e.obj[0] = "DeleteBucket"
for o in rows:
    await call_boto3(service_name="s3", operation_name=o)
