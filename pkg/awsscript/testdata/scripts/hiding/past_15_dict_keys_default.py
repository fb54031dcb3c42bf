class C:
    def keys(self, op="DeleteBucket"):
        asyncio.create_task(call_boto3(service_name="s3", operation_name=op))
        return []
o = C()
o.keys("ListBuckets")
dict(o)
await asyncio.sleep(0.01)
