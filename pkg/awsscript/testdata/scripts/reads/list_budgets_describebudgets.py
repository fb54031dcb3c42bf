resp = await call_boto3(service_name="budgets", operation_name="DescribeBudgets")
[item["BudgetName"] for item in resp.get("Budgets", [])]
