from datetime import datetime, timedelta, timezone
limit = datetime.now(timezone.utc) - timedelta(days=90)
snapshots = await call_boto3(service_name="rds", operation_name="DescribeDBSnapshots",
                             region_name="eu-west-1", params={"SnapshotType": "manual"})
[s["DBSnapshotIdentifier"] for s in snapshots.get("DBSnapshots", []) if str(s.get("SnapshotCreateTime", "")) < limit.isoformat()]
