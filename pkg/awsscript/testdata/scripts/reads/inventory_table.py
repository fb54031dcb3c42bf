# One look at everything that costs money.
CHECKS = [
    ("ec2", "DescribeInstances", "Reservations"),
    ("rds", "DescribeDBInstances", "DBInstances"),
    ("elasticache", "DescribeCacheClusters", "CacheClusters"),
    ("redshift", "DescribeClusters", "Clusters"),
    ("opensearch", "ListDomainNames", "DomainNames"),
    ("ec2", "DescribeNatGateways", "NatGateways"),
]
report = {}
for service, operation, key in CHECKS:
    resp = await call_boto3(service_name=service, operation_name=operation, region_name="eu-west-1")
    report[f"{service}.{key}"] = len(resp.get(key, []))
report
