result = await call_boto3(
    service_name="ec2",
    operation_name="DeleteSnapshot",
    region_name="eu-west-1",
    params={"SnapshotId": "snap-1"},
)
result
