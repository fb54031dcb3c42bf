# how many are there?
resp = await call_boto3(service_name='ecs', operation_name='ListClusters')
names = resp.get('clusterArns') or []
{"count": len(names), "names": sorted(names)}
