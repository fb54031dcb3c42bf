async def instances(region):
    page = await call_boto3(service_name="ec2", operation_name="DescribeInstances", region_name=region)
    for reservation in page["Reservations"]:
        for instance in reservation["Instances"]:
            yield instance

ids = []
for region in ["eu-west-1", "us-east-1"]:
    async for instance in instances(region):
        ids.append(instance["InstanceId"])
ids
