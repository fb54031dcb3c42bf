detectors = (await call_boto3(service_name="guardduty", operation_name="ListDetectors")).get("DetectorIds", [])
findings = []
for d in detectors:
    ids = (await call_boto3(service_name="guardduty", operation_name="ListFindings", params={"DetectorId": d})).get("FindingIds", [])
    if ids:
        findings.extend((await call_boto3(service_name="guardduty", operation_name="GetFindings",
                                          params={"DetectorId": d, "FindingIds": ids[:50]})).get("Findings", []))
sorted(findings, key=lambda f: f.get("Severity", 0), reverse=True)[:5]
