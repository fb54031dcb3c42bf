# how many are there?
resp = await call_boto3(service_name='dynamodb', operation_name='ListTables')
names = resp.get('TableNames') or []
{"count": len(names), "names": sorted(names)}
