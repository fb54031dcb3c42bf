op = "DescribeInstances"
def change(x):
    global op
    op = x
change("Stop" + "Instances".strip())
await call_boto3(service_name="ec2", operation_name=op, region_name="eu-west-1", params={"InstanceIds": ["i-0a1b2c3d4e5f60001"]})
