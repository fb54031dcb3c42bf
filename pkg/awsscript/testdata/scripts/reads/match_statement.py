page = await call_boto3(service_name="ec2", operation_name="DescribeInstances", region_name="us-east-1")
counts = {"running": 0, "stopped": 0, "other": 0}
for reservation in page["Reservations"]:
    for instance in reservation["Instances"]:
        match instance:
            case {"State": {"Name": "running"}}:
                counts["running"] += 1
            case {"State": {"Name": "stopped" | "stopping"}}:
                counts["stopped"] += 1
            case _:
                counts["other"] += 1
counts
