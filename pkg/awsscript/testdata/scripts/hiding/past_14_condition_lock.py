class C:
    def locked(self):
        return False
    def release(self):
        pass
    async def acquire(self, op="DeleteBucket"):
        await call_boto3(service_name="s3", operation_name=op)
o = C()
await o.acquire("ListBuckets")
async with asyncio.Condition(o):
    pass
