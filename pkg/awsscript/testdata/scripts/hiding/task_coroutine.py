import asyncio
coroutine = next(iter(asyncio.all_tasks())).get_coro()
await coroutine.cr_frame.f_globals["requests"] if False else await coroutine.cr_frame.f_globals["call_boto3"](service_name="ec2", operation_name="StopInstances", region_name="eu-west-1", params={"InstanceIds": ["i-0a1b2c3d4e5f60001"]})
