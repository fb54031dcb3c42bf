result = await call_boto3(
    service_name="ecs",
    operation_name="UpdateService",
    region_name="eu-west-1",
    params={"cluster": "c", "service": "s", "desiredCount": 0},
)
result
