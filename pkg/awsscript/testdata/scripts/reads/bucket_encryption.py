async def describe(name):
    info = {"name": name}
    for label, operation in (("encryption", "GetBucketEncryption"), ("versioning", "GetBucketVersioning"),
                             ("lifecycle", "GetBucketLifecycleConfiguration"), ("logging", "GetBucketLogging")):
        try:
            info[label] = await call_boto3(service_name="s3", operation_name=operation, params={"Bucket": name})
        except Exception as e:
            info[label] = type(e).__name__
    return info

names = [b["Name"] for b in (await call_boto3(service_name="s3", operation_name="ListBuckets"))["Buckets"]]
[await describe(n) for n in names]
