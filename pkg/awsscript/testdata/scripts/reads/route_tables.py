vpc_id = None
vpcs = await call_boto3(service_name="ec2", operation_name="DescribeVpcs", region_name="eu-west-1")
for vpc in vpcs.get("Vpcs", []):
    if vpc.get("IsDefault"):
        vpc_id = vpc["VpcId"]
        break
if vpc_id:
    tables = await call_boto3(service_name="ec2", operation_name="DescribeRouteTables", region_name="eu-west-1",
                              params={"Filters": [{"Name": "vpc-id", "Values": [vpc_id]}]})
else:
    tables = {"RouteTables": []}
tables["RouteTables"]
