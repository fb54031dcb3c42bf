resp = await call_boto3(service_name="cloudtrail", operation_name="DescribeTrails")
[item["Name"] for item in resp.get("trailList", [])]
