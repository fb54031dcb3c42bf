rows = ["ListBuckets"]
try:
    len(rows.keys())
except AttributeError as e:
    match e:
        case AttributeError(obj=q): q[0] = "DeleteBucket"
await call_boto3(service_name="s3", operation_name=rows[0])
