# how many are there?
resp = await call_boto3(service_name='guardduty', operation_name='ListDetectors')
names = resp.get('DetectorIds') or []
{"count": len(names), "names": sorted(names)}
