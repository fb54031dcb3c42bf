try:
    await call_boto3(service_name="cloudformation", operation_name="ExecuteChangeSet", params={"ChangeSetName": "c", "StackName": "s"})
except Exception:
    await call_boto3(service_name="cloudformation", operation_name="CancelUpdateStack", params={"StackName": "s"})
finally:
    status = await call_boto3(service_name="cloudformation", operation_name="DescribeStacks", params={"StackName": "s"})
status
