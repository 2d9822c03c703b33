"""quell puts evidence into a bucket of an S3 that is not its own; boto3 makes the bucket, tries to get rid of the evidence, and
looks at what is left.

evidence_bucket.py QUELL ENDPOINT ACCESS_KEY SECRET STORE
"""

import json
import os
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta, timezone

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

quell, endpoint, key, secret, store = sys.argv[1:]
keys = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_REGION": "us-east-1"}
s3 = boto3.client(
    "s3",
    endpoint_url=endpoint,
    region_name="us-east-1",
    aws_access_key_id=key,
    aws_secret_access_key=secret,
    config=Config(s3={"addressing_style": "path"}),
)


def ask(code, *arguments):
    """Runs quell, demands the exit code, and gives its document."""
    with tempfile.TemporaryDirectory() as home:
        environment = {**keys, "HOME": home, "QUELL_STATE": home, "AWS_ENDPOINT_URL": endpoint, "PATH": os.environ["PATH"]}
        words = [quell, *arguments, "--trust-endpoint", "--output", "json"]
        ended = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert ended.returncode == code, f"{arguments}: {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
    return json.loads(ended.stdout) if ended.stdout.strip() else ended.stderr


def refused(call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    raise AssertionError(f"{arguments} was not refused")


# What is not fit is refused, with every reason, before anything is put there.
s3.create_bucket(Bucket="not-fit")
s3.delete_public_access_block(Bucket="not-fit")
said = ask(4, "evidence", "push", "s3://not-fit", "--store", store)
for reason in ["keep", "versions", "no Object Lock", "public access is not blocked"]:
    assert reason in said, said
assert "Contents" not in s3.list_objects_v2(Bucket="not-fit")

s3.create_bucket(Bucket="evidence-of-acme", ObjectLockEnabledForBucket=True)
block = {name: True for name in ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"]}
s3.put_public_access_block(Bucket="evidence-of-acme", PublicAccessBlockConfiguration=block)
place = "s3://evidence-of-acme/case-7"
if key != "testing":  # moto takes any owner for the right one.
    said = ask(4, "evidence", "push", place, "--store", store, "--owner", "999999999999")
    assert "999999999999" in said, said

# Everything is put there once, and locked.
pushed = ask(0, "evidence", "push", place, "--store", store, "--keep", "30d")["pushed"]
files = sum(len(names) for _, _, names in os.walk(store))
assert (pushed["new"], pushed["there"]) == (files, 0), (pushed, files)
objects = [o["Key"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket="evidence-of-acme") for o in page["Contents"]]
assert len(objects) == files and all(name.startswith("case-7/") for name in objects), objects
month = datetime.now(timezone.utc) + timedelta(days=30)
for name in objects:
    head = s3.head_object(Bucket="evidence-of-acme", Key=name, ChecksumMode="ENABLED")
    assert head["ObjectLockMode"] == "GOVERNANCE" and abs(head["ObjectLockRetainUntilDate"] - month) < timedelta(hours=1), head
    assert "ChecksumSHA256" in head, head
again = ask(0, "evidence", "push", place, "--store", store, "--keep", "29d")["pushed"]
assert (again["new"], again["there"], again["prolonged"]) == (0, files, 0), again
longer = ask(0, "evidence", "push", place, "--store", store, "--keep", "60d")["pushed"]
assert (longer["new"], longer["prolonged"]) == (0, files), longer
assert ask(0, "evidence", "verify", place)["objects"] > 0
assert len(ask(0, "evidence", "list", place)["captures"]) == 1

# Nobody takes it away: a version that is locked stays, and what is laid over it is named.
victim, other = [name for name in objects if "/objects/" in name][:2]
version = s3.head_object(Bucket="evidence-of-acme", Key=victim)["VersionId"]
assert refused(s3.delete_object, Bucket="evidence-of-acme", Key=victim, VersionId=version) == "AccessDenied"
s3.delete_object(Bucket="evidence-of-acme", Key=victim)
s3.put_object(Bucket="evidence-of-acme", Key=other, Body=b"{}", ChecksumAlgorithm="SHA256")
s3.put_object(Bucket="evidence-of-acme", Key="case-7/objects/note.txt", Body=b"strange", ChecksumAlgorithm="SHA256")
wrong = ask(4, "evidence", "verify", place)["wrong"]
assert len(wrong) == 3, wrong
assert any(victim in line and "was deleted" in line for line in wrong), wrong
assert any(other in line and "was overwritten 1 time" in line for line in wrong), wrong
assert any("note.txt" in line and "does not belong" in line for line in wrong), wrong
said = ask(4, "evidence", "push", place, "--store", store)
assert "something else is in the bucket" in said, said

# And all of it is read back, whatever lies over it.
with tempfile.TemporaryDirectory() as folder:
    copy = os.path.join(folder, "copy")
    ask(4, "evidence", "pull", place, copy)
    ask(0, "evidence", "verify", copy)
    assert sum(len(names) for _, _, names in os.walk(copy)) == files
