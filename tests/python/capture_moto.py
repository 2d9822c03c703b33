"""quell captures an account that moto plays. boto3 seeds it, and says what has to be in the store.

Arguments: the quell binary, moto's address.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from asking import Caller, Checks

quell, endpoint = sys.argv[1:]
check = Checks()
home = tempfile.TemporaryDirectory()
store = Path(home.name) / "evidence"
ACCOUNT = "123456789012"  # whom moto takes a caller for whose key it does not know
IMAGE = "ami-03cf127a"  # moto has it in every region
REGIONS = ["eu-central-1", "us-west-2"]
owner = Caller(endpoint, "AKIAIOSFODNN7EXAMPLE", "seeding")

iam = owner.client("iam")
iam.create_user(UserName="mallory")
key = iam.create_access_key(UserName="mallory")["AccessKey"]
machines = {}
for region in REGIONS:
    launched = owner.client("ec2", region).run_instances(ImageId=IMAGE, InstanceType="c5.9xlarge", MinCount=2, MaxCount=2)
    machines[region] = {instance["InstanceId"] for instance in launched["Instances"]}
owner.client("s3").create_bucket(Bucket="acme-customer-data")
owner.client("ec2", REGIONS[0]).create_key_pair(KeyName="left-behind")


def run(*words):
    environment = os.environ | {
        "AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "us-east-1", "HOME": home.name,
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "seeding",
    }
    done = subprocess.run([quell, *words], env=environment, capture_output=True, text=True, timeout=600)
    print(f"quell {' '.join(words)}: {done.returncode}\n{done.stderr}")
    return done


done = run("capture", "--trust-endpoint", "--to", str(store), "--history", "0s", "--output", "json")
captured = json.loads(done.stdout)["capture"]
lines = (store / "captures" / captured / "manifest.jsonl").read_text().splitlines()[1:]
entries = [json.loads(line)["capture"] for line in lines]
items = [entry for entry in entries if entry["entry"] == "item"]


def answers(api, region=None):
    """What AWS answered, as kept, with its hash looked at by hand."""
    for item in items:
        if item["api"] == api and region in (None, item["region"]):
            kept = (store / "objects" / item["sha256"][:2] / f"{item['sha256']}.json").read_bytes()
            assert hashlib.sha256(kept).hexdigest() == item["sha256"], item
            yield kept.decode()


with check.topic("the capture comes to its end, and names what moto does not know"):
    check.true("exit code 0 or 5", done.returncode in (0, 5))
    check.equal("the last line", entries[-1]["entry"], "ended")
    check.equal("accounts", {item["account"] for item in items}, {ACCOUNT})

with check.topic("each machine is in the answer of its own region, and in no other"):
    for region in REGIONS:
        text = "".join(answers("ec2:DescribeInstances", region))
        seen = {machine for machine in set().union(*machines.values()) if machine in text}
        check.equal(region, seen, machines[region])

with check.topic("every region is asked"):
    known = owner.client("ec2").describe_regions(AllRegions=True)["Regions"]
    regions = {region["RegionName"] for region in known if region["OptInStatus"] != "not-opted-in"}
    asked = {item["region"] for item in items if item["api"] == "ec2:DescribeInstances"}
    check.equal("regions", asked, regions)

with check.topic("user, key, bucket and key pair are there, and no secret"):
    check.contains("the user", "".join(answers("iam:ListUsers")), "mallory")
    check.contains("the key", "".join(answers("iam:ListAccessKeys")), key["AccessKeyId"])
    check.contains("the bucket", "".join(answers("s3:ListBuckets")), "acme-customer-data")
    check.contains("the key pair", "".join(answers("ec2:DescribeKeyPairs", REGIONS[0])), "left-behind")
    everything = b"".join(path.read_bytes() for path in store.rglob("*") if path.is_file())
    check.true("no secret", key["SecretAccessKey"].encode() not in everything)

with check.topic("the store is verified, and nothing in moto was changed"):
    check.equal("verify", run("evidence", "verify", str(store)).returncode, 0)
    for region in REGIONS:
        pages = owner.client("ec2", region).get_paginator("describe_instances").paginate()
        states = {i["InstanceId"]: i["State"]["Name"] for page in pages for r in page["Reservations"] for i in r["Instances"]}
        check.equal(region, states, dict.fromkeys(machines[region], "running"))

check.end()
