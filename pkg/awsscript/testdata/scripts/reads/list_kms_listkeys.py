resp = await call_boto3(service_name="kms", operation_name="ListKeys")
[item["KeyId"] for item in resp.get("Keys", [])]
