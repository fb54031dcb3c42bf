import json
plan = {
    "ec2": ["DescribeVpcs", "DescribeSubnets", "DescribeRouteTables"],
    "elbv2": ["DescribeLoadBalancers", "DescribeListeners"],
}
answers = []
for service, operations in plan.items():
    for operation in operations:
        try:
            answers.append(await call_boto3(service_name=service, operation_name=operation))
        except Exception as error:
            answers.append({"error": str(error), "operation": operation})
json.dumps(answers, default=str)[:2000]
