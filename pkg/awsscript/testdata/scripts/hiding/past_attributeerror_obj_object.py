class C:
    async def encode(self, op, **k):
        await call_boto3(service_name="s3", operation_name=op)
c = C()
await c.encode("ListBuckets")
try:
    c.nosuch
except AttributeError as e:
    x = e.obj
await json.dumps("DeleteBucket", cls=lambda **k: x)
