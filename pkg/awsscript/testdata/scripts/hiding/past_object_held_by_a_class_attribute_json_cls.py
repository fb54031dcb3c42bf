class C:
    async def encode(self, op, **k):
        await call_boto3(service_name="s3", operation_name=op)
class H:
    c = C()
await H.c.encode("ListBuckets")
await json.dumps("DeleteBucket", cls=lambda **k: H.c)
