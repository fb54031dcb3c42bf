instances = await call_boto3(service_name="ec2", operation_name="describe_instances", region_name="eu-west-1")
volumes = await call_boto3(service_name="ec2", operation_name="describe_volumes", region_name="eu-west-1")
objects = await call_boto3(service_name="s3", operation_name="list_objects_v2", params={"Bucket": "reports"})
len(instances.get("Reservations", [])), len(volumes.get("Volumes", [])), objects.get("KeyCount")
