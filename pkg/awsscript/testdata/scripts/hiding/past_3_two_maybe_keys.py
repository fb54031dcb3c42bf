for k, j in (("params", "service_name"), ("service_name", "params")):
    a = {k: "s3"}
    await call_boto3(operation_name="DeleteGroup", **{k: "s3"}, **{j: "iam"})
