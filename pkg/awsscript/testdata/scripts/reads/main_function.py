"""Who am I, and what are my account's regions?"""
import asyncio
import json


async def main() -> dict:
    who = await call_boto3(service_name="sts", operation_name="GetCallerIdentity")
    regions = await call_boto3(service_name="ec2", operation_name="DescribeRegions")
    return {"account": who["Account"], "regions": sorted(r["RegionName"] for r in regions["Regions"])}


result = await main()
print(json.dumps(result, indent=2))
result
