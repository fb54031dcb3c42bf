result = await call_boto3(
    service_name="kms",
    operation_name="ReEncrypt",
    region_name="eu-west-1",
    params={"CiphertextBlob": "x", "DestinationKeyId": "k"},
)
result
