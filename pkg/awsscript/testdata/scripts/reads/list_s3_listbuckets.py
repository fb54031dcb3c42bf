resp = await call_boto3(service_name="s3", operation_name="ListBuckets")
[item["Name"] for item in resp.get("Buckets", [])]
