resp = await call_boto3(service_name="stepfunctions", operation_name="ListStateMachines")
[item["name"] for item in resp.get("stateMachines", [])]
