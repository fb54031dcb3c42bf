# call_boto3(service_name="ec2", operation_name="TerminateInstances") is what we do NOT do
note = """
await call_boto3(service_name="iam", operation_name="DeleteRole")
"""
page = await call_boto3(service_name="iam", operation_name="ListRoles")  # getattr, eval and exec only in words
f"{len(page.get('Roles', []))} roles; {note.count('iam')} words"
