from typing import Any
import dataclasses

@dataclasses.dataclass
class Row:
    name: str
    size: int = 0

rows: list[Row] = []
page: dict[str, Any] = await call_boto3(service_name="ec2", operation_name="DescribeVolumes", region_name="eu-west-1")
for v in page.get("Volumes", []):
    rows.append(Row(name=v["VolumeId"], size=v["Size"]))
[dataclasses.asdict(r) for r in rows]
