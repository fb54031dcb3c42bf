urls = (await call_boto3(service_name="sqs", operation_name="ListQueues")).get("QueueUrls", [])
depths = {}
for url in urls:
    attributes = await call_boto3(service_name="sqs", operation_name="GetQueueAttributes",
                                  params={"QueueUrl": url, "AttributeNames": ["ApproximateNumberOfMessages"]})
    depths[url.rsplit("/", 1)[-1]] = int(attributes["Attributes"]["ApproximateNumberOfMessages"])
depths
