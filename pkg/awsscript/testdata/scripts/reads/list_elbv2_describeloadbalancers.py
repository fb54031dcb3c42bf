resp = await call_boto3(service_name="elbv2", operation_name="DescribeLoadBalancers")
[item["LoadBalancerName"] for item in resp.get("LoadBalancers", [])]
