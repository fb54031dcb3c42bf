for kind in ("Clusters", "TaskDefinitions"):
    print(kind, await call_boto3(service_name="ecs", operation_name="List%s" % kind))
