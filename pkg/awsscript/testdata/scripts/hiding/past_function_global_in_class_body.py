f = 1
class C:
    global f
    async def f(self, o):
        await call_boto3(service_name="s3", operation_name=o)
class D:
    async def f(self, o):
        await call_boto3(service_name="s3", operation_name=o)
await D().f("ListBuckets")
await f(1, "DeleteBucket")
