resp = await call_boto3(service_name="cloudformation", operation_name="ListStacks")
[item["StackName"] for item in resp.get("StackSummaries", [])]
