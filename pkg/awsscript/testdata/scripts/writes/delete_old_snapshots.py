from datetime import datetime, timedelta, timezone
limit = (datetime.now(timezone.utc) - timedelta(days=365)).isoformat()
snapshots = await call_boto3(service_name="ec2", operation_name="DescribeSnapshots", params={"OwnerIds": ["self"]})
for s in snapshots.get("Snapshots", []):
    if str(s["StartTime"]) < limit:
        await call_boto3(service_name="ec2", operation_name="DeleteSnapshot", params={"SnapshotId": s["SnapshotId"]})
await call_boto3(service_name="ec2", operation_name="DeleteSnapshot", params={"SnapshotId": "snap-0"})
