rows = (["ListBuckets"],)
try:
    for r in rows.values(): pass
except AttributeError as e:
    e.obj[0][0] = "DeleteBucket"
await call_boto3(service_name="s3", operation_name=rows[0][0])
