names = (await call_boto3(service_name="eks", operation_name="ListClusters", region_name="us-west-2")).get("clusters", [])
versions = {}
for name in names:
    cluster = await call_boto3(service_name="eks", operation_name="DescribeCluster", region_name="us-west-2", params={"name": name})
    versions[name] = cluster["cluster"]["version"]
versions
