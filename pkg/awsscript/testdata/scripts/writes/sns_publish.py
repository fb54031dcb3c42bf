result = await call_boto3(
    service_name="sns",
    operation_name="Publish",
    region_name="eu-west-1",
    params={"TopicArn": "arn:aws:sns:us-east-1:123456789012:t", "Message": "x"},
)
result
