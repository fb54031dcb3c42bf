import asyncio

REGIONS = ["us-east-1", "us-west-2", "eu-west-1"]

async def in_region(region: str) -> tuple[str, int]:
    try:
        resp = await call_boto3(service_name="rds", operation_name="DescribeDBInstances", region_name=region)
        return region, len(resp.get("DBInstances", []))
    except Exception as e:
        print(f"{region}: {e}")
        return region, -1

results = await asyncio.gather(*[in_region(r) for r in REGIONS])
dict(results)
