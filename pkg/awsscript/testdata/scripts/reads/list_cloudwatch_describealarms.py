resp = await call_boto3(service_name="cloudwatch", operation_name="DescribeAlarms")
[item["AlarmName"] for item in resp.get("MetricAlarms", [])]
