rows = [["s3", "ListBuckets"]]
try:
    for k in rows.items(): pass
except AttributeError as e:
    e.obj[0][1] = "DeleteBucket"
for s, o in rows:
    await call_boto3(service_name=s, operation_name=o)
