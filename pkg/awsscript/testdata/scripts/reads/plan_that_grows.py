# What the reader cannot follow: a list that is changed.
plan = [("s3", "ListBuckets")]
plan.append(("ec2", "DescribeVpcs"))
for service, operation in plan:
    print(await call_boto3(service_name=service, operation_name=operation))
