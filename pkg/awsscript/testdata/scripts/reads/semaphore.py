import asyncio
limit = asyncio.Semaphore(5)

async def size(key):
    async with limit:
        head = await call_boto3(service_name="s3", operation_name="HeadObject", params={"Bucket": "reports", "Key": key})
        return key, head.get("ContentLength", 0)

listing = await call_boto3(service_name="s3", operation_name="ListObjectsV2", params={"Bucket": "reports"})
sizes = await asyncio.gather(*[size(k) for k in listing.get("Contents", [])], return_exceptions=True)
[s for s in sizes if not isinstance(s, Exception)]
