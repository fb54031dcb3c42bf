machines = await call_boto3(service_name="stepfunctions", operation_name="ListStateMachines", region_name="eu-west-1")
failed = {}
for m in machines.get("stateMachines", []):
    runs = await call_boto3(service_name="stepfunctions", operation_name="ListExecutions", region_name="eu-west-1",
                            params={"stateMachineArn": m["stateMachineArn"], "statusFilter": "FAILED", "maxResults": 5})
    failed[m["name"]] = [r["name"] for r in runs.get("executions", [])]
failed
