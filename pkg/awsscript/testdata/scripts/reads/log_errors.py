import re
import time

since = int((time.time() - 3600) * 1000)
pattern = re.compile(r"(ERROR|Exception|Traceback)")
groups = await call_boto3(service_name="logs", operation_name="DescribeLogGroups", params={"limit": 20})
hits = []
for group in groups.get("logGroups", []):
    events = await call_boto3(
        service_name="logs", operation_name="FilterLogEvents",
        params={"logGroupName": group["logGroupName"], "startTime": since, "filterPattern": "ERROR"})
    hits += [e["message"] for e in events.get("events", []) if pattern.search(e["message"])]
hits[:50]
