result = await call_boto3(
    service_name="ec2",
    operation_name="CreateSnapshot",
    region_name="eu-west-1",
    params={"VolumeId": "vol-1", "Description": "before the upgrade"},
)
result
