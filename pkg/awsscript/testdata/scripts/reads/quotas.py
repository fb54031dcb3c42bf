checks = (("ec2", "L-1216C47A"), ("vpc", "L-F678F1CE"), ("lambda", "L-B99A9384"))
limits = {}
for service_code, quota in checks:
    answer = await call_boto3(service_name="service-quotas", operation_name="GetServiceQuota",
                              params={"ServiceCode": service_code, "QuotaCode": quota})
    limits[service_code] = answer.get("Quota", {}).get("Value")
limits
