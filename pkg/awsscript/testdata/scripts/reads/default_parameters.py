async def get(operation, service="ec2", region="eu-west-1", **params):
    return await call_boto3(service_name=service, operation_name=operation, region_name=region, params=params)

vpcs = await get("DescribeVpcs")
images = await get("DescribeImages", Owners=["self"])
tables = await get("ListTables", service="dynamodb")
len(vpcs), len(images), len(tables)
