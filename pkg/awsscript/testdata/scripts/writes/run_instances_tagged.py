await call_boto3(service_name="ec2", operation_name="RunInstances", region_name="eu-west-1", params={
    "ImageId": "ami-1", "MinCount": 1, "MaxCount": 1, "InstanceType": "t3.micro",
    "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "web"}]}]})
