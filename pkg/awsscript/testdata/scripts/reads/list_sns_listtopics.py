resp = await call_boto3(service_name="sns", operation_name="ListTopics")
[item["TopicArn"] for item in resp.get("Topics", [])]
