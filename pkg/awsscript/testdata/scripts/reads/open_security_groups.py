groups = await call_boto3(service_name="ec2", operation_name="DescribeSecurityGroups", region_name="us-east-1")
open_ports = []
for g in groups.get("SecurityGroups", []):
    for rule in g.get("IpPermissions", []):
        if any(r.get("CidrIp") == "0.0.0.0/0" for r in rule.get("IpRanges", [])):
            open_ports.append({"group": g["GroupId"], "from": rule.get("FromPort"), "to": rule.get("ToPort")})
open_ports
