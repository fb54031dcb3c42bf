request = dict(service_name="ec2", operation_name="DescribeInstances", region_name="eu-west-1")
page = await call_boto3(**request)
page["Reservations"]
