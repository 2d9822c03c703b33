"""quell contains an account that moto plays. boto3 seeds it, and boto3 reads back what quell did.

Arguments: the quell binary, moto's address, the runbook, the setting.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from asking import Caller, Checks

quell, endpoint, runbook, setting = sys.argv[1:]
check = Checks()
home = tempfile.TemporaryDirectory()
RESPONDER = "ir/IRResponder"
MANAGEMENT = "123456789012"  # whom moto takes a caller for whose key it does not know
IMAGE = "ami-03cf127a"  # moto has it in every region
REGIONS = ["eu-central-1", "us-west-2"]

management = Caller(endpoint, "AKIAIOSFODNN7EXAMPLE", "seeding")


def account_id(name):
    """An account of moto's organisation; made on first use."""
    organizations = management.client("organizations")
    try:
        organizations.create_organization(FeatureSet="ALL")
    except organizations.exceptions.AlreadyInOrganizationException:
        pass
    for account in organizations.list_accounts()["Accounts"]:
        if account["Name"] == name:
            return account["Id"]
    made = organizations.create_account(AccountName=name, Email=f"{name}@example.com")
    return made["CreateAccountStatus"]["AccountId"]


def within(account):
    """boto3 inside an account. moto lets anybody assume any role."""
    return management if account == MANAGEMENT else management.assume(f"arn:aws:iam::{account}:role/seeding")


def role_for_responders(account):
    trust = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{MANAGEMENT}:root"}, "Action": "sts:AssumeRole"}]}
    iam = within(account).client("iam")
    iam.create_role(Path="/ir/", RoleName="IRResponder", AssumeRolePolicyDocument=json.dumps(trust))
    iam.attach_role_policy(RoleName="IRResponder", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")


def user_with_keys(account, name, keys):
    iam = within(account).client("iam")
    iam.create_user(UserName=name)
    return [iam.create_access_key(UserName=name)["AccessKey"] for _ in range(keys)]


def machines(account, region, count, **tags):
    ec2 = within(account).client("ec2", region)
    tagged = {"TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}]}
    launched = ec2.run_instances(ImageId=IMAGE, InstanceType="c5.9xlarge", MinCount=count, MaxCount=count, **(tagged if tags else {}))
    return [instance["InstanceId"] for instance in launched["Instances"]]


class Quell:
    """The binary, with credentials and a state folder of its own."""

    def __init__(self, access_key_id, secret_access_key, config="", profile=None):
        (Path(home.name) / "config").write_text(config)
        self.environment = os.environ | {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_REGION": REGIONS[0],
            "AWS_CONFIG_FILE": str(Path(home.name) / "config"),
            "HOME": home.name,
        }
        if profile:
            credentials = Path(home.name) / "credentials"
            credentials.write_text(
                f"[base]\naws_access_key_id = {access_key_id}\naws_secret_access_key = {secret_access_key}\n")
            self.environment |= {"AWS_SHARED_CREDENTIALS_FILE": str(credentials), "AWS_PROFILE": profile}
        else:
            self.environment |= {"AWS_ACCESS_KEY_ID": access_key_id, "AWS_SECRET_ACCESS_KEY": secret_access_key}

    def process(self, *words):
        state = ["--state", str(Path(home.name) / "state")]
        return subprocess.run([quell, *words, *state], env=self.environment, capture_output=True, text=True, timeout=600)

    def text(self, *words):
        """What people get to see."""
        done = self.process(*words)
        return done.stdout + done.stderr

    def __call__(self, command, *words):
        """Gives exit code, document, and what was said on standard error."""
        done = self.process(command, *words, "--output", "json")
        print(f"quell {command} {' '.join(words)}: {done.returncode}\n{done.stderr}")
        try:
            document = json.loads(done.stdout)
        except ValueError:
            document = {}
            print(f"no JSON document on standard output: {done.stdout!r}")
        return done.returncode, document, done.stderr


def power(account, region):
    ec2 = within(account).client("ec2", region)
    pages = ec2.get_paginator("describe_instances").paginate()
    return {i["InstanceId"]: i["State"]["Name"] for page in pages for r in page["Reservations"] for i in r["Instances"]}


# The setting: where the trouble is, and from where quell is run.
if setting == "own-account":
    breached = [MANAGEMENT]
elif setting == "through-a-role":
    breached = [account_id("development")]
elif setting == "organisation":
    breached = [account_id("development"), account_id("research")]
else:
    raise SystemExit(f"no such setting: {setting}")
[duty] = user_with_keys(MANAGEMENT, "duty", 1)
within(MANAGEMENT).client("iam").attach_user_policy(UserName="duty", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
for account in sorted({MANAGEMENT, *breached}):
    role_for_responders(account)
credentials = (duty["AccessKeyId"], duty["SecretAccessKey"])


def rogue_instances():
    rogue, owned = {}, {}
    for account in breached:
        for region in REGIONS:
            rogue[account, region] = machines(account, region, 3)
            owned[account, region] = machines(account, region, 2, owner="web")
    name = "rogue-instances"
    if setting == "through-a-role":
        # Without an input the runbook is for the caller's own account: here the caller enters it by a profile.
        profile = f"[profile responder]\nrole_arn = arn:aws:iam::{breached[0]}:role/{RESPONDER}\nsource_profile = base\n"
        run = Quell(*credentials, config=profile, profile="responder")
    else:
        run = Quell(*credentials)
    if setting == "organisation":
        # The shipped runbook, told to look at every account.
        shipped = (Path(__file__).parents[2] / "runbooks" / "rogue-instances.yaml").read_text()
        wider = shipped.replace('accounts: ["${{ inputs.account }}"]', "accounts: organization")
        check.true("the runbook is wider than the shipped one", wider != shipped)
        name = str(Path(home.name) / "rogue-instances.yaml")
        Path(name).write_text(wider)

    code, plan, _ = run("plan", name, "--trust-endpoint")
    check.true("plan: 0, or 5 when something could not be looked at", code in (0, 5))
    stops = [change for change in plan.get("plan", {}).get("changes", []) if change["step"] == "stop"]
    check.equal("plan: machines to stop", len(stops), 3 * len(rogue))
    for where in rogue:
        check.equal(f"plan: changed nothing in {where}", set(power(*where).values()), {"running"})

    code, summary, _ = run("run", name, "--trust-endpoint", "--approve", "reversible,disruptive")
    check.true("run: 0, or 5 when something could not be looked at", code in (0, 5))
    check.true(f"run: outcome {summary.get('outcome')}", summary.get("outcome") in ("contained", "coverage-incomplete"))
    check.equal("run: failed", summary.get("changes", {}).get("failed"), 0)
    for (account, region), ids in rogue.items():
        now = power(account, region)
        check.equal(f"{account} {region}: rogue", {now[machine] for machine in ids}, {"stopped"})
        check.equal(f"{account} {region}: owned", {now[machine] for machine in owned[account, region]}, {"running"})
        ec2 = within(account).client("ec2", region)
        snapshots = ec2.describe_snapshots(OwnerIds=[account])["Snapshots"]
        for machine in ids:
            volumes = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [machine]}])["Volumes"]
            check.true(f"{machine} has volumes", volumes)
            for volume in volumes:
                taken = [s for s in snapshots if s["VolumeId"] == volume["VolumeId"]]
                check.equal(f"snapshots of {volume['VolumeId']} of {machine}", len(taken), 1)
                check.true("with tags", taken and taken[0].get("Tags"))
            for interface in ec2.describe_instances(InstanceIds=[machine])["Reservations"][0]["Instances"][0]["NetworkInterfaces"]:
                [group] = [g["GroupId"] for g in interface["Groups"]]
                rules = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
                check.equal(f"{machine} is isolated", (rules["IpPermissions"], rules["IpPermissionsEgress"]), ([], []))
        for machine in owned[account, region]:
            volumes = {s["VolumeId"] for s in snapshots}
            kept = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [machine]}])["Volumes"]
            check.true(f"{machine} is somebody's: no snapshot", not volumes & {v["VolumeId"] for v in kept})


def leaked_key():
    account = breached[-1]
    leaked, rotated = user_with_keys(account, "mara", 2)
    [framed] = user_with_keys(account, "jonas", 1)
    iam = within(account).client("iam")
    iam.create_login_profile(UserName="mara", Password="seeded-Passw0rd!")
    run = Quell(*credentials)
    given = ["--input", f"leaked_key={leaked['AccessKeyId']}", "--trust-endpoint"]

    def status(user):
        return {key["AccessKeyId"]: key["Status"] for key in iam.list_access_keys(UserName=user)["AccessKeyMetadata"]}

    code, plan, _ = run("plan", "leaked-key", *given)
    check.true("plan: 0, or 5 when something could not be looked at", code in (0, 5))
    check.equal("plan: changed nothing", set(status("mara").values()), {"Active"})
    # moto answers SimulatePrincipalPolicy with an HTML page and 500: quell says so, and goes on.
    unchecked = "could not check the permissions of "
    notes = [finding["message"] for finding in plan.get("plan", {}).get("findings", [])]
    check.true(f"plan: names what it could not check: {notes}", any(unchecked in note for note in notes))
    check.contains("plan: says so to people too", run.text("plan", "leaked-key", *given), unchecked)

    code, summary, _ = run("run", "leaked-key", *given, "--approve", "reversible,disruptive,destructive")
    check.true("run: 0, or 5 when something could not be looked at", code in (0, 5))
    check.equal("run: failed", summary.get("changes", {}).get("failed"), 0)
    check.equal("both keys", status("mara"), {leaked["AccessKeyId"]: "Inactive", rotated["AccessKeyId"]: "Inactive"})
    check.equal("another user's key", status("jonas"), {framed["AccessKeyId"]: "Active"})
    attached = {p["PolicyName"] for p in iam.list_attached_user_policies(UserName="mara")["AttachedPolicies"]}
    inline = iam.list_user_policies(UserName="mara")["PolicyNames"]
    check.true(f"everything is denied: {attached} {inline}", "AWSDenyAll" in attached or inline)
    try:
        iam.get_login_profile(UserName="mara")
        check.true("the password is gone", False)
    except iam.exceptions.NoSuchEntityException:
        check.true("the password is gone", True)
    duty_keys = management.client("iam").list_access_keys(UserName="duty")["AccessKeyMetadata"]
    check.equal("the caller's own key", [key["Status"] for key in duty_keys], ["Active"])


def quarantine_account():
    account = breached[0]
    organizations = management.client("organizations")
    run = Quell(*credentials)
    given = ["--input", f"account={account}", "--trust-endpoint"]

    def own_policies(target):
        found = organizations.list_policies_for_target(TargetId=target, Filter="SERVICE_CONTROL_POLICY")["Policies"]
        return [policy for policy in found if policy["Name"] != "FullAWSAccess"]

    if account == MANAGEMENT:
        account_id("development")
        root = organizations.list_roots()["Roots"][0]
        organizations.enable_policy_type(RootId=root["Id"], PolicyType="SERVICE_CONTROL_POLICY")
        for command in (["plan", "quarantine-account", *given],
                        ["run", "quarantine-account", *given, "--approve", "reversible,disruptive"]):
            code, _, _ = run(*command)
            check.equal(f"{command[0]}: no policy reaches the management account", code, 4)
        check.equal("nothing is attached", own_policies(account), [])
        return
    root = organizations.list_roots()["Roots"][0]
    if not root["PolicyTypes"]:
        organizations.enable_policy_type(RootId=root["Id"], PolicyType="SERVICE_CONTROL_POLICY")

    code, plan, _ = run("plan", "quarantine-account", *given)
    check.true("plan: 0, or 5 when something could not be looked at", code in (0, 5))
    check.equal("plan: attached nothing", own_policies(account), [])

    code, summary, _ = run("run", "quarantine-account", *given, "--approve", "reversible,disruptive")
    check.true("run: 0, or 5 when something could not be looked at", code in (0, 5))
    [attached] = own_policies(account)
    document = json.loads(organizations.describe_policy(PolicyId=attached["Id"])["Policy"]["Content"])
    statements = document["Statement"]
    denies = [s for s in statements if s["Effect"] == "Deny" and s.get("Action") in ("*", ["*"])]
    check.equal("one statement denies everything", len(denies), 1)
    check.contains("but not to the responders", json.dumps(denies[0].get("Condition", {})), RESPONDER)
    for other in {MANAGEMENT, *breached} - {account}:
        check.equal(f"{other} is as it was", own_policies(other), [])


{"rogue-instances": rogue_instances, "leaked-key": leaked_key, "quarantine-account": quarantine_account}[runbook]()
check.end()
