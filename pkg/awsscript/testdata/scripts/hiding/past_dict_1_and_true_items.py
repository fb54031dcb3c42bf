for k, v in {1: "ListTagsForResource", True: "TagResource"}.items():
    await call_boto3(service_name={"1": "athena", "True": "wafv2"}[f"{k}"], operation_name=v)
