rows = {"a": ["ListBuckets"]}
class C:
    for k, v in rows.items(): pass
C.v.append("DeleteBucket")
for o in rows["a"]:
    await call_boto3(service_name="s3", operation_name=o)
