stacks = await call_boto3(service_name="cloudformation", operation_name="DescribeStacks", region_name="eu-west-1")
drifted = [s["StackName"] for s in stacks.get("Stacks", []) if s.get("DriftInformation", {}).get("StackDriftStatus") == "DRIFTED"]
resources = {}
for name in drifted:
    r = await call_boto3(service_name="cloudformation", operation_name="DescribeStackResources", region_name="eu-west-1", params={"StackName": name})
    resources[name] = r["StackResources"]
resources
