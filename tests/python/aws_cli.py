"""The `aws` CLI does in the simulated AWS what a responder types at night.

Argument: the line that `quell sim` printed.
"""

import json
import os
import re
import subprocess
import sys
import tempfile

from asking import Checks

ready = json.loads(sys.argv[1])
facts, accounts = ready["facts"], ready["accounts"]
development = accounts["development"]
check = Checks()


class Cli:
    """The program, with somebody's credentials."""

    def __init__(self, access_key_id, secret_access_key, session_token=None, region=ready["region"]):
        self.environment = os.environ | {
            "AWS_ENDPOINT_URL": ready["endpoint"],
            "AWS_ACCESS_KEY_ID": access_key_id,
            "AWS_SECRET_ACCESS_KEY": secret_access_key,
            "AWS_DEFAULT_REGION": region,
            "AWS_MAX_ATTEMPTS": "1",
        }
        if session_token:
            self.environment["AWS_SESSION_TOKEN"] = session_token

    def run(self, *words):
        return subprocess.run(["aws", *words, "--output", "json"], env=self.environment, capture_output=True, text=True, timeout=120)

    def __call__(self, *words):
        done = self.run(*words)
        if done.returncode != 0:
            raise AssertionError(f"aws {' '.join(words)}: {done.stderr.strip()}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def refused(self, code, *words):
        done = self.run(*words)
        found = re.search(r"\(([\w.]+)\) when calling", done.stderr)
        check.equal(f"aws {' '.join(words[:3])}", (done.returncode != 0, found and found[1]), (True, code))


responder = Cli(**ready["credentials"]["responder"])
attacker = Cli(**ready["credentials"]["attacker"])
rogue = sorted((machine["region"], machine["id"]) for machine in facts["machines"]["rogue"])
region, rogue_id = rogue[0]

with check.topic("who am I, and into the breached account"):
    check.equal("account", responder("sts", "get-caller-identity")["Account"], accounts["management"])
    owner = responder("sts", "get-access-key-info", "--access-key-id", facts["leaked_key"])
    check.equal("the leaked key's account", owner["Account"], development)
    made = responder("sts", "assume-role", "--role-arn", f"arn:aws:iam::{development}:role/ir/IRResponder",
                     "--role-session-name", "night")["Credentials"]
    inside = Cli(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"], region)
    check.contains("inside", inside("sts", "get-caller-identity")["Arn"], ":assumed-role/IRResponder/night")

with check.topic("machines"):
    query = "Reservations[].Instances[].InstanceId"
    unowned = inside("ec2", "describe-instances", "--filters", "Name=platform,Values=windows", "--query", query)
    check.equal("windows machines of the region", sorted(unowned), [machine for where, machine in rogue if where == region])
    volumes = inside("ec2", "describe-volumes", "--page-size", "5", "--query", "Volumes[].VolumeId")
    check.equal("pages of volumes", len(volumes), len(set(volumes)))
    inside.refused("InvalidInstanceID.NotFound", "ec2", "describe-instances", "--instance-ids", "i-0123456789abcdef0")
    inside.refused("InvalidInstanceID.Malformed", "ec2", "describe-instances", "--instance-ids", "banana")
    inside.refused("DryRunOperation", "ec2", "stop-instances", "--instance-ids", rogue_id, "--dry-run")
    snapshots = inside("ec2", "create-snapshots", "--instance-specification", f"InstanceId={rogue_id}",
                       "--tag-specifications", "ResourceType=snapshot,Tags=[{Key=ir:case,Value=night}]")["Snapshots"]
    kept = inside("ec2", "describe-snapshots", "--owner-ids", "self", "--filters", "Name=tag:ir:case,Values=night")["Snapshots"]
    check.equal("snapshots", {s["SnapshotId"] for s in snapshots}, {s["SnapshotId"] for s in kept})
    stopping = inside("ec2", "stop-instances", "--instance-ids", rogue_id)["StoppingInstances"]
    check.equal("stopping", [machine["CurrentState"]["Name"] for machine in stopping], ["stopping"])
    inside.refused("InvalidAction", "ec2", "describe-reserved-instances")

with check.topic("keys"):
    user, stolen = facts["compromised_user"], ready["credentials"]["attacker"]["access_key_id"]
    keys = inside("iam", "list-access-keys", "--user-name", user)["AccessKeyMetadata"]
    check.equal("keys", {key["AccessKeyId"] for key in keys}, {facts["leaked_key"], stolen})
    inside.refused("NoSuchEntity", "iam", "get-login-profile", "--user-name", "nobody")
    inside("iam", "update-access-key", "--user-name", user, "--access-key-id", stolen, "--status", "Inactive")
    for _ in range(40):
        if attacker.run("sts", "get-caller-identity").returncode:
            break
    attacker.refused("InvalidClientTokenId", "sts", "get-caller-identity")
    attacker.refused("AuthFailure", "ec2", "describe-instances")
    attacker.refused("InvalidAccessKeyId", "s3api", "list-buckets")

with check.topic("policies of the organisation"):
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "ec2:*", "Resource": "*"}]}
    scp = responder("organizations", "create-policy", "--name", "night", "--description", "no machines",
                    "--type", "SERVICE_CONTROL_POLICY", "--content", json.dumps(document))["Policy"]["PolicySummary"]["Id"]
    responder("organizations", "attach-policy", "--policy-id", scp, "--target-id", development)
    responder.refused("DuplicatePolicyAttachmentException", "organizations", "attach-policy", "--policy-id", scp,
                      "--target-id", development)
    for _ in range(40):
        if inside.run("ec2", "describe-instances").returncode:
            break
    inside.refused("UnauthorizedOperation", "ec2", "stop-instances", "--instance-ids", rogue_id, "--dry-run")
    responder("organizations", "detach-policy", "--policy-id", scp, "--target-id", development)

with check.topic("objects"), tempfile.NamedTemporaryFile() as report:
    report.write(b"timeline\n" * 1000)
    report.flush()
    inside("s3api", "create-bucket", "--bucket", "night-evidence", "--object-lock-enabled-for-bucket", "--region", "us-east-1")
    put = inside("s3api", "put-object", "--bucket", "night-evidence", "--key", "timeline.txt", "--body", report.name,
                 "--checksum-algorithm", "SHA256", "--object-lock-mode", "GOVERNANCE",
                 "--object-lock-retain-until-date", "2040-01-01T00:00:00Z", "--region", "us-east-1")
    check.true("the checksum comes back", put["ChecksumSHA256"])
    inside.refused("AccessDenied", "s3api", "delete-object", "--bucket", "night-evidence", "--key", "timeline.txt",
                   "--version-id", put["VersionId"], "--region", "us-east-1")

check.end()
