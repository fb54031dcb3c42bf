i = 0
names = ["DescribeVpcs", "DescribeSubnets", "DescribeKeyPairs"]
while i < len(names):
    print(names[i], await call_boto3(service_name="ec2", operation_name=names[i]))
    i += 1
