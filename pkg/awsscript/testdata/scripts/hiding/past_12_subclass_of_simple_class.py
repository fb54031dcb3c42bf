class E:
    def __init__(self):
        self.op = "ListBuckets"
class C:
    async def m(self):
        await call_boto3(service_name="s3", operation_name=self.op)
class D(C, collections.namedtuple("P", "op")):
    pass
await D("DeleteBucket").m()
