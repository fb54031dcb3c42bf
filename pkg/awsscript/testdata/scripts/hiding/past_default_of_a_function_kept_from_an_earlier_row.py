for s, o in (("athena", "ListTagsForResource"), ("wafv2", "TagResource")):
    if s == "athena":
        async def f(a, b=o):
            await call_boto3(service_name=a, operation_name=b)
    await f(s)
