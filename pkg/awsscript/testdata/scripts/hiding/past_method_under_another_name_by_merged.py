m = 1
def g():
    global m
class C:
    async def m(self, o):
        await call_boto3(service_name="s3", operation_name=o)
    x = m
await C().m("ListBuckets")
await C().x("DeleteBucket")
