kinds = ["Instances", "Volumes", "Snapshots", "Images"]
totals = {}
for kind in kinds:
    resp = await call_boto3(service_name="ec2", operation_name=f"Describe{kind}", region_name="us-east-1")
    totals[kind] = len(next(iter(resp.values()), []))
totals
