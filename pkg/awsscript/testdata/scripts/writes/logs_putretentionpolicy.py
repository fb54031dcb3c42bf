result = await call_boto3(
    service_name="logs",
    operation_name="PutRetentionPolicy",
    region_name="eu-west-1",
    params={"logGroupName": "g", "retentionInDays": 30},
)
result
