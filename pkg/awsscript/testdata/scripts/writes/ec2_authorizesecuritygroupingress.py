result = await call_boto3(
    service_name="ec2",
    operation_name="AuthorizeSecurityGroupIngress",
    region_name="eu-west-1",
    params={"GroupId": "sg-1", "IpPermissions": []},
)
result
