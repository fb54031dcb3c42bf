plan = {"ec2": ["DescribeInstances"]}
plan["ec2"].append("StopInstances")
for s, ops in plan.items():
    for o in ops:
        await call_boto3(service_name=s, operation_name=o, region_name="eu-west-1", params={"InstanceIds": ["i-0a1b2c3d4e5f60001"]})
