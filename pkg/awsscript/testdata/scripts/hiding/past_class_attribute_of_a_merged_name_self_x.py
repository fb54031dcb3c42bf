x = "ListBuckets"
def g():
    global x
class C:
    x = "DeleteBucket"
    def set(self):
        self.x = "ListBuckets"
    async def m(self):
        await call_boto3(service_name="s3", operation_name=self.x)
await C().m()
