"""The same calls go to moto and to the simulated AWS. Where the answers differ, a table says why and who is right; a
difference that is not in the table fails, and so does a line of the table that no longer is a difference.

Arguments: the line that `quell sim` printed, moto's address, the table. With `--write` the differences are printed as lines
of the table, to be explained by a person.
"""

import json
import re
import sys
from datetime import datetime, timedelta, timezone

from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from asking import Caller, Time, speak_json

ready, moto_endpoint, table_file = json.loads(sys.argv[1]), *sys.argv[2:4]
GHOST = "i-0123456789abcdef0"
DENY = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}
TRUST = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
SCP = "SERVICE_CONTROL_POLICY"


class Place:
    """One of the two: a management account, and an administrator's role in a member account."""

    def __init__(self, management, member, role, image, time=None):
        self.time = time
        self.management, self.member, self.role, self.image = management, member, role, image
        self.inside = management.assume(role)
        self.machines = []
        self.spot_machine = None
        self.ec2 = self.inside.client("ec2", "eu-central-1")
        self.scaling = self.inside.client("autoscaling", "eu-central-1")
        self.iam = self.inside.client("iam")
        self.s3 = self.inside.client("s3", "us-east-1")
        self.organizations = management.client("organizations")

    def wait(self, seconds):
        """For what takes its time: with moto nothing does."""
        if self.time:
            self.time.forward(seconds)

    def launch(self, **more):
        """Machines as a call asks for them."""
        self.wait(1)  # RunInstances: 2 calls per second
        wanted = {"ImageId": self.image, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1} | more
        return [machine["InstanceId"] for machine in self.ec2.run_instances(**wanted)["Instances"]]

    def machine(self):
        """A running machine, for one call alone."""
        if not self.machines:
            self.machines = self.launch(MinCount=20, MaxCount=20)
            while any(self.state(machine) != "running" for machine in self.machines):
                self.wait(1)
        return self.machines.pop()

    def state(self, machine):
        return self.ec2.describe_instances(InstanceIds=[machine])["Reservations"][0]["Instances"][0]["State"]["Name"]

    def user(self, name):
        try:
            self.iam.create_user(UserName=name)
        except self.iam.exceptions.EntityAlreadyExistsException:
            pass
        return name


def simulator():
    management = Caller(ready["endpoint"], **ready["credentials"]["responder"])
    member = ready["accounts"]["development"]
    role = f"arn:aws:iam::{member}:role/ir/IRResponder"
    image = management.assume(role).client("ec2", "eu-central-1").describe_images(Owners=["self"])["Images"][0]["ImageId"]
    return Place(management, member, role, image, Time(ready["endpoint"]))


def moto():
    management = Caller(moto_endpoint, "AKIAIOSFODNN7EXAMPLE", "seeding")
    organizations = management.client("organizations")
    organizations.create_organization(FeatureSet="ALL")
    organizations.enable_policy_type(RootId=organizations.list_roots()["Roots"][0]["Id"], PolicyType=SCP)
    made = organizations.create_account(AccountName="development", Email="development@example.com")
    member = made["CreateAccountStatus"]["AccountId"]
    role = f"arn:aws:iam::{member}:role/ir/IRResponder"
    management.assume(role).client("iam").create_role(
        Path="/ir/", RoleName="IRResponder", AssumeRolePolicyDocument=json.dumps(TRUST))
    return Place(management, member, role, "ami-03cf127a")


# A call returns an answer, of which the members are compared, or a text or number, which is compared as it is.
CALLS = {}


def call(words):
    def add(function):
        CALLS[words] = function
        return function
    return add


def answer(words, ask):
    CALLS[words] = ask


# STS
answer("sts.get_caller_identity", lambda p: p.inside.client("sts").get_caller_identity())
answer("sts.get_caller_identity: the ARN in a role", lambda p: p.inside.client("sts").get_caller_identity()["Arn"].replace(p.member, "MEMBER"))
answer("sts.get_caller_identity with a wrong secret", lambda p: Caller(
    p.management.endpoint, p.management.session.get_credentials().access_key, "wrong").client("sts").get_caller_identity())
answer("sts.assume_role of an unknown role", lambda p: p.management.client("sts").assume_role(
    RoleArn=f"arn:aws:iam::{p.member}:role/nobody", RoleSessionName="tests"))
answer("sts.assume_role that does not trust the caller", lambda p: p.inside.client("sts").assume_role(
    RoleArn=p.role, RoleSessionName="tests"))
answer("sts.get_access_key_info of temporary credentials: the account", lambda p: p.inside.client("sts").get_access_key_info(
    AccessKeyId=p.inside.session.get_credentials().access_key)["Account"].replace(p.member, "MEMBER"))
answer("sts.get_session_token", lambda p: p.management.client("sts").get_session_token())

# EC2: looking
answer("ec2.describe_instances", lambda p: p.ec2.describe_instances())
answer("ec2.describe_instances of an unknown id", lambda p: p.ec2.describe_instances(InstanceIds=[GHOST]))
answer("ec2.describe_instances of a malformed id", lambda p: p.ec2.describe_instances(InstanceIds=["banana"]))
answer("ec2.describe_instances with ids and MaxResults", lambda p: p.ec2.describe_instances(InstanceIds=[p.machine()], MaxResults=5))
answer("ec2.describe_instances with a token that was never given", lambda p: p.ec2.describe_instances(NextToken="banana", MaxResults=5))
answer("ec2.describe_volumes of an unknown id", lambda p: p.ec2.describe_volumes(VolumeIds=["vol-0123456789abcdef0"]))
answer("ec2.describe_snapshots of an unknown id", lambda p: p.ec2.describe_snapshots(SnapshotIds=["snap-0123456789abcdef0"]))
answer("ec2.describe_security_groups of an unknown id", lambda p: p.ec2.describe_security_groups(GroupIds=["sg-0123456789abcdef0"]))
answer("ec2.describe_network_interfaces of an unknown id", lambda p: p.ec2.describe_network_interfaces(
    NetworkInterfaceIds=["eni-0123456789abcdef0"]))
answer("ec2.describe_regions: are disabled ones listed unasked", lambda p: any(
    r["OptInStatus"] == "not-opted-in" for r in p.ec2.describe_regions()["Regions"]))
answer("ec2.describe_tags", lambda p: p.ec2.describe_tags())
answer("ec2.describe_iam_instance_profile_associations", lambda p: p.ec2.describe_iam_instance_profile_associations())
answer("ec2.describe_instances in a disabled region", lambda p: p.inside.client("ec2", "af-south-1").describe_instances())


@call("ec2.describe_instances by an unknown filter")
def _(p):
    p.machine()
    return p.ec2.describe_instances(Filters=[{"Name": "favourite-colour", "Values": ["blue"]}])


@call("ec2.describe_instances by a wildcard of a tag")
def _(p):
    p.launch(TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "team", "Value": "blue-whale"}]}])
    found = p.ec2.describe_instances(Filters=[{"Name": "tag:team", "Values": ["bl?e-*"]}])
    return sum(len(held["Instances"]) for held in found["Reservations"])


# EC2: power
@call("ec2.run_instances: the number of machines for MinCount 3")
def _(p):
    return len(p.launch(MinCount=3, MaxCount=3))


@call("ec2.run_instances: the state in the answer")
def _(p):
    return p.ec2.run_instances(ImageId=p.image, InstanceType="t3.micro", MinCount=1, MaxCount=1)["Instances"][0]["State"]["Name"]


@call("ec2.run_instances twice with one ClientToken: are both the same machine")
def _(p):
    return p.launch(ClientToken="one-token") == p.launch(ClientToken="one-token")


@call("ec2.run_instances: security groups of the machine")
def _(p):
    machine = p.machine()
    found = p.ec2.describe_instances(InstanceIds=[machine])["Reservations"][0]["Instances"][0]
    return [group["GroupName"] for group in found["SecurityGroups"]]


answer("ec2.run_instances of an unknown image", lambda p: len(p.launch(ImageId="ami-0123456789abcdef0")))
answer("ec2.stop_instances with DryRun", lambda p: p.ec2.stop_instances(InstanceIds=[p.machine()], DryRun=True))
answer("ec2.stop_instances", lambda p: p.ec2.stop_instances(InstanceIds=[p.machine()]))
answer("ec2.stop_instances of an unknown id", lambda p: p.ec2.stop_instances(InstanceIds=[GHOST]))
answer("ec2.stop_instances with one unknown id among two", lambda p: p.ec2.stop_instances(InstanceIds=[p.machine(), GHOST]))


@call("ec2.stop_instances: from and to")
def _(p):
    changed = p.ec2.stop_instances(InstanceIds=[p.machine()])["StoppingInstances"][0]
    return f"{changed['PreviousState']['Name']} to {changed['CurrentState']['Name']}"


@call("ec2.stop_instances: the state right afterwards")
def _(p):
    machine = p.machine()
    p.ec2.stop_instances(InstanceIds=[machine])
    return p.state(machine)


@call("ec2.stop_instances of a protected machine")
def _(p):
    machine = p.machine()
    p.ec2.modify_instance_attribute(InstanceId=machine, DisableApiStop={"Value": True})
    return p.ec2.stop_instances(InstanceIds=[machine])


@call("ec2.terminate_instances of a protected machine")
def _(p):
    machine = p.machine()
    p.ec2.modify_instance_attribute(InstanceId=machine, DisableApiTermination={"Value": True})
    return p.ec2.terminate_instances(InstanceIds=[machine])


@call("ec2.start_instances of a terminated machine")
def _(p):
    machine = p.machine()
    p.ec2.terminate_instances(InstanceIds=[machine])
    return p.ec2.start_instances(InstanceIds=[machine])


# EC2: evidence and network
def snapshots(p):
    """Evidence of a machine."""
    return p.ec2.create_snapshots(InstanceSpecification={"InstanceId": p.machine()}, TagSpecifications=[
        {"ResourceType": "snapshot", "Tags": [{"Key": "case", "Value": "one"}]}])


answer("ec2.create_snapshots", snapshots)
answer("ec2.create_snapshots: the state in the answer", lambda p: sorted({str(s.get("State")) for s in snapshots(p)["Snapshots"]}))
answer("ec2.lock_snapshot", lambda p: p.ec2.lock_snapshot(
    SnapshotId=snapshots(p)["Snapshots"][0]["SnapshotId"], LockMode="governance", LockDuration=1))
answer("ec2.create_tags on an unknown id", lambda p: p.ec2.create_tags(Resources=[GHOST], Tags=[{"Key": "a", "Value": "b"}]))
answer("ec2.create_tags of AWS's own", lambda p: p.ec2.create_tags(Resources=[p.machine()], Tags=[{"Key": "aws:a", "Value": "b"}]))


def group(p, name):
    vpc = p.ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    return p.ec2.create_security_group(GroupName=name, Description="made by a test", VpcId=vpc)


@call("ec2.create_security_group of a name that is taken")
def _(p):
    group(p, "twice")
    return group(p, "twice")


@call("ec2.create_security_group: what a new one lets out")
def _(p):
    made = group(p, "fresh")["GroupId"]
    rules = p.ec2.describe_security_groups(GroupIds=[made])["SecurityGroups"][0]["IpPermissionsEgress"]
    return [r["CidrIp"] for rule in rules for r in rule["IpRanges"]]


@call("ec2.revoke_security_group_egress of a rule that is not there")
def _(p):
    made = group(p, "revoked")["GroupId"]
    rule = [{"IpProtocol": "tcp", "FromPort": 5, "ToPort": 5, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}]
    return p.ec2.revoke_security_group_egress(GroupId=made, IpPermissions=rule)


@call("ec2.delete_security_group in use")
def _(p):
    made, machine = group(p, "busy")["GroupId"], p.machine()
    interface = p.ec2.describe_instances(InstanceIds=[machine])["Reservations"][0]["Instances"][0]["NetworkInterfaces"][0]
    p.ec2.modify_network_interface_attribute(NetworkInterfaceId=interface["NetworkInterfaceId"], Groups=[made])
    return p.ec2.delete_security_group(GroupId=made)


def acl(p):
    """A network ACL that a caller made, and the association of a subnet with the one before it."""
    vpc = p.ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    made = p.ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]
    own = p.ec2.describe_network_acls(Filters=[{"Name": "vpc-id", "Values": [vpc]}, {"Name": "default", "Values": ["true"]}])
    return made, own["NetworkAcls"][0]


answer("ec2.create_network_acl: what a new one does", lambda p: sorted({e["RuleAction"] for e in acl(p)[0]["Entries"]}))
answer("ec2.delete_network_acl", lambda p: p.ec2.delete_network_acl(NetworkAclId=acl(p)[0]["NetworkAclId"]))
answer("ec2.delete_network_acl of an unknown id", lambda p: p.ec2.delete_network_acl(NetworkAclId="acl-0123456789abcdef0"))
answer("ec2.delete_network_acl of the VPC's own", lambda p: p.ec2.delete_network_acl(NetworkAclId=acl(p)[1]["NetworkAclId"]))


@call("ec2.replace_network_acl_association: what stands before the subnet, and back")
def _(p):
    made, own = acl(p)
    before = own["Associations"][0]
    seen = []
    for association, to in [(before["NetworkAclAssociationId"], made), (None, own)]:
        association = association or now
        now = p.ec2.replace_network_acl_association(AssociationId=association, NetworkAclId=to["NetworkAclId"])["NewAssociationId"]
        of_subnet = [{"Name": "association.subnet-id", "Values": [before["SubnetId"]]}]
        seen.append(p.ec2.describe_network_acls(Filters=of_subnet)["NetworkAcls"][0]["NetworkAclId"] == to["NetworkAclId"])
    return seen


@call("ec2.delete_network_acl in use")
def _(p):
    made, own = acl(p)
    before = own["Associations"][-1]
    now = p.ec2.replace_network_acl_association(
        AssociationId=before["NetworkAclAssociationId"], NetworkAclId=made["NetworkAclId"])["NewAssociationId"]
    try:
        return p.ec2.delete_network_acl(NetworkAclId=made["NetworkAclId"])
    finally:
        p.ec2.replace_network_acl_association(AssociationId=now, NetworkAclId=own["NetworkAclId"])


@call("ec2.delete_network_acl_entry that is not there")
def _(p):
    return p.ec2.delete_network_acl_entry(NetworkAclId=acl(p)[0]["NetworkAclId"], RuleNumber=7, Egress=True)


answer("ec2.describe_vpc_block_public_access_options", lambda p: p.ec2.describe_vpc_block_public_access_options())


# Launchers
def template(p):
    """A launch template; the same one for all calls."""
    try:
        p.ec2.create_launch_template(LaunchTemplateName="differences", LaunchTemplateData={
            "ImageId": p.image, "InstanceType": "t3.micro"})
    except ClientError as error:
        if "AlreadyExists" not in error.response["Error"]["Code"]:
            raise
    return [{"LaunchTemplateSpecification": {"LaunchTemplateName": "differences", "Version": "$Default"}}]


def fleet(p, capacity=0, **more):
    wanted = {"TotalTargetCapacity": capacity, "DefaultTargetCapacityType": "spot"}
    return p.ec2.create_fleet(LaunchTemplateConfigs=template(p), TargetCapacitySpecification=wanted, Type="maintain", **more)


answer("ec2.create_fleet", lambda p: fleet(p))
answer("ec2.describe_fleets of an unknown id", lambda p: p.ec2.describe_fleets(FleetIds=["fleet-01234567-89ab-cdef-0123-456789abcdef"]))
answer("ec2.describe_fleets: of what type", lambda p: p.ec2.describe_fleets(FleetIds=[fleet(p)["FleetId"]])["Fleets"][0]["Type"])
answer("ec2.modify_fleet", lambda p: p.ec2.modify_fleet(FleetId=fleet(p)["FleetId"], TargetCapacitySpecification={
    "TotalTargetCapacity": 0}, ExcessCapacityTerminationPolicy="no-termination"))
answer("ec2.modify_fleet in the other fleet's spelling", lambda p: p.ec2.modify_fleet(
    FleetId=fleet(p)["FleetId"], ExcessCapacityTerminationPolicy="noTermination"))
answer("ec2.delete_fleets: from and to", lambda p: [
    (gone["PreviousFleetState"], gone["CurrentFleetState"]) for gone in p.ec2.delete_fleets(
        FleetIds=[fleet(p)["FleetId"]], TerminateInstances=False)["SuccessfulFleetDeletions"]])
answer("ec2.describe_launch_template_versions: the default ones of all templates", lambda p: [
    version["VersionNumber"] for version in p.ec2.describe_launch_template_versions(Versions=["$Default"])[
        "LaunchTemplateVersions"] if template(p)])
answer("ec2.describe_capacity_reservations", lambda p: p.ec2.describe_capacity_reservations())


def spot_fleet(p):
    config = {"IamFleetRole": p.role, "TargetCapacity": 1, "LaunchTemplateConfigs": template(p)}
    return p.ec2.request_spot_fleet(SpotFleetRequestConfig=config)["SpotFleetRequestId"]


def spot_fleet_shown(p, id):
    return p.ec2.describe_spot_fleet_requests(SpotFleetRequestIds=[id])["SpotFleetRequestConfigs"][0]


answer("ec2.request_spot_fleet: its state, type and capacity", lambda p: [
    (shown["SpotFleetRequestState"], shown["SpotFleetRequestConfig"]["Type"], shown["SpotFleetRequestConfig"]["TargetCapacity"])
    for shown in [spot_fleet_shown(p, spot_fleet(p))]])


@call("ec2.modify_spot_fleet_request to nothing: its capacity and policy")
def _(p):
    made = spot_fleet(p)
    p.ec2.modify_spot_fleet_request(SpotFleetRequestId=made, TargetCapacity=0, ExcessCapacityTerminationPolicy="noTermination")
    config = spot_fleet_shown(p, made)["SpotFleetRequestConfig"]
    return [config["TargetCapacity"], config["ExcessCapacityTerminationPolicy"]]


answer("ec2.cancel_spot_fleet_requests: from and to", lambda p: [
    (gone["PreviousSpotFleetRequestState"], gone["CurrentSpotFleetRequestState"]) for gone in
    p.ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[spot_fleet(p)], TerminateInstances=True)["SuccessfulFleetRequests"]])


def spot(p, kind):
    """A Spot request of this type."""
    made = p.ec2.request_spot_instances(Type=kind, LaunchSpecification={"ImageId": p.image, "InstanceType": "t3.micro"})
    return made["SpotInstanceRequests"][0]["SpotInstanceRequestId"]


def spot_shown(p, id):
    return p.ec2.describe_spot_instance_requests(SpotInstanceRequestIds=[id])["SpotInstanceRequests"][0]


answer("ec2.request_spot_instances: its type", lambda p: [spot_shown(p, spot(p, kind))["Type"] for kind in ("one-time", "persistent")])
answer("ec2.cancel_spot_instance_requests", lambda p: [
    gone["State"] for gone in p.ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[spot(p, "one-time")])[
        "CancelledSpotInstanceRequests"]])
answer("ec2.describe_spot_instance_requests of an unknown id", lambda p: p.ec2.describe_spot_instance_requests(
    SpotInstanceRequestIds=["sir-01234567"]))


def asg(p, name, desired=0):
    template(p)
    p.scaling.create_auto_scaling_group(
        AutoScalingGroupName=name, MinSize=0, MaxSize=2, DesiredCapacity=desired, AvailabilityZones=["eu-central-1a"],
        LaunchTemplate={"LaunchTemplateName": "differences", "Version": "$Default"})
    return name


def asg_shown(p, name):
    return p.scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"][0]


def working(p):
    """The members of a group that works, and a one-time Spot machine, when all of them are up."""
    if not p.spot_machine:
        one_time = {"MarketType": "spot", "SpotOptions": {"SpotInstanceType": "one-time"}}
        p.spot_machine = p.launch(InstanceMarketOptions=one_time)[0]
        asg(p, "working", 2)
        p.working = [member["InstanceId"] for member in asg_shown(p, "working")["Instances"]]
        while any(p.state(machine) != "running" for machine in [p.spot_machine, *p.working]):
            p.wait(1)
    return p.working


@call("ec2.stop_instances of a one-time Spot machine")
def _(p):
    working(p)
    return p.ec2.stop_instances(InstanceIds=[p.spot_machine])


@call("autoscaling.create_auto_scaling_group of a name that is taken")
def _(p):
    asg(p, "taken")
    return asg(p, "taken")


@call("autoscaling.suspend_processes: how many are suspended")
def _(p):
    p.scaling.suspend_processes(AutoScalingGroupName=asg(p, "suspended"))
    return len(asg_shown(p, "suspended")["SuspendedProcesses"])


@call("autoscaling.resume_processes of two: how many stay suspended")
def _(p):
    p.scaling.suspend_processes(AutoScalingGroupName=asg(p, "resumed"))
    p.scaling.resume_processes(AutoScalingGroupName="resumed", ScalingProcesses=["Launch", "Terminate"])
    return len(asg_shown(p, "resumed")["SuspendedProcesses"])


@call("autoscaling.enter_standby with a decrement: its states and capacity, and back")
def _(p):
    members = working(p)
    p.scaling.enter_standby(AutoScalingGroupName="working", InstanceIds=members, ShouldDecrementDesiredCapacity=True)
    out = asg_shown(p, "working")
    p.scaling.exit_standby(AutoScalingGroupName="working", InstanceIds=members)
    back = asg_shown(p, "working")
    return [(sorted(member["LifecycleState"] for member in shown["Instances"]), shown["DesiredCapacity"]) for shown in (out, back)]


@call("autoscaling.detach_instances with a decrement, and back: the members")
def _(p):
    members = working(p)
    p.scaling.detach_instances(AutoScalingGroupName="working", InstanceIds=members, ShouldDecrementDesiredCapacity=True)
    out = asg_shown(p, "working")
    p.scaling.attach_instances(AutoScalingGroupName="working", InstanceIds=members)
    return [(len(shown["Instances"]), shown["DesiredCapacity"]) for shown in (out, asg_shown(p, "working"))]


answer("autoscaling.suspend_processes of an unknown group", lambda p: p.scaling.suspend_processes(AutoScalingGroupName="nobody"))
answer("autoscaling.update_auto_scaling_group beyond its largest size", lambda p: p.scaling.update_auto_scaling_group(
    AutoScalingGroupName=asg(p, "large"), DesiredCapacity=9))


@call("autoscaling.delete_auto_scaling_group with machines")
def _(p):
    working(p)
    return p.scaling.delete_auto_scaling_group(AutoScalingGroupName="working")


@call("autoscaling.delete_auto_scaling_group that is protected")
def _(p):
    p.scaling.update_auto_scaling_group(AutoScalingGroupName=asg(p, "kept"), DeletionProtection="prevent-all-deletion")
    return p.scaling.delete_auto_scaling_group(AutoScalingGroupName="kept", ForceDelete=True)


# IAM
answer("iam.get_user who does not exist", lambda p: p.iam.get_user(UserName="nobody"))
answer("iam.get_login_profile of a user without password", lambda p: p.iam.get_login_profile(UserName=p.user("ana")))
answer("iam.list_access_keys", lambda p: p.iam.list_access_keys(UserName=p.user("ana")))
answer("iam.update_access_key of an unknown key", lambda p: p.iam.update_access_key(
    UserName=p.user("ana"), AccessKeyId="AKIAIOSFODNN7EXAMPLE", Status="Inactive"))
answer("iam.put_user_policy that is no policy", lambda p: p.iam.put_user_policy(
    UserName=p.user("ana"), PolicyName="broken", PolicyDocument="{}"))
answer("iam.put_user_policy larger than 2,048 characters", lambda p: p.iam.put_user_policy(
    UserName=p.user("ana"), PolicyName="large", PolicyDocument=json.dumps(
        DENY | {"Statement": [DENY["Statement"][0] | {"Resource": [f"arn:aws:s3:::bucket-{n}" for n in range(200)]}]})))
answer("iam.attach_user_policy AWSDenyAll", lambda p: p.iam.attach_user_policy(
    UserName=p.user("ana"), PolicyArn="arn:aws:iam::aws:policy/AWSDenyAll"))
answer("iam.attach_user_policy of an unknown policy", lambda p: p.iam.attach_user_policy(
    UserName=p.user("ana"), PolicyArn="arn:aws:iam::aws:policy/NoSuchThing"))
answer("iam.detach_user_policy that is not attached", lambda p: p.iam.detach_user_policy(
    UserName=p.user("ben"), PolicyArn="arn:aws:iam::aws:policy/AWSDenyAll"))
answer("iam.simulate_principal_policy", lambda p: p.iam.simulate_principal_policy(
    PolicySourceArn=p.role, ActionNames=["ec2:StopInstances"]))
answer("iam.get_account_authorization_details", lambda p: p.iam.get_account_authorization_details())


@call("iam.list_users by pages of 2: users on the first")
def _(p):
    for name in ("ana", "ben", "cyd"):
        p.user(name)
    return len(p.iam.list_users(MaxItems=2)["Users"])


@call("iam.create_access_key a third time")
def _(p):
    user = p.user("keys")
    return [p.iam.create_access_key(UserName=user) for _ in range(3)][-1]


@call("sts.get_caller_identity with an inactive key")
def _(p):
    user = p.user("out")
    key = p.iam.create_access_key(UserName=user)["AccessKey"]
    p.iam.update_access_key(UserName=user, AccessKeyId=key["AccessKeyId"], Status="Inactive")
    p.wait(6)  # until IAM has told everybody
    return Caller(p.management.endpoint, key["AccessKeyId"], key["SecretAccessKey"]).client("sts").get_caller_identity()


@call("ec2.describe_instances by a user without permissions")
def _(p):
    key = p.iam.create_access_key(UserName=p.user("nothing"))["AccessKey"]
    p.wait(6)
    return Caller(p.management.endpoint, key["AccessKeyId"], key["SecretAccessKey"]).client("ec2").describe_instances()


# IAM: what else a user signs in with
def certificate():
    """A certificate that moto can read; the simulator looks at the first line only."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    now = datetime.now(timezone.utc)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1)).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode()



@call("iam.update_signing_certificate: the status then")
def _(p):
    user = p.user("certified")
    made = p.iam.upload_signing_certificate(UserName=user, CertificateBody=certificate())["Certificate"]
    p.iam.update_signing_certificate(UserName=user, CertificateId=made["CertificateId"], Status="Inactive")
    return [held["Status"] for held in p.iam.list_signing_certificates(UserName=user)["Certificates"]]


answer("iam.list_signing_certificates", lambda p: p.iam.list_signing_certificates(UserName=p.user("certified")))
answer("iam.update_signing_certificate of an unknown one", lambda p: p.iam.update_signing_certificate(
    UserName=p.user("certified"), CertificateId="A" * 24, Status="Inactive"))


@call("iam.upload_ssh_public_key")
def _(p):
    return p.iam.upload_ssh_public_key(UserName=p.user("ssh"), SSHPublicKeyBody="ssh-rsa AAAA")


answer("iam.list_ssh_public_keys", lambda p: p.iam.list_ssh_public_keys(UserName=p.user("ssh")))
answer("iam.create_service_specific_credential", lambda p: p.iam.create_service_specific_credential(
    UserName=p.user("service"), ServiceName="codecommit.amazonaws.com"))
answer("iam.list_service_specific_credentials", lambda p: p.iam.list_service_specific_credentials(UserName=p.user("service")))


@call("iam.enable_mfa_device and list_mfa_devices: how many")
def _(p):
    user = p.user("careful")
    p.iam.enable_mfa_device(UserName=user, SerialNumber=f"arn:aws:iam::{p.member}:mfa/phone",
                            AuthenticationCode1="123456", AuthenticationCode2="654321")
    return len(p.iam.list_mfa_devices(UserName=user)["MFADevices"])


answer("iam.list_mfa_devices", lambda p: p.iam.list_mfa_devices(UserName=p.user("careful")))
answer("iam.deactivate_mfa_device that is not enabled", lambda p: p.iam.deactivate_mfa_device(
    UserName=p.user("ana"), SerialNumber=f"arn:aws:iam::{p.member}:mfa/none"))

# IAM: identity providers
METADATA = f"<EntityDescriptor entityID='https://idp.example.com'>{'MIIB' * 300}</EntityDescriptor>"
answer("iam.list_saml_providers of none", lambda p: p.iam.list_saml_providers()["SAMLProviderList"])
answer("iam.create_saml_provider", lambda p: p.iam.create_saml_provider(Name="corporate", SAMLMetadataDocument=METADATA))
answer("iam.create_saml_provider twice", lambda p: p.iam.create_saml_provider(
    Name="corporate", SAMLMetadataDocument=METADATA))


def saml(p):
    return f"arn:aws:iam::{p.member}:saml-provider/corporate"


def oidc(p):
    return f"arn:aws:iam::{p.member}:oidc-provider/token.example.com/ci"


answer("iam.get_saml_provider", lambda p: p.iam.get_saml_provider(SAMLProviderArn=saml(p)))
answer("iam.get_saml_provider: is the document the same", lambda p: p.iam.get_saml_provider(
    SAMLProviderArn=saml(p))["SAMLMetadataDocument"] == METADATA)
answer("iam.list_saml_providers: members of one", lambda p: sorted(p.iam.list_saml_providers()["SAMLProviderList"][0]))
answer("iam.delete_saml_provider", lambda p: p.iam.delete_saml_provider(SAMLProviderArn=saml(p)))
answer("iam.delete_saml_provider twice", lambda p: p.iam.delete_saml_provider(SAMLProviderArn=saml(p)))
answer("iam.create_open_id_connect_provider", lambda p: p.iam.create_open_id_connect_provider(
    Url="https://token.example.com/ci", ClientIDList=["sts.amazonaws.com"], ThumbprintList=["a" * 40]))
answer("iam.create_open_id_connect_provider twice", lambda p: p.iam.create_open_id_connect_provider(
    Url="https://token.example.com/ci", ClientIDList=["sts.amazonaws.com"], ThumbprintList=["a" * 40]))
answer("iam.get_open_id_connect_provider", lambda p: p.iam.get_open_id_connect_provider(OpenIDConnectProviderArn=oidc(p)))
answer("iam.get_open_id_connect_provider: what makes it", lambda p: [p.iam.get_open_id_connect_provider(
    OpenIDConnectProviderArn=oidc(p))[part] for part in ("Url", "ClientIDList", "ThumbprintList")])
answer("iam.list_open_id_connect_providers", lambda p: [
    one["Arn"] == oidc(p) for one in p.iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]])
answer("iam.delete_open_id_connect_provider", lambda p: p.iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=oidc(p)))
answer("iam.delete_open_id_connect_provider twice", lambda p: p.iam.delete_open_id_connect_provider(
    OpenIDConnectProviderArn=oidc(p)))
answer("iam.get_open_id_connect_provider that is gone", lambda p: p.iam.get_open_id_connect_provider(
    OpenIDConnectProviderArn=oidc(p)))
answer("iam.create_open_id_connect_provider without https", lambda p: p.iam.create_open_id_connect_provider(
    Url="http://token.example.com", ClientIDList=["x"], ThumbprintList=["a" * 40]))


# IAM: versions of policies
@call("iam.set_default_policy_version: the version in force")
def _(p):
    arn = p.iam.create_policy(PolicyName="developers", PolicyDocument=json.dumps(DENY))["Policy"]["Arn"]
    p.iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(DENY), SetAsDefault=True)
    p.iam.attach_user_policy(UserName=p.user("ana"), PolicyArn=arn)
    p.iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    return p.iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]


def developers(p):
    return f"arn:aws:iam::{p.member}:policy/developers"


answer("iam.list_policy_versions: which is in force", lambda p: sorted(
    (version["VersionId"], version["IsDefaultVersion"])
    for version in p.iam.list_policy_versions(PolicyArn=developers(p))["Versions"]))
answer("iam.set_default_policy_version to an unknown one", lambda p: p.iam.set_default_policy_version(
    PolicyArn=developers(p), VersionId="v9"))
answer("iam.delete_policy_version in force", lambda p: p.iam.delete_policy_version(PolicyArn=developers(p), VersionId="v1"))
answer("iam.list_entities_for_policy: users", lambda p: [
    user["UserName"] for user in p.iam.list_entities_for_policy(PolicyArn=developers(p))["PolicyUsers"]])
answer("iam.list_entities_for_policy", lambda p: p.iam.list_entities_for_policy(PolicyArn=developers(p)))
answer("iam.list_entities_for_policy of an unknown policy", lambda p: p.iam.list_entities_for_policy(
    PolicyArn=developers(p) + "-not"))

# Root
answer("iam.get_account_summary", lambda p: p.iam.get_account_summary())
answer("iam.list_organizations_features in a member account", lambda p: p.iam.list_organizations_features())
answer("sts.assume_root of a member", lambda p: p.management.client("sts").assume_root(
    TargetPrincipal=p.member, DurationSeconds=900,
    TaskPolicyArn={"arn": "arn:aws:iam::aws:policy/root-task/IAMDeleteRootUserCredentials"}))

# Organizations
def policy(p, name, content=DENY):
    """A new service control policy."""
    p.wait(1)  # CreatePolicy, AttachPolicy, DetachPolicy: 2 calls per second
    made = p.organizations.create_policy(Name=name, Description="", Type=SCP, Content=json.dumps(content))
    return made["Policy"]["PolicySummary"]["Id"]


answer("organizations.describe_organization", lambda p: p.organizations.describe_organization())
answer("organizations.create_policy that is no policy", lambda p: bool(policy(p, "broken", {"Statement": "no"})))
answer("organizations.create_policy in a member account", lambda p: p.inside.client("organizations").create_policy(
    Name="own", Description="", Type=SCP, Content=json.dumps(DENY)))
answer("organizations.describe_policy that does not exist", lambda p: p.organizations.describe_policy(PolicyId="p-examplepol"))
answer("organizations.list_policies_for_target: names on a new account", lambda p: sorted(
    found["Name"] for found in p.organizations.list_policies_for_target(TargetId=p.member, Filter=SCP)["Policies"]))


@call("organizations.create_policy of a name that is taken")
def _(p):
    return [bool(policy(p, "taken")) for _ in range(2)]


@call("organizations.attach_policy twice")
def _(p):
    made = policy(p, "twice", DENY | {"Statement": [DENY["Statement"][0] | {"Action": "lightsail:*"}]})
    p.organizations.attach_policy(PolicyId=made, TargetId=p.member)
    try:
        return p.organizations.attach_policy(PolicyId=made, TargetId=p.member)
    finally:
        p.organizations.detach_policy(PolicyId=made, TargetId=p.member)


@call("organizations.detach_policy that is not attached")
def _(p):
    return p.organizations.detach_policy(PolicyId=policy(p, "loose"), TargetId=p.member)


# Batch
def mine(p, name, state="ENABLED"):
    """A queue, and an environment on Fargate."""
    batch = p.inside.client("batch", "eu-central-1")
    if batch.describe_job_queues(jobQueues=[name])["jobQueues"]:
        return batch
    subnet = p.ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    group = p.ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    batch.create_compute_environment(computeEnvironmentName=name, type="MANAGED", state="ENABLED", serviceRole=p.role, computeResources={
        "type": "FARGATE", "maxvCpus": 4, "subnets": [subnet], "securityGroupIds": [group]})
    p.wait(4)  # until it is VALID
    arn = batch.describe_compute_environments(computeEnvironments=[name])["computeEnvironments"][0]["computeEnvironmentArn"]
    batch.create_job_queue(jobQueueName=name, state=state, priority=1, computeEnvironmentOrder=[
        {"order": 1, "computeEnvironment": arn}])
    p.wait(4)
    return batch


answer("batch.describe_job_queues", lambda p: p.inside.client("batch").describe_job_queues())
answer("batch.describe_job_queues of an unknown name", lambda p: p.inside.client("batch").describe_job_queues(
    jobQueues=["nobody"])["jobQueues"])
answer("batch.describe_job_queues: members of a queue", lambda p: sorted(
    set(mine(p, "shown").describe_job_queues(jobQueues=["shown"])["jobQueues"][0])))
answer("batch.update_job_queue that is not there", lambda p: p.inside.client("batch").update_job_queue(
    jobQueue="nobody", state="DISABLED"))
answer("batch.update_compute_environment that is not there", lambda p: p.inside.client("batch").update_compute_environment(
    computeEnvironment="nobody", state="DISABLED"))
answer("batch.create_job_queue of a name that is taken", lambda p: mine(p, "taken").create_job_queue(
    jobQueueName="taken", priority=1, computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "taken"}]))
answer("batch.create_job_queue without an environment", lambda p: p.inside.client("batch").create_job_queue(
    jobQueueName="empty", priority=1, computeEnvironmentOrder=[]))
answer("batch.list_jobs of an unknown queue", lambda p: p.inside.client("batch").list_jobs(jobQueue="nobody"))
answer("batch.list_jobs of an empty queue", lambda p: mine(p, "shown").list_jobs(jobQueue="shown"))


@call("batch.update_job_queue: the state afterwards")
def _(p):
    batch = mine(p, "closed")
    batch.update_job_queue(jobQueue="closed", state="DISABLED")
    return batch.describe_job_queues(jobQueues=["closed"])["jobQueues"][0]["state"]


answer("batch.delete_job_queue that is enabled", lambda p: mine(p, "open").delete_job_queue(jobQueue="open"))
answer("batch.delete_compute_environment under its queue", lambda p: mine(p, "held").delete_compute_environment(
    computeEnvironment="held"))

# EMR
def cluster(p, name, protected=False):
    """A cluster of one machine."""
    return p.inside.client("emr", "eu-central-1").run_job_flow(
        Name=name, ReleaseLabel="emr-7.3.0", ServiceRole="EMR_DefaultRole", JobFlowRole="EMR_EC2_DefaultRole", Instances={
            "InstanceGroups": [{"InstanceRole": "MASTER", "InstanceType": "m5.xlarge", "InstanceCount": 1}],
            "KeepJobFlowAliveWhenNoSteps": True, "TerminationProtected": protected})["JobFlowId"]


def emr(p):
    return p.inside.client("emr", "eu-central-1")


answer("emr.list_clusters", lambda p: emr(p).list_clusters())
answer("emr.list_clusters by state", lambda p: emr(p).list_clusters(ClusterStates=["TERMINATED_WITH_ERRORS"])["Clusters"])
answer("emr.describe_cluster", lambda p: emr(p).describe_cluster(ClusterId=cluster(p, "shown")))
answer("emr.describe_cluster that is not there", lambda p: emr(p).describe_cluster(ClusterId="j-NOBODY"))
answer("emr.describe_cluster: is it protected", lambda p: emr(p).describe_cluster(
    ClusterId=cluster(p, "held", True))["Cluster"]["TerminationProtected"])
answer("emr.terminate_job_flows of a protected one", lambda p: emr(p).terminate_job_flows(JobFlowIds=[cluster(p, "kept", True)]))


@call("emr.terminate_job_flows: the state right afterwards")
def _(p):
    made = cluster(p, "ended", True)
    emr(p).set_termination_protection(JobFlowIds=[made], TerminationProtected=False)
    emr(p).terminate_job_flows(JobFlowIds=[made])
    return emr(p).describe_cluster(ClusterId=made)["Cluster"]["Status"]["State"]


@call("emr.terminate_job_flows of a protected one and another: what becomes of the other")
def _(p):
    held, free = cluster(p, "held", True), cluster(p, "free")
    try:
        emr(p).terminate_job_flows(JobFlowIds=[held, free])
    except ClientError:
        pass
    return emr(p).describe_cluster(ClusterId=free)["Cluster"]["Status"]["State"].startswith("TERMINAT")


# The others
answer("account.list_regions", lambda p: p.inside.client("account").list_regions())
answer("cloudtrail.lookup_events", lambda p: p.inside.client("cloudtrail").lookup_events(
    LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "CreateSAMLProvider"}]))
answer("cloudtrail.describe_trails", lambda p: p.inside.client("cloudtrail").describe_trails())
answer("autoscaling.describe_auto_scaling_groups", lambda p: p.inside.client("autoscaling").describe_auto_scaling_groups())
answer("s3.list_buckets", lambda p: p.s3.list_buckets())
answer("s3.get_object from a bucket that does not exist", lambda p: p.s3.get_object(Bucket="no-such-bucket-here", Key="x"))


def locked(p, name):
    p.s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return p.s3.put_object(Bucket=name, Key="x", Body=b"evidence", ChecksumAlgorithm="SHA256",
                           ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate="2040-01-01T00:00:00Z")


answer("s3.put_object under Object Lock: its checksum", lambda p: locked(p, "locked-one")["ChecksumSHA256"])


@call("s3.delete_object of a locked version")
def _(p):
    version = locked(p, "locked-two")["VersionId"]
    return p.s3.delete_object(Bucket="locked-two", Key="x", VersionId=version)


@call("s3.get_object: the body as it was put")
def _(p):
    locked(p, "locked-three")
    return p.s3.get_object(Bucket="locked-three", Key="x")["Body"].read().decode()


@call("s3.put_object with the checksum of something else")
def _(p):
    p.s3.create_bucket(Bucket="checked")
    return p.s3.put_object(Bucket="checked", Key="x", Body=b"x", ChecksumSHA256="A" * 43 + "=")


# Glue
def glue(p):
    return p.inside.client("glue", "eu-central-1")


def glue_job(p, name, **more):
    glue(p).create_job(Name=name, Role="glue", Command={"Name": "glueetl", "ScriptLocation": "s3://scripts/job.py"}, **more)
    return name


def glue_trigger(p, name):
    job = glue_job(p, f"job-of-{name}")
    glue(p).create_trigger(Name=name, Type="SCHEDULED", Schedule="cron(15 12 * * ? *)", StartOnCreation=True, Actions=[{"JobName": job}])
    return name


def glue_session(p, name):
    return glue(p).create_session(Id=name, Role=f"arn:aws:iam::{p.member}:role/glue", Command={"Name": "glueetl"})


answer("glue.create_job twice", lambda p: [glue_job(p, "twice") for _ in range(2)])
answer("glue.get_jobs", lambda p: glue(p).get_jobs())
answer("glue.get_job of an unknown name", lambda p: glue(p).get_job(JobName="nobody"))
answer("glue.get_tags of a job", lambda p: glue(p).get_tags(
    ResourceArn=f"arn:aws:glue:eu-central-1:{p.member}:job/{glue_job(p, 'tagged', Tags={'owner': 'data'})}")["Tags"])
answer("glue.get_job_runs of an unknown job", lambda p: glue(p).get_job_runs(JobName="nobody"))
answer("glue.start_job_run: the state right afterwards", lambda p: glue(p).get_job_run(
    JobName="runs", RunId=glue(p).start_job_run(JobName=glue_job(p, "runs"))["JobRunId"])["JobRun"]["JobRunState"])
answer("glue.batch_stop_job_run", lambda p: glue(p).batch_stop_job_run(
    JobName="stops", JobRunIds=[glue(p).start_job_run(JobName=glue_job(p, "stops"))["JobRunId"]]))
answer("glue.create_trigger started on creation: its state", lambda p: glue(p).get_trigger(
    Name=glue_trigger(p, "starts"))["Trigger"]["State"].replace("ACTIVATING", "ACTIVATED"))
answer("glue.get_triggers of a job that none starts", lambda p: len(glue(p).get_triggers(
    DependentJobName=glue_job(p, f"idle-{glue_trigger(p, 'busy')}"))["Triggers"]) > 0)
answer("glue.stop_trigger", lambda p: glue(p).stop_trigger(Name=glue_trigger(p, "stopped")))
answer("glue.stop_trigger of an unknown name", lambda p: glue(p).stop_trigger(Name="nobody"))
answer("glue.start_trigger of one that is on", lambda p: glue(p).start_trigger(Name=glue_trigger(p, "on")))
answer("glue.create_session", lambda p: glue_session(p, "made"))
answer("glue.list_sessions", lambda p: glue_session(p, "listed") and glue(p).list_sessions())
answer("glue.stop_session right after it was made", lambda p: glue_session(p, "early") and glue(p).stop_session(Id="early"))
answer("glue.stop_session of an unknown id", lambda p: glue(p).stop_session(Id="nobody"))
# ECS
FARGATE = {"requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc", "cpu": "256", "memory": "512"}


def ecs(p, name):
    """A client; a cluster and a Fargate task definition of that name are there."""
    client = p.inside.client("ecs", "eu-central-1")
    client.create_cluster(clusterName=name)
    client.register_task_definition(family=name, containerDefinitions=[{"name": "x", "image": "x", "memory": 512}], **FARGATE)
    return client


def on_fargate(p, name):
    subnet = p.ec2.describe_subnets()["Subnets"][0]
    groups = p.ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [subnet["VpcId"]]}])["SecurityGroups"]
    network = {"subnets": [subnet["SubnetId"]], "securityGroups": [groups[0]["GroupId"]]}
    return {"cluster": name, "taskDefinition": name, "launchType": "FARGATE", "networkConfiguration": {"awsvpcConfiguration": network}}


@call("ecs.list_tasks of a service that wants two: how many")
def _(p):
    client = ecs(p, "wanting")
    client.create_service(serviceName="s", desiredCount=2, **on_fargate(p, "wanting"))
    return len(client.list_tasks(cluster="wanting", serviceName="s")["taskArns"])


@call("ecs.update_service to no tasks: desired count and status")
def _(p):
    client = ecs(p, "zero")
    client.create_service(serviceName="s", desiredCount=2, **on_fargate(p, "zero"))
    client.update_service(cluster="zero", service="s", desiredCount=0)
    shown = client.describe_services(cluster="zero", services=["s"])["services"][0]
    return shown["desiredCount"], shown["status"]


answer("ecs.update_service that is not there", lambda p: ecs(p, "none").update_service(cluster="none", service="s", desiredCount=0))
answer("ecs.list_services of no cluster", lambda p: p.inside.client("ecs").list_services(cluster="nowhere"))
answer("ecs.describe_services", lambda p: ecs(p, "none").describe_services(cluster="none", services=["s"]))
answer("ecs.run_task on Fargate: status", lambda p: [t["desiredStatus"] for t in ecs(p, "run").run_task(**on_fargate(p, "run"))["tasks"]])
answer("ecs.run_task on Fargate without a network", lambda p: ecs(p, "run").run_task(
    cluster="run", taskDefinition="run", launchType="FARGATE"))
answer("ecs.run_task of eleven", lambda p: ecs(p, "run").run_task(count=11, **on_fargate(p, "run")))
answer("ecs.run_task without container instances", lambda p: ecs(p, "run").run_task(
    **{k: v for k, v in on_fargate(p, "run").items() if k != "launchType"}))
answer("ecs.stop_task that is not there", lambda p: ecs(p, "run").stop_task(cluster="run", task="0" * 32))
answer("ecs.register_task_definition for Fargate without awsvpc", lambda p: p.inside.client("ecs").register_task_definition(
    family="f", containerDefinitions=[{"name": "x", "image": "x"}], **FARGATE | {"networkMode": "bridge"}))


@call("ecs.stop_task: desired status and code")
def _(p):
    client = ecs(p, "end")
    task = client.run_task(**on_fargate(p, "end"))["tasks"][0]["taskArn"]
    ended = client.stop_task(cluster="end", task=task)["task"]
    return ended["desiredStatus"], ended.get("stopCode")


@call("ecs.delete_service that wants tasks")
def _(p):
    client = ecs(p, "del")
    client.create_service(serviceName="s", desiredCount=1, **on_fargate(p, "del"))
    return client.delete_service(cluster="del", service="s")


# CodeBuild
speak_json()


def codebuild(p):
    return p.inside.client("codebuild", "eu-central-1")


def project(p, name):
    codebuild(p).create_project(
        name=name, source={"type": "S3", "location": "bucket/source.zip"}, artifacts={"type": "NO_ARTIFACTS"},
        environment={"type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0", "computeType": "BUILD_GENERAL1_SMALL"},
        serviceRole=f"arn:aws:iam::{p.member}:role/build")
    return name


def build(p, name):
    return codebuild(p).start_build(projectName=project(p, name))["build"]


answer("codebuild.list_projects", lambda p: project(p, "listed") and codebuild(p).list_projects())
answer("codebuild.create_project twice", lambda p: [project(p, "twice-built") for _ in range(2)])
answer("codebuild.start_build: its status", lambda p: build(p, "started")["buildStatus"])
answer("codebuild.start_build of an unknown project", lambda p: codebuild(p).start_build(projectName="nobody"))
answer("codebuild.batch_get_builds right afterwards: the status", lambda p: codebuild(p).batch_get_builds(
    ids=[build(p, "asked")["id"]])["builds"][0]["buildStatus"])
answer("codebuild.stop_build of an unknown id", lambda p: codebuild(p).stop_build(id=f"{project(p, 'stopped')}:0f7c2f8e-0000-4000-8000-000000000000"))
answer("codebuild.list_builds_for_project of an unknown project", lambda p: codebuild(p).list_builds_for_project(projectName="nobody"))
answer("codebuild.list_build_batches_for_project", lambda p: codebuild(p).list_build_batches_for_project(projectName=project(p, "batches")))
answer("codebuild.list_fleets", lambda p: codebuild(p).list_fleets())


def outcome(ask, place):
    """What is compared: the error's status and code, the members of the answer, or the value."""
    try:
        found = ask(place)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        code = code if re.fullmatch(r"[\w.]+", code) and not code.isdigit() else "no code"
        return f"{error.response['ResponseMetadata']['HTTPStatusCode']} {code}"
    except ResponseParserError:
        return "no answer that a client can read"
    if isinstance(found, dict):
        return "ok: " + " ".join(sorted(set(found) - {"ResponseMetadata"}))
    return f"ok: {found}"


def explained(text):
    """The lines of the table: call, moto, the simulator, who is right, why."""
    rows = [[cell.strip().strip("`") for cell in line.strip().strip("|").split("|")]
            for line in text.splitlines() if line.startswith("| `")]
    for row in rows:
        if len(row) != 5 or not row[4] or row[3] not in ("the simulator", "moto", "both", "neither"):
            raise SystemExit(f"a line of the table is not call, moto, simulator, who is right, why: {row}")
    return {row[0]: tuple(row[1:3]) for row in rows}


sides = (moto(), simulator())
differences, alike = {}, 0
for words, ask in CALLS.items():
    seen = tuple(outcome(ask, side).strip() for side in sides)
    if seen[0] == seen[1]:
        alike += 1
    else:
        differences[words] = seen

if "--write" in sys.argv:
    for words, (of_moto, of_simulator) in differences.items():
        print(f"| `{words}` | `{of_moto}` | `{of_simulator}` | | |")
    sys.exit()

known = explained(open(table_file, encoding="utf-8").read())
wrong = []
for words, seen in differences.items():
    if words not in known:
        wrong.append(f"not explained: {words}: moto {seen[0]!r}, simulator {seen[1]!r}")
    elif known[words] != seen:
        wrong.append(f"explained otherwise: {words}: the table has {known[words]}, seen is {seen}")
wrong += [f"no longer a difference: {words}" for words in known if words not in differences]
print("\n".join(wrong))
print(f"{len(CALLS)} calls, {alike} alike, {len(differences)} different, {len(wrong)} of them not as the table says")
sys.exit(1 if wrong else 0)
