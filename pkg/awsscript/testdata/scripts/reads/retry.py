import asyncio
import random

async def with_retry(operation, attempts=3):
    for attempt in range(attempts):
        try:
            return await call_boto3(service_name="organizations", operation_name=operation)
        except Exception as error:
            if "Throttl" not in str(error) or attempt == attempts - 1:
                raise
            await asyncio.sleep(2 ** attempt + random.random())

accounts = await with_retry("ListAccounts")
roots = await with_retry("ListRoots")
len(accounts.get("Accounts", [])), roots.get("Roots")
