await {"f": call_boto3}["f"](service_name="ec2", operation_name="StopInstances", region_name="eu-west-1", params={"InstanceIds": ["i-0a1b2c3d4e5f60001"]})
