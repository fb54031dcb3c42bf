class C:
    async def encode(self, op, **k):
        await call_boto3(service_name="s3", operation_name=op)
    def me(self):
        try:
            self.nosuch
        except AttributeError as e:
            return e.obj
c = C()
await c.encode("ListBuckets")
x = c.me()
await json.dumps("DeleteBucket", cls=lambda **k: x)
