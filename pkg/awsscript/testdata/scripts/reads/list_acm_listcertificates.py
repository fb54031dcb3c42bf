resp = await call_boto3(service_name="acm", operation_name="ListCertificates")
[item["DomainName"] for item in resp.get("CertificateSummaryList", [])]
