resp = await call_boto3(service_name="iam", operation_name="ListUsers")
[item["UserName"] for item in resp.get("Users", [])]
