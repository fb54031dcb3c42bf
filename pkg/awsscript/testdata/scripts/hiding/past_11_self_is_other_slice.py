class C:
    def __init__(self):
        self.stop = "ListBuckets"
    async def m(self):
        await call_boto3(service_name="s3", operation_name=self.stop)
C()
await C.m(slice("DeleteBucket"))
