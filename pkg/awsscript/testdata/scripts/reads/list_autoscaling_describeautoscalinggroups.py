resp = await call_boto3(service_name="autoscaling", operation_name="DescribeAutoScalingGroups")
[item["AutoScalingGroupName"] for item in resp.get("AutoScalingGroups", [])]
