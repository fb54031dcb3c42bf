result = await call_boto3(
    service_name="sqs",
    operation_name="SendMessage",
    region_name="eu-west-1",
    params={"QueueUrl": "https://q", "MessageBody": "x"},
)
result
