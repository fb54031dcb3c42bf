import datetime as dt
today = dt.date.today()
a = await call_boto3(service_name="ce", operation_name="GetAnomalies", params={
    "DateInterval": {"StartDate": (today - dt.timedelta(7)).isoformat(), "EndDate": today.isoformat()}})
f = await call_boto3(service_name="ce", operation_name="GetCostForecast", params={
    "TimePeriod": {"Start": today.isoformat(), "End": (today + dt.timedelta(30)).isoformat()},
    "Metric": "UNBLENDED_COST", "Granularity": "MONTHLY"})
a.get("Anomalies", []), f.get("Total")
