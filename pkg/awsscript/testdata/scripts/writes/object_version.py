await call_boto3(service_name="s3", operation_name="GetObject", params={"Bucket": "b", "Key": "k", "VersionId": "v"})
await call_boto3(service_name="s3", operation_name="DeleteObject", params={"Bucket": "b", "Key": "k"})
