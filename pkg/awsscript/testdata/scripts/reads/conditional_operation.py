detailed = False
operation = "DescribeInstances" if detailed else "DescribeInstanceStatus"
await call_boto3(service_name="ec2", operation_name=operation, region_name="eu-west-1")
