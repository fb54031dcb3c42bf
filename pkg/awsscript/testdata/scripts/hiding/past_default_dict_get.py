ops = {"athena": "ListTagsForResource", "wafv2": "TagResource"}
for s in ops:
    if s == "athena":
        async def f(a, b=ops[s]):
            await call_boto3(service_name=a, operation_name=b)
    await f(s)
