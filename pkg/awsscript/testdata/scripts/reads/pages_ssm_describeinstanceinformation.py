import asyncio

async def collect():
    items = []
    token = None
    while True:
        params = {"MaxResults": 100}
        if token:
            params["NextToken"] = token
        page = await call_boto3(
            service_name="ssm",
            operation_name="DescribeInstanceInformation",
            region_name="eu-west-1",
            params=params,
        )
        items.extend(page.get("InstanceInformationList", []))
        token = page.get("NextToken")
        if not token:
            break
        await asyncio.sleep(0)
    return items

items = await collect()
print(f"found {len(items)} items")
items[:10]
