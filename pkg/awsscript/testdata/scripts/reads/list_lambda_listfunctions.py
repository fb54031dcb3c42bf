resp = await call_boto3(service_name="lambda", operation_name="ListFunctions")
[item["FunctionName"] for item in resp.get("Functions", [])]
