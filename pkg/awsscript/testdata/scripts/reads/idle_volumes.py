import datetime

resp = await call_boto3(
    service_name="ec2",
    operation_name="DescribeVolumes",
    region_name="eu-west-1",
    params={"Filters": [{"Name": "status", "Values": ["available"]}]},
)
now = datetime.datetime.now(datetime.timezone.utc)
idle = []
for v in resp.get("Volumes", []):
    idle.append({"id": v["VolumeId"], "gib": v["Size"], "type": v["VolumeType"]})
total = sum(v["gib"] for v in idle)
{"volumes": sorted(idle, key=lambda v: -v["gib"]), "total_gib": total, "at": now.isoformat()}
