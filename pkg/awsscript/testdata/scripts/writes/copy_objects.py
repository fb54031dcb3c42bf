keys = (await call_boto3(service_name="s3", operation_name="ListObjectsV2", params={"Bucket": "reports"})).get("Contents", [])
for key in keys:
    await call_boto3(service_name="s3", operation_name="CopyObject",
                     params={"Bucket": "archive", "Key": key, "CopySource": f"reports/{key}"})
len(keys)
