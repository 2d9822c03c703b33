"""The benchmark's job with boto3: a thread per region, clients that are made once, and the key first.

`--batched` tags and stops the machines of a region with one call each; without it each machine is finished before the next
one, so that the first stands still soonest.

The address comes from AWS_ENDPOINT_URL. Arguments: the leaked key.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

import boto3

leaked_key = sys.argv[1]
batched = "--batched" in sys.argv
TAGS = [{"Key": "case", "Value": "bench"}]
session = boto3.Session()


def snapshot(ec2, machine):
    ec2.create_snapshots(
        InstanceSpecification={"InstanceId": machine},
        TagSpecifications=[{"ResourceType": "snapshot", "Tags": TAGS}],
    )


def contain(ec2):
    pages = ec2.get_paginator("describe_instances").paginate(
        Filters=[{"Name": "instance-state-name", "Values": ["pending", "running"]}])
    machines = [i["InstanceId"] for page in pages for held in page["Reservations"] for i in held["Instances"]]
    if not machines:
        return 0
    if batched:
        ec2.create_tags(Resources=machines, Tags=TAGS)
        for machine in machines:
            snapshot(ec2, machine)
        ec2.stop_instances(InstanceIds=machines)
    else:
        for machine in machines:
            ec2.create_tags(Resources=[machine], Tags=TAGS)
            snapshot(ec2, machine)
            ec2.stop_instances(InstanceIds=[machine])
    return len(machines)


iam = session.client("iam")
user = iam.get_access_key_last_used(AccessKeyId=leaked_key)["UserName"]
iam.update_access_key(UserName=user, AccessKeyId=leaked_key, Status="Inactive")
regions = [region["RegionName"] for region in session.client("ec2").describe_regions()["Regions"]]
clients = [session.client("ec2", region_name=region) for region in regions]  # making clients is not thread-safe
with ThreadPoolExecutor(len(clients)) as pool:
    print(sum(pool.map(contain, clients)))
