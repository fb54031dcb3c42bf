import random
for i in range(5):
    d = {random.random(): "ListBuckets"}
    await call_boto3(service_name="s3", operation_name=d.get("a", "DeleteBucket"))
