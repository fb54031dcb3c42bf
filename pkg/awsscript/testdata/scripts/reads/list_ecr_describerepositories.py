resp = await call_boto3(service_name="ecr", operation_name="DescribeRepositories")
[item["repositoryName"] for item in resp.get("repositories", [])]
