l = []
def d(f):
    l.append(f)
    return f
class C:
    def __init__(self):
        self.stop = "ListBuckets"
    @(lambda f: l.append(f) or f)
    def m(self):
        return call_boto3(service_name="s3", operation_name=self.stop)
await C().m()
await l[0](slice("DeleteBucket"))
