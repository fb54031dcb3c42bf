name = "AppRole"
attached = await call_boto3(service_name="iam", operation_name="ListAttachedRolePolicies", params={"RoleName": name})
inline = await call_boto3(service_name="iam", operation_name="ListRolePolicies", params={"RoleName": name})
documents = []
for p in attached.get("AttachedPolicies", []):
    meta = await call_boto3(service_name="iam", operation_name="GetPolicy", params={"PolicyArn": p["PolicyArn"]})
    version = meta["Policy"]["DefaultVersionId"]
    documents.append(await call_boto3(service_name="iam", operation_name="GetPolicyVersion",
                                      params={"PolicyArn": p["PolicyArn"], "VersionId": version}))
for n in inline.get("PolicyNames", []):
    documents.append(await call_boto3(service_name="iam", operation_name="GetRolePolicy",
                                      params={"RoleName": name, "PolicyName": n}))
documents
