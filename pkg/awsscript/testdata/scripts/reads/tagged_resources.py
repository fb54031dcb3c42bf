resources = await call_boto3(service_name="resourcegroupstaggingapi", operation_name="GetResources", region_name="eu-west-1",
                             params={"TagFilters": [{"Key": "team", "Values": ["payments"]}]})
by_service = {}
for r in resources.get("ResourceTagMappingList", []):
    service = r["ResourceARN"].split(":")[2]
    by_service.setdefault(service, []).append(r["ResourceARN"])
by_service
