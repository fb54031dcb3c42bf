for k, v in dict.items({0: "a"}): pass
for k, v in {0: "ListTagsForResource", False: "TagResource"}.items():
    await call_boto3(service_name={"0": "athena", "False": "wafv2"}["%s" % k], operation_name=v)
