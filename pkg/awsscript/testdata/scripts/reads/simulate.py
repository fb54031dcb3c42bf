verdict = await call_boto3(service_name="iam", operation_name="SimulatePrincipalPolicy", params={
    "PolicySourceArn": "arn:aws:iam::123456789012:role/AppRole", "ActionNames": ["s3:GetObject", "s3:PutObject"]})
{r["EvalActionName"]: r["EvalDecision"] for r in verdict.get("EvaluationResults", [])}
