import json
events = await call_boto3(service_name="cloudtrail", operation_name="LookupEvents", region_name="us-east-1", params={
    "LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": "ConsoleLogin"}], "MaxResults": 20})
logins = []
for event in events.get("Events", []):
    detail = json.loads(event["CloudTrailEvent"])
    logins.append({"user": event.get("Username"), "from": detail.get("sourceIPAddress")})
logins
