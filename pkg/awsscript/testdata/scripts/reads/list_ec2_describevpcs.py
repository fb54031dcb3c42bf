resp = await call_boto3(service_name="ec2", operation_name="DescribeVpcs")
[item["VpcId"] for item in resp.get("Vpcs", [])]
