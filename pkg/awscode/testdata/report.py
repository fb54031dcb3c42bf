"""Costs by service, the load of what runs, and buckets that anybody could read."""
from datetime import date, datetime, timedelta, timezone

end = date.today()
start = end - timedelta(days=30)
resp = await call_boto3(
    service_name="ce",
    operation_name="GetCostAndUsage",
    params={
        "TimePeriod": {"Start": start.isoformat(), "End": end.isoformat()},
        "Granularity": "MONTHLY",
        "Metrics": ["UnblendedCost"],
        "GroupBy": [{"Type": "DIMENSION", "Key": "SERVICE"}],
    },
)
print(resp.get("ResultsByTime", []))
import asyncio

async def cpu(instance_id):
    end = datetime.now(timezone.utc)
    stats = await call_boto3(
        service_name="cloudwatch", operation_name="GetMetricStatistics", region_name="eu-west-1",
        params={
            "Namespace": "AWS/EC2", "MetricName": "CPUUtilization",
            "Dimensions": [{"Name": "InstanceId", "Value": instance_id}],
            "StartTime": end - timedelta(hours=24), "EndTime": end, "Period": 3600, "Statistics": ["Average"],
        })
    points = [p["Average"] for p in stats.get("Datapoints", [])]
    return instance_id, (sum(points) / len(points) if points else None)

page = await call_boto3(service_name="ec2", operation_name="DescribeInstances", region_name="eu-west-1",
                        params={"Filters": [{"Name": "instance-state-name", "Values": ["running"]}]})
ids = [i["InstanceId"] for r in page["Reservations"] for i in r["Instances"]]
dict(await asyncio.gather(*(cpu(i) for i in ids)))

# Buckets without a block of public access.
buckets = await call_boto3(service_name="s3", operation_name="ListBuckets")
public = []
for bucket in buckets["Buckets"]:
    name = bucket["Name"]
    try:
        block = await call_boto3(service_name="s3", operation_name="GetPublicAccessBlock", params={"Bucket": name})
        config = block.get("PublicAccessBlockConfiguration", {})
        if not all(config.values()):
            public.append(name)
    except Exception:
        public.append(name)
public
