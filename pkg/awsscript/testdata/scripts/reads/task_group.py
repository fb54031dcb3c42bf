import asyncio

async def fetch(operation):
    return await call_boto3(service_name="ec2", operation_name=operation, region_name="eu-west-1")

vpcs = asyncio.create_task(fetch("DescribeVpcs"))
subnets = asyncio.create_task(fetch("DescribeSubnets"))
{"vpcs": await vpcs, "subnets": await subnets}
