buckets = await call_boto3(service_name="s3", operation_name="ListBuckets")
public = []
for bucket in buckets["Buckets"]:
    name = bucket["Name"]
    try:
        block = await call_boto3(service_name="s3", operation_name="GetPublicAccessBlock", params={"Bucket": name})
        config = block.get("PublicAccessBlockConfiguration", {})
        if not all(config.values()):
            public.append(name)
    except Exception:
        public.append(name)
public
