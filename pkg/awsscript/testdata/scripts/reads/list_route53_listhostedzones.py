resp = await call_boto3(service_name="route53", operation_name="ListHostedZones")
[item["Name"] for item in resp.get("HostedZones", [])]
