class W:
    def write(self, text):
        self.kept = text
    def flush(self):
        pass
w = W()
print("StopInstances", end="", file=w)
await call_boto3(service_name="ec2", operation_name=w.kept, region_name="eu-west-1", params={"InstanceIds": ["i-0a1b2c3d4e5f60001"]})
