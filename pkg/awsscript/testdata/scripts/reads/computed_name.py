# What the reader cannot follow: a method of a string.
kind = "instances"
await call_boto3(service_name="ec2", operation_name="Describe" + kind.capitalize())
