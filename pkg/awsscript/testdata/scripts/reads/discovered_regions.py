# The Regions come from AWS, so they are not known; the calls are.
regions = await call_boto3(service_name="ec2", operation_name="DescribeRegions")
out = {}
for r in regions["Regions"]:
    name = r["RegionName"]
    page = await call_boto3(service_name="ec2", operation_name="DescribeInstances", region_name=name)
    out[name] = sum(len(x["Instances"]) for x in page["Reservations"])
out
