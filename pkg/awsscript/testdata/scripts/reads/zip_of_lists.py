# Services and operations stand in two lists, which the reader does not put together.
services = ["s3", "sqs"]
operations = ["ListBuckets", "ListQueues"]
for s, o in zip(services, operations):
    print(await call_boto3(service_name=s, operation_name=o))
