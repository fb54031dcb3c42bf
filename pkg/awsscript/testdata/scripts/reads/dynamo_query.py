answer = await call_boto3(service_name="dynamodb", operation_name="Query", region_name="eu-west-1", params={
    "TableName": "orders", "KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": {"S": "customer#1"}}})
[{k: next(iter(v.values())) for k, v in item.items()} for item in answer.get("Items", [])]
