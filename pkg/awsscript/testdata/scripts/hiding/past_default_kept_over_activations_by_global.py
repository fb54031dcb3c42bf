async def outer(s, o):
    global inner
    if s == "athena":
        async def inner(a, b=o):
            await call_boto3(service_name=a, operation_name=b)
    await inner(s)
await outer("athena", "ListTagsForResource")
await outer("wafv2", "TagResource")
