import json
setattr(json, "go", call_boto3)
await json.go(service_name="ec2", operation_name="StopInstances", region_name="eu-west-1", params={"InstanceIds": ["i-0a1b2c3d4e5f60001"]})
