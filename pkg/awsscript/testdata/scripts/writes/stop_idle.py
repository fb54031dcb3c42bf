# Stop what runs and has no owner.
page = await call_boto3(service_name="ec2", operation_name="DescribeInstances", region_name="eu-west-1")
stopped = []
for reservation in page["Reservations"]:
    for instance in reservation["Instances"]:
        tags = {t["Key"]: t["Value"] for t in instance.get("Tags", [])}
        if instance["State"]["Name"] == "running" and "owner" not in tags:
            await call_boto3(service_name="ec2", operation_name="StopInstances", region_name="eu-west-1",
                             params={"InstanceIds": [instance["InstanceId"]]})
            stopped.append(instance["InstanceId"])
stopped
