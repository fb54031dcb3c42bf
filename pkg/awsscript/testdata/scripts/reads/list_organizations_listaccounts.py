resp = await call_boto3(service_name="organizations", operation_name="ListAccounts")
[item["Id"] for item in resp.get("Accounts", [])]
