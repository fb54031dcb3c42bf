resp = await call_boto3(service_name="rds", operation_name="DescribeDBInstances")
[item["DBInstanceIdentifier"] for item in resp.get("DBInstances", [])]
