import asyncio
async def scale(region, count):
    return await call_boto3(service_name="autoscaling", operation_name="SetDesiredCapacity", region_name=region,
                            params={"AutoScalingGroupName": "web", "DesiredCapacity": count})
await asyncio.gather(scale("eu-west-1", 2), scale("us-east-1", 0))
