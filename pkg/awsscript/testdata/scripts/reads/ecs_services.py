clusters = (await call_boto3(service_name="ecs", operation_name="ListClusters")).get("clusterArns", [])
report = []
for arn in clusters:
    services = await call_boto3(service_name="ecs", operation_name="ListServices", params={"cluster": arn})
    for chunk in [services.get("serviceArns", [])[i:i + 10] for i in range(0, 100, 10)]:
        if chunk:
            report.append(await call_boto3(service_name="ecs", operation_name="DescribeServices",
                                           params={"cluster": arn, "services": chunk}))
report
