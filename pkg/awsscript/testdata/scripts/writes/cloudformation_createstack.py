result = await call_boto3(
    service_name="cloudformation",
    operation_name="CreateStack",
    region_name="eu-west-1",
    params={"StackName": "s", "TemplateBody": "{}"},
)
result
