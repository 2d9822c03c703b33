"""After the benchmark's job boto3 looks whether it was done: every machine tagged and stopped, each volume with a snapshot
that was taken before the stop, and the key off. A fast contestant that left something out would be no contestant.

Argument: the line that `quell sim` printed.
"""

import json
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from asking import Caller, Checks

ready = json.loads(sys.argv[1])
facts = ready["facts"]
responder = Caller(ready["endpoint"], **ready["credentials"]["responder"], region=ready["region"])
check = Checks()

rogue = {}
for machine in facts["machines"]["rogue"]:
    rogue.setdefault(machine["region"], []).append(machine["id"])


def region(ec2):
    instances = [i for page in ec2.get_paginator("describe_instances").paginate() for r in page["Reservations"] for i in r["Instances"]]
    snapshots = [s for page in ec2.get_paginator("describe_snapshots").paginate(OwnerIds=["self"]) for s in page["Snapshots"]]
    return instances, snapshots


clients = {name: responder.client("ec2", name) for name in rogue}
with ThreadPoolExecutor(len(clients)) as pool:
    seen = dict(zip(clients, pool.map(region, clients.values())))
for name, ids in rogue.items():
    instances, snapshots = seen[name]
    mine = [i for i in instances if i["InstanceId"] in ids]
    check.equal(f"{name}: stopped", {i["State"]["Name"] for i in mine}, {"stopped"})
    check.true(f"{name}: tagged", all({"Key": "case", "Value": "bench"} in i.get("Tags", []) for i in mine))
    volumes = sorted(d["Ebs"]["VolumeId"] for i in mine for d in i["BlockDeviceMappings"])
    check.equal(f"{name}: one snapshot for each volume", sorted(s["VolumeId"] for s in snapshots), volumes)
    check.true(f"{name}: snapshots are tagged", all(s.get("Tags") for s in snapshots))

keys = responder.client("iam").list_access_keys(UserName=facts["compromised_user"])["AccessKeyMetadata"]
check.equal("the key", {key["Status"] for key in keys}, {"Inactive"})

log = json.load(urllib.request.urlopen(f"{ready['endpoint']}/_sim/log"))
for name in rogue:
    done = [entry["operation"] for entry in log if entry["region"] == name and entry["outcome"] == "ok"]
    check.true(f"{name}: a snapshot came first", done.index("CreateSnapshots") < done.index("StopInstances"))
check.end()
