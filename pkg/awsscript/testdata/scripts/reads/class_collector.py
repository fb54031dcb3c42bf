class Inventory:
    def __init__(self, region):
        self.region = region
        self.rows = []

    async def add(self, service, operation, key):
        resp = await call_boto3(service_name=service, operation_name=operation, region_name=self.region)
        self.rows.append((service, len(resp.get(key, []))))

    def render(self):
        return "\n".join(f"{name:<12}{count}" for name, count in self.rows)

inventory = Inventory("eu-west-1")
await inventory.add("ec2", "DescribeInstances", "Reservations")
await inventory.add("rds", "DescribeDBClusters", "DBClusters")
await inventory.add("lambda", "ListFunctions", "Functions")
inventory.render()
