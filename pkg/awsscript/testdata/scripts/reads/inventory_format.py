for what in ("Users", "Roles", "Groups", "Policies"):
    answer = await call_boto3(service_name="iam", operation_name="List{}".format(what), params={"MaxItems": 5})
    print(what, len(answer.get(what, [])))
