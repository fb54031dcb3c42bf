alarms = await call_boto3(service_name="cloudwatch", operation_name="DescribeAlarms", params={"StateValue": "ALARM"})
for alarm in alarms.get("MetricAlarms", []):
    history = await call_boto3(service_name="cloudwatch", operation_name="DescribeAlarmHistory",
                               params={"AlarmName": alarm["AlarmName"], "MaxRecords": 3})
    print(alarm["AlarmName"], [h["HistorySummary"] for h in history.get("AlarmHistoryItems", [])])
