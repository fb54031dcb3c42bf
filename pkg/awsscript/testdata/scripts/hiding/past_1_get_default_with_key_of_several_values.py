for k in ("a", "b"):
    d = {k: "ListBuckets"}
    await call_boto3(service_name="s3", operation_name=d.get("a", "DeleteBucket"))
