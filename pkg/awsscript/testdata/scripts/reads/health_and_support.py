import asyncio
async def checks():
    a = await call_boto3(service_name="support", operation_name="DescribeTrustedAdvisorChecks", params={"language": "en"})
    return a.get("checks", [])
async def events():
    a = await call_boto3(service_name="health", operation_name="DescribeEvents", region_name="us-east-1")
    return a.get("events", [])
c, e = await asyncio.gather(checks(), events())
len(c), len(e)
