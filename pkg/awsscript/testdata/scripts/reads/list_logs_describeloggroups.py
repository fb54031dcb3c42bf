resp = await call_boto3(service_name="logs", operation_name="DescribeLogGroups")
[item["logGroupName"] for item in resp.get("logGroups", [])]
