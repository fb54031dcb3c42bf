async def step(service, operation, **params):
    return await call_boto3(service_name=service, operation_name=operation, region_name="eu-west-1", params=params)

await step("lambda", "UpdateFunctionCode", FunctionName="app", S3Bucket="builds", S3Key="app.zip")
version = await step("lambda", "PublishVersion", FunctionName="app")
await step("lambda", "UpdateAlias", FunctionName="app", Name="live", FunctionVersion="2")
version
