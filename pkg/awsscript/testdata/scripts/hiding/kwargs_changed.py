k = {"service_name": "ec2", "operation_name": "DescribeInstances"}
k["operation_name"] = "StopInstances"
await call_boto3(**k, params={"InstanceIds": ["i-0a1b2c3d4e5f60001"]}, region_name="eu-west-1")
