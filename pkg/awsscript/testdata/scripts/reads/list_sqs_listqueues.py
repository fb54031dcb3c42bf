# how many are there?
resp = await call_boto3(service_name='sqs', operation_name='ListQueues')
names = resp.get('QueueUrls') or []
{"count": len(names), "names": sorted(names)}
