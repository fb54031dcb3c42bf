import asyncio

async def collect():
    items = []
    token = None
    while True:
        params = {"MaxResults": 100}
        if token:
            params["nextToken"] = token
        page = await call_boto3(
            service_name="logs",
            operation_name="FilterLogEvents",
            region_name="eu-west-1",
            params=params,
        )
        items.extend(page.get("events", []))
        token = page.get("nextToken")
        if not token:
            break
        await asyncio.sleep(0)
    return items

items = await collect()
print(f"found {len(items)} items")
items[:10]
