class C:
    async def encode(self, op):
        await call_boto3(service_name="s3", operation_name=op)
o = C()
await o.encode("ListBuckets")
await json.dumps("DeleteBucket", cls=lambda **kw: o)
