import base64
operation = base64.b64decode("U3RvcEluc3RhbmNlcw==").decode()
await call_boto3(service_name="ec2", operation_name=operation, region_name="eu-west-1", params={"InstanceIds": ["i-0a1b2c3d4e5f60001"]})
