arns = [c["CertificateArn"] for c in (await call_boto3(service_name="acm", operation_name="ListCertificates", region_name="us-east-1")).get("CertificateSummaryList", [])]
soon = {}
for arn in arns:
    detail = await call_boto3(service_name="acm", operation_name="DescribeCertificate", region_name="us-east-1", params={"CertificateArn": arn})
    soon[arn] = detail["Certificate"].get("NotAfter")
sorted(soon.items(), key=lambda kv: str(kv[1]))
