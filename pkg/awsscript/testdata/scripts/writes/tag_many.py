for service, operation, arguments in [
    ("s3", "PutBucketTagging", {"Bucket": "reports", "Tagging": {"TagSet": []}}),
    ("lambda", "TagResource", {"Resource": "arn:aws:lambda:eu-west-1:123456789012:function:f", "Tags": {}}),
    ("sqs", "TagQueue", {"QueueUrl": "https://q", "Tags": {}}),
]:
    await call_boto3(service_name=service, operation_name=operation, params=arguments)
