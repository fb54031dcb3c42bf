from datetime import date, timedelta

end = date.today()
start = end - timedelta(days=30)
resp = await call_boto3(
    service_name="ce",
    operation_name="GetCostAndUsage",
    params={
        "TimePeriod": {"Start": start.isoformat(), "End": end.isoformat()},
        "Granularity": "MONTHLY",
        "Metrics": ["UnblendedCost"],
        "GroupBy": [{"Type": "DIMENSION", "Key": "SERVICE"}],
    },
)
rows = []
for period in resp.get("ResultsByTime", []):
    for group in period["Groups"]:
        rows.append((group["Keys"][0], float(group["Metrics"]["UnblendedCost"]["Amount"])))
sorted(rows, key=lambda row: row[1], reverse=True)[:10]
