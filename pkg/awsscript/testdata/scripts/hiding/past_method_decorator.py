l = []
def d(f):
    l.append(f(slice("DeleteBucket")))
    return f
class C:
    def __init__(self):
        self.stop = "ListBuckets"
    @d
    async def m(self):
        await call_boto3(service_name="s3", operation_name=self.stop)
await C().m()
await l[0]
