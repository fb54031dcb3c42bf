from collections import defaultdict

found = defaultdict(list)
for region in ("eu-west-1", "eu-central-1"):
    resp = await call_boto3(service_name="efs", operation_name="DescribeFileSystems", region_name=region)
    for key, value in resp.items():
        if isinstance(value, list):
            found[region].extend(value)
{region: len(v) for region, v in found.items()}
