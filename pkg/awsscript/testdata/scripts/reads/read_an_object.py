obj = await call_boto3(service_name="s3", operation_name="GetObject", params={"Bucket": "reports", "Key": "daily.csv"})
lines = obj["Body"].splitlines()
header, *rows = [line.split(",") for line in lines]
{"columns": header, "rows": len(rows)}
