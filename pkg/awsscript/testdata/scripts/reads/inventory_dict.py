OPERATIONS = {
    "lambda": "ListFunctions",
    "sqs": "ListQueues",
    "sns": "ListTopics",
    "dynamodb": "ListTables",
    "stepfunctions": "ListStateMachines",
}

async def count(service, operation):
    resp = await call_boto3(service_name=service, operation_name=operation)
    return sum(len(v) for v in resp.values() if isinstance(v, list))

out = {}
for service, operation in OPERATIONS.items():
    out[service] = await count(service, operation)
out
