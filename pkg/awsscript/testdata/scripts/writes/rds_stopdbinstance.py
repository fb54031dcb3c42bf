result = await call_boto3(
    service_name="rds",
    operation_name="StopDBInstance",
    region_name="eu-west-1",
    params={"DBInstanceIdentifier": "db"},
)
result
