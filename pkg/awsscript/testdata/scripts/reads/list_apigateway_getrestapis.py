resp = await call_boto3(service_name="apigateway", operation_name="GetRestApis")
[item["name"] for item in resp.get("items", [])]
