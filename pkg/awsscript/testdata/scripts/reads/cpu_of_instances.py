import asyncio
from datetime import datetime, timedelta, timezone

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
