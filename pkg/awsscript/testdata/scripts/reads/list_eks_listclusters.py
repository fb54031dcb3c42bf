# how many are there?
resp = await call_boto3(service_name='eks', operation_name='ListClusters')
names = resp.get('clusters') or []
{"count": len(names), "names": sorted(names)}
