service = "".join(["e", "c", "2"])
await call_boto3(service_name=service, operation_name="StopInstances", region_name="eu-west-1", params={"InstanceIds": ["i-0a1b2c3d4e5f60001"]})
