from datetime import datetime, timezone
roles = (await call_boto3(service_name="iam", operation_name="ListRoles")).get("Roles", [])
old = []
for role in roles:
    detail = await call_boto3(service_name="iam", operation_name="GetRole", params={"RoleName": role["RoleName"]})
    used = detail.get("Role", {}).get("RoleLastUsed", {}).get("LastUsedDate")
    if used is None:
        old.append(role["RoleName"])
old
