"""boto3 does by hand, in the simulated AWS, what a responder does; and what must be refused is refused as AWS does it.

Argument: the line that `quell sim` printed.
"""

import hashlib
import base64
import json
import sys
from datetime import datetime, timedelta, timezone

from botocore.exceptions import ClientError

from asking import Caller, Checks, Time

ready = json.loads(sys.argv[1])
facts, accounts = ready["facts"], ready["accounts"]
development, production, management = accounts["development"], accounts["production"], accounts["management"]
responder = Caller(ready["endpoint"], **ready["credentials"]["responder"], region=ready["region"])
attacker = Caller(ready["endpoint"], **ready["credentials"]["attacker"], region=ready["region"])
check, time = Checks(), Time(ready["endpoint"])


def role(account):
    return f"arn:aws:iam::{account}:role/ir/IRResponder"


def instances(ec2, **parameters):
    pages = ec2.get_paginator("describe_instances").paginate(**parameters)
    return [instance for page in pages for held in page["Reservations"] for instance in held["Instances"]]


rogue = sorted((machine["region"], machine["id"]) for machine in facts["machines"]["rogue"])
region, rogue_id = rogue[0]

with check.topic("who is who"):
    sts = responder.client("sts")
    identity = sts.get_caller_identity()
    check.equal("the responder's account", identity["Account"], management)
    check.contains("the responder's ARN", identity["Arn"], f"arn:aws:iam::{management}:user/")
    check.equal("the owner of the leaked key", sts.get_access_key_info(AccessKeyId=facts["leaked_key"])["Account"], development)
    inside = responder.assume(role(development)).client("sts").get_caller_identity()
    check.equal("the account inside the role", inside["Account"], development)
    check.equal("the ARN inside the role", inside["Arn"], f"arn:aws:sts::{development}:assumed-role/IRResponder/tests")
    check.refused("a role that does not exist", 403, "AccessDenied", sts.assume_role, "sts:AssumeRole",
                  RoleArn=f"arn:aws:iam::{development}:role/nobody", RoleSessionName="tests")
    check.refused("a role that does not trust the caller", 403, "AccessDenied", attacker.client("sts").assume_role,
                  "sts:AssumeRole", RoleArn=role(production), RoleSessionName="tests")

ir = responder.assume(role(development))
ec2 = ir.client("ec2", region)

with check.topic("a stranger"):
    key = ready["credentials"]["responder"]["access_key_id"]
    for words, caller, codes in [
        ("a wrong secret", Caller(ready["endpoint"], key, "x" * 40),
         [(401, "AuthFailure"), (403, "SignatureDoesNotMatch"), (403, "SignatureDoesNotMatch"),
          (403, "SignatureDoesNotMatch"), (400, "InvalidSignatureException")]),
        ("a key that nobody has", Caller(ready["endpoint"], "AKIAIOSFODNN7EXAMPLE", "x" * 40),
         [(401, "AuthFailure"), (403, "InvalidClientTokenId"), (403, "InvalidClientTokenId"),
          (403, "InvalidAccessKeyId"), (400, "UnrecognizedClientException")]),
    ]:
        calls = [
            caller.client("ec2").describe_instances, caller.client("sts").get_caller_identity,
            caller.client("iam").list_users, caller.client("s3").list_buckets,
            caller.client("organizations").describe_organization,
        ]
        for (status, code), call in zip(codes, calls):
            check.refused(f"{words}: {call.__name__}", status, code, call)

with check.topic("regions"):
    all_of_them = ec2.describe_regions(AllRegions=True)["Regions"]
    status = {found["RegionName"]: found["OptInStatus"] for found in all_of_them}
    enabled = {found["RegionName"] for found in ec2.describe_regions()["Regions"]}
    check.equal("enabled regions", enabled, {name for name, opt_in in status.items() if opt_in != "not-opted-in"})
    listed = [page["Regions"] for page in ir.client("account").get_paginator("list_regions").paginate()]
    usable = {found["RegionName"] for page in listed for found in page
              if found["RegionOptStatus"] in ("ENABLED", "ENABLED_BY_DEFAULT")}
    check.equal("account:ListRegions agrees with ec2:DescribeRegions", usable, enabled)
    disabled = sorted(set(status) - enabled)[0]
    check.refused("EC2 in a disabled region", 401, "AuthFailure", ir.client("ec2", disabled).describe_instances)

with check.topic("describe: filters"):
    every = instances(ec2)
    mine = {instance["InstanceId"] for instance in every}
    check.true("the rogue machine is seen", rogue_id in mine)
    for where, machine in rogue:
        check.equal(f"{machine} is seen in its own region only ({where})", machine in mine, where == region)
    owned = {i["InstanceId"] for i in every if any(tag["Key"] == "owner" for tag in i.get("Tags", []))}
    by_key = instances(ec2, Filters=[{"Name": "tag-key", "Values": ["owner"]}])
    check.equal("tag-key", {i["InstanceId"] for i in by_key}, owned)
    values = {tag["Value"] for i in every for tag in i.get("Tags", []) if tag["Key"] == "owner"}
    for value in values:
        found = instances(ec2, Filters=[{"Name": "tag:owner", "Values": [value]}])
        expected = {i["InstanceId"] for i in every if {"Key": "owner", "Value": value} in i.get("Tags", [])}
        check.equal(f"tag:owner={value}", {i["InstanceId"] for i in found}, expected)
    windows = instances(ec2, Filters=[{"Name": "platform", "Values": ["windows"]}])
    check.equal("platform", {i["InstanceId"] for i in windows}, {i["InstanceId"] for i in every if i.get("Platform") == "windows"})
    wild = instances(ec2, Filters=[{"Name": "instance-type", "Values": ["c?.*", "m5.*"]}])
    check.equal("wildcards", {i["InstanceId"] for i in wild},
                {i["InstanceId"] for i in every if i["InstanceType"].startswith("m5.")
                 or (i["InstanceType"][0] == "c" and i["InstanceType"][2] == ".")})
    both = instances(ec2, Filters=[{"Name": "instance-state-name", "Values": ["running"]}, {"Name": "tag-key", "Values": ["owner"]}])
    check.equal("two filters are both demanded", {i["InstanceId"] for i in both},
                {i["InstanceId"] for i in every if i["State"]["Name"] == "running"} & owned)
    check.equal("nothing passes", instances(ec2, Filters=[{"Name": "tag:owner", "Values": ["nobody at all"]}]), [])
    check.refused("an unknown filter", 400, "InvalidParameterValue", ec2.describe_instances, "favourite-colour",
                  Filters=[{"Name": "favourite-colour", "Values": ["blue"]}])

with check.topic("describe: pages"):
    paged = instances(ec2, PaginationConfig={"PageSize": 5})
    check.equal("the pages hold each machine once", sorted(i["InstanceId"] for i in paged), sorted(mine))
    # A page of volumes is cut where it says it is, and the next goes on there.
    whole = [volume["VolumeId"] for page in ec2.get_paginator("describe_volumes").paginate() for volume in page["Volumes"]]
    cut = ec2.get_paginator("describe_volumes").paginate(PaginationConfig={"PageSize": 5})
    pages = [[volume["VolumeId"] for volume in page["Volumes"]] for page in cut]
    check.true("no page holds more than was asked for", all(len(page) <= 5 for page in pages))
    check.equal("the pages of volumes hold each once", sorted(sum(pages, [])), sorted(whole))
    check.refused("MaxResults next to ids", 400, "InvalidParameterCombination", ec2.describe_instances,
                  InstanceIds=[rogue_id], MaxResults=5)
    check.refused("a token that was never given", 400, "InvalidPaginationToken",
                  ec2.describe_instances, NextToken="not-a-token", MaxResults=5)

with check.topic("ids"):
    ghost = "i-0123456789abcdef0"
    check.refused("an unknown id", 400, "InvalidInstanceID.NotFound", ec2.describe_instances, ghost, InstanceIds=[ghost])
    check.refused("a malformed id", 400, "InvalidInstanceID.Malformed", ec2.describe_instances, "banana", InstanceIds=["banana"])
    check.refused("one bad id spoils the batch", 400, "InvalidInstanceID.NotFound", ec2.stop_instances, ghost,
                  InstanceIds=[rogue_id, ghost])
    state = ec2.describe_instances(InstanceIds=[rogue_id])["Reservations"][0]["Instances"][0]["State"]["Name"]
    check.equal("the good one of the batch", state, "running")
    elsewhere = next(machine for where, machine in rogue if where != region)
    check.refused("another region's machine", 400, "InvalidInstanceID.NotFound", ec2.stop_instances, InstanceIds=[elsewhere])
    check.refused("an unknown snapshot", 400, "InvalidSnapshot.NotFound", ec2.describe_snapshots,
                  SnapshotIds=["snap-0123456789abcdef0"])
    check.refused("an unknown volume", 400, "InvalidVolume.NotFound", ec2.describe_volumes, VolumeIds=["vol-0123456789abcdef0"])
    check.refused("an unknown group", 400, "InvalidGroup.NotFound", ec2.describe_security_groups, GroupIds=["sg-0123456789abcdef0"])

with check.topic("an operation that the simulator does not know"):
    check.refused("it is refused by name", 400, "InvalidAction", ec2.describe_reserved_instances, "DescribeReservedInstances")
    check.refused("in IAM too", 400, "InvalidAction", ir.client("iam").list_server_certificates, "ListServerCertificates")
    check.refused("in Organizations too", 400, "UnknownOperationException", responder.client("organizations").list_handshakes_for_account,
                  "ListHandshakesForAccount")

with check.topic("DryRun"):
    check.refused("allowed", 412, "DryRunOperation", ec2.stop_instances, "would have succeeded", InstanceIds=[rogue_id], DryRun=True)
    state = ec2.describe_instances(InstanceIds=[rogue_id])["Reservations"][0]["Instances"][0]["State"]["Name"]
    check.equal("nothing was stopped", state, "running")
    reader = responder.assume(role(development), Policy=json.dumps({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"}],
    })).client("ec2", region)
    check.true("the session policy lets describe", reader.describe_instances()["Reservations"])
    check.refused("denied", 403, "UnauthorizedOperation", reader.stop_instances, "ec2:StopInstances",
                  InstanceIds=[rogue_id], DryRun=True)
    check.refused("denied without DryRun", 403, "UnauthorizedOperation", reader.stop_instances, "ec2:StopInstances",
                  InstanceIds=[rogue_id])

with check.topic("protection, stop, start"):
    ec2.modify_instance_attribute(InstanceId=rogue_id, DisableApiStop={"Value": True})
    flag = ec2.describe_instance_attribute(InstanceId=rogue_id, Attribute="disableApiStop")
    check.equal("stop protection is on", flag["DisableApiStop"]["Value"], True)
    check.refused("a protected machine is not stopped", 400, "OperationNotPermitted", ec2.stop_instances, "disableApiStop",
                  InstanceIds=[rogue_id])
    check.refused("nor terminated", 400, "OperationNotPermitted", ec2.terminate_instances, "disableApiStop",
                  InstanceIds=[rogue_id])
    ec2.modify_instance_attribute(InstanceId=rogue_id, DisableApiStop={"Value": False})
    ec2.modify_instance_attribute(InstanceId=rogue_id, DisableApiTermination={"Value": True})
    check.refused("termination protection", 400, "OperationNotPermitted", ec2.terminate_instances, "disableApiTermination",
                  InstanceIds=[rogue_id])
    stopping = ec2.stop_instances(InstanceIds=[rogue_id])["StoppingInstances"][0]
    check.equal("from", stopping["PreviousState"]["Name"], "running")
    check.equal("to", (stopping["CurrentState"]["Name"], stopping["CurrentState"]["Code"]), ("stopping", 64))
    check.refused("a stopping machine is not started", 400, "IncorrectInstanceState", ec2.start_instances, InstanceIds=[rogue_id])

with check.topic("snapshots"):
    where, machine = rogue[1]
    there = ir.client("ec2", where)
    attached = there.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [machine]}])["Volumes"]
    made = there.create_snapshots(
        InstanceSpecification={"InstanceId": machine}, Description="evidence", CopyTagsFromSource="volume",
        TagSpecifications=[{"ResourceType": "snapshot", "Tags": [{"Key": "ir:case", "Value": "by hand"}]}])["Snapshots"]
    check.equal("one snapshot for each volume", sorted(s["VolumeId"] for s in made), sorted(v["VolumeId"] for v in attached))
    check.true("they begin as pending", all(s["State"] == "pending" for s in made))
    tagged = there.describe_snapshots(OwnerIds=["self"], Filters=[{"Name": "tag:ir:case", "Values": ["by hand"]}])["Snapshots"]
    check.equal("they are found by their tag", {s["SnapshotId"] for s in tagged}, {s["SnapshotId"] for s in made})
    check.true("progress is told", all(s["Progress"].endswith("%") for s in tagged))
    one = made[0]["SnapshotId"]
    lock = there.lock_snapshot(SnapshotId=one, LockMode="governance", LockDuration=7)
    check.equal("it is locked", (lock["LockState"].removeprefix("pending-"), lock["LockDuration"]), ("governance", 7))
    check.refused("a locked snapshot is not deleted", 400, "SnapshotLocked",
                  there.delete_snapshot, SnapshotId=one)

with check.topic("security groups"):
    instance = ec2.describe_instances(InstanceIds=[rogue_id])["Reservations"][0]["Instances"][0]
    group = ec2.create_security_group(GroupName="by-hand", Description="nothing in, nothing out", VpcId=instance["VpcId"])["GroupId"]
    rules = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
    check.equal("a new group lets everything out", rules["IpPermissionsEgress"][0]["IpRanges"][0]["CidrIp"], "0.0.0.0/0")
    check.refused("its name is taken", 400, "InvalidGroup.Duplicate", ec2.create_security_group, "by-hand",
                  GroupName="by-hand", Description="again", VpcId=instance["VpcId"])
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=rules["IpPermissionsEgress"])
    emptied = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
    check.equal("now nothing", emptied["IpPermissionsEgress"], [])
    interface = instance["NetworkInterfaces"][0]["NetworkInterfaceId"]
    ec2.modify_network_interface_attribute(NetworkInterfaceId=interface, Groups=[group])
    seen = ec2.describe_network_interfaces(NetworkInterfaceIds=[interface])["NetworkInterfaces"][0]
    check.equal("the interface is in it", [g["GroupId"] for g in seen["Groups"]], [group])
    check.refused("a group in use is not deleted", 400, "DependencyViolation", ec2.delete_security_group, GroupId=group)

with check.topic("keys"):
    iam, user = ir.client("iam"), facts["compromised_user"]
    keys = {k["AccessKeyId"]: k["Status"] for k in iam.list_access_keys(UserName=user)["AccessKeyMetadata"]}
    stolen = ready["credentials"]["attacker"]["access_key_id"]
    check.equal("both keys are active", keys, {facts["leaked_key"]: "Active", stolen: "Active"})
    check.equal("its owner", iam.get_access_key_last_used(AccessKeyId=stolen)["UserName"], user)
    check.refused("a third key", 409, "LimitExceeded", iam.create_access_key, UserName=user)
    check.refused("a user who does not exist", 404, "NoSuchEntity", iam.get_user, "nobody", UserName="nobody")
    check.refused("a key that is another's", 404, "NoSuchEntity", iam.update_access_key, stolen,
                  UserName=facts["framed_user"], AccessKeyId=stolen, Status="Inactive")
    check.true("the attacker is still in", attacker.client("sts").get_caller_identity()["Arn"].endswith(user))
    iam.update_access_key(UserName=user, AccessKeyId=stolen, Status="Inactive")
    keys = {k["AccessKeyId"]: k["Status"] for k in iam.list_access_keys(UserName=user)["AccessKeyMetadata"]}
    check.equal("one is inactive", keys, {facts["leaked_key"]: "Active", stolen: "Inactive"})

    def is_out():
        try:
            attacker.client("sts").get_caller_identity()
        except ClientError:
            return True
        return False

    time.until("IAM makes the key's end known", is_out)
    check.refused("an inactive key, STS", 403, "InvalidClientTokenId", attacker.client("sts").get_caller_identity,
                  "The security token included in the request is invalid")
    check.refused("an inactive key, IAM", 403, "InvalidClientTokenId", attacker.client("iam").list_users)
    check.refused("an inactive key, EC2", 401, "AuthFailure", attacker.client("ec2").describe_instances,
                  "AWS was not able to validate the provided access credentials")
    check.refused("an inactive key, S3", 403, "InvalidAccessKeyId", attacker.client("s3").list_buckets)
    check.refused("an inactive key, Organizations", 400, "UnrecognizedClientException",
                  attacker.client("organizations").describe_organization)
    iam.update_access_key(UserName=user, AccessKeyId=stolen, Status="Active")
    time.until("IAM makes the key's return known", lambda: not is_out())

with check.topic("a deny, by hand"):
    check.true("the attacker looks around", attacker.client("ec2", region).describe_instances()["Reservations"])
    iam.attach_user_policy(UserName=user, PolicyArn="arn:aws:iam::aws:policy/AWSDenyAll")
    held = [p["PolicyName"] for p in iam.list_attached_user_policies(UserName=user)["AttachedPolicies"]]
    check.true("it is attached", "AWSDenyAll" in held)

    def code(call, **parameters):
        try:
            call(**parameters)
        except ClientError as error:
            return error.response["Error"]["Code"]
        return None

    time.until("the deny is in force", lambda: code(attacker.client("ec2", region).describe_instances) is not None)
    check.refused("EC2 denies", 403, "UnauthorizedOperation", attacker.client("ec2", region).describe_instances,
                  "ec2:DescribeInstances", "explicit deny in an identity-based policy")
    check.refused("IAM denies", 403, "AccessDenied", attacker.client("iam").list_users, "iam:ListUsers",
                  "explicit deny in an identity-based policy")
    check.refused("S3 denies", 403, "AccessDenied", attacker.client("s3").list_buckets)
    check.refused("JSON services deny", 400, "AccessDeniedException", attacker.client("cloudtrail").lookup_events,
                  "cloudtrail:LookupEvents")
    check.true("GetCallerIdentity needs no permission", attacker.client("sts").get_caller_identity()["Account"])
    iam.detach_user_policy(UserName=user, PolicyArn="arn:aws:iam::aws:policy/AWSDenyAll")
    check.refused("it is no longer attached", 404, "NoSuchEntity", iam.detach_user_policy,
                  UserName=user, PolicyArn="arn:aws:iam::aws:policy/AWSDenyAll")
    time.until("the deny is gone", lambda: code(attacker.client("ec2", region).describe_instances) is None)

with check.topic("sessions that outlive their key, in the event history"):
    sts = attacker.client("sts", region)
    made = {"GetSessionToken": sts.get_session_token()["Credentials"],
            "GetFederationToken": sts.get_federation_token(Name="night")["Credentials"]}
    check.refused("a session does not make another", 403, "AccessDenied",
                  Caller(ready["endpoint"], made["GetFederationToken"]["AccessKeyId"],
                         made["GetFederationToken"]["SecretAccessKey"], region=region,
                         session_token=made["GetFederationToken"]["SessionToken"]).client("sts").get_federation_token, Name="again")
    token = made["GetSessionToken"]
    session = Caller(ready["endpoint"], token["AccessKeyId"], token["SecretAccessKey"], region=region,
                     session_token=token["SessionToken"])
    check.refused("without a device a session is not for IAM", 403, "InvalidClientTokenId", session.client("iam").list_users)
    check.refused("nor for most of STS", 403, "AccessDenied", session.client("sts").get_access_key_info,
                  AccessKeyId=token["AccessKeyId"])
    check.true("but for EC2", "Reservations" in session.client("ec2", region).describe_instances())
    history = ir.client("cloudtrail", region).lookup_events(
        LookupAttributes=[{"AttributeKey": "AccessKeyId", "AttributeValue": ready["credentials"]["attacker"]["access_key_id"]}])
    records = {event["EventName"]: json.loads(event["CloudTrailEvent"]) for event in history["Events"]}
    for name, credentials in made.items():
        told = records[name]["responseElements"]["credentials"]
        check.equal(f"{name}: the key is told", told["accessKeyId"], credentials["AccessKeyId"])
        check.true(f"{name}: its secret is not", credentials["SecretAccessKey"] not in json.dumps(records[name]))

with check.topic("other credentials of a user"):
    certificate = iam.upload_signing_certificate(
        UserName=user, CertificateBody="-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----")["Certificate"]
    iam.update_signing_certificate(UserName=user, CertificateId=certificate["CertificateId"], Status="Inactive")
    held = iam.list_signing_certificates(UserName=user)["Certificates"]
    check.equal("a certificate is off", [one["Status"] for one in held], ["Inactive"])
    key = iam.upload_ssh_public_key(UserName=user, SSHPublicKeyBody="ssh-rsa AAAA")["SSHPublicKey"]
    iam.update_ssh_public_key(UserName=user, SSHPublicKeyId=key["SSHPublicKeyId"], Status="Inactive")
    check.equal("an SSH key is off", [one["Status"] for one in iam.list_ssh_public_keys(UserName=user)["SSHPublicKeys"]], ["Inactive"])
    api_key = iam.create_service_specific_credential(UserName=user, ServiceName="bedrock.amazonaws.com")["ServiceSpecificCredential"]
    check.true("a Bedrock key has an alias and a secret", api_key["ServiceCredentialAlias"] and api_key["ServiceCredentialSecret"])
    iam.update_service_specific_credential(
        UserName=user, ServiceSpecificCredentialId=api_key["ServiceSpecificCredentialId"], Status="Inactive")
    held = iam.list_service_specific_credentials(AllUsers=True, ServiceName="bedrock.amazonaws.com")["ServiceSpecificCredentials"]
    check.equal("it is off", [(one["UserName"], one["Status"]) for one in held], [(user, "Inactive")])
    serial = f"arn:aws:iam::{development}:mfa/phone"
    check.refused("a device without codes", 403, "InvalidAuthenticationCode", iam.enable_mfa_device,
                  UserName=user, SerialNumber=serial, AuthenticationCode1="abcdef", AuthenticationCode2="abcdef")
    iam.enable_mfa_device(UserName=user, SerialNumber=serial, AuthenticationCode1="123456", AuthenticationCode2="654321")
    check.equal("a device", [one["SerialNumber"] for one in iam.list_mfa_devices(UserName=user)["MFADevices"]], [serial])
    iam.deactivate_mfa_device(UserName=user, SerialNumber=serial)
    check.refused("a device that is not enabled", 404, "NoSuchEntity", iam.deactivate_mfa_device,
                  UserName=user, SerialNumber=serial)

with check.topic("identity providers"):
    iam = ir.client("iam")
    document = f"<EntityDescriptor entityID='https://idp.example.com'>{'MIIB' * 300}</EntityDescriptor>"
    check.refused("a document that is no metadata", 400, "InvalidInput", iam.create_saml_provider,
                  Name="other", SAMLMetadataDocument="x" * 1000)
    saml = iam.create_saml_provider(Name="corporate", SAMLMetadataDocument=document, Tags=[{"Key": "a", "Value": "b"}])["SAMLProviderArn"]
    check.equal("its name", saml, f"arn:aws:iam::{development}:saml-provider/corporate")
    got = iam.get_saml_provider(SAMLProviderArn=saml)
    check.equal("the document comes back", got["SAMLMetadataDocument"], document)
    check.equal("with its tags", got["Tags"], [{"Key": "a", "Value": "b"}])
    check.equal("it is listed", [one["Arn"] for one in iam.list_saml_providers()["SAMLProviderList"]], [saml])
    check.refused("the name is taken", 409, "EntityAlreadyExists", iam.create_saml_provider,
                  Name="corporate", SAMLMetadataDocument=document)
    iam.delete_saml_provider(SAMLProviderArn=saml)
    check.refused("it is gone", 404, "NoSuchEntity", iam.get_saml_provider, SAMLProviderArn=saml)
    oidc = iam.create_open_id_connect_provider(
        Url="https://token.example.com", ClientIDList=["sts.amazonaws.com"], ThumbprintList=["a" * 40])["OpenIDConnectProviderArn"]
    check.equal("the address is in the name", oidc, f"arn:aws:iam::{development}:oidc-provider/token.example.com")
    got = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=oidc)
    check.equal("what makes it", (got["Url"], got["ClientIDList"], got["ThumbprintList"]),
                ("token.example.com", ["sts.amazonaws.com"], ["a" * 40]))
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=oidc)
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=oidc)
    check.equal("none is left", iam.list_open_id_connect_providers()["OpenIDConnectProviderList"], [])

with check.topic("versions of a policy"):
    iam = ir.client("iam")
    document = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]})
    arn = iam.create_policy(PolicyName="readers", PolicyDocument=document)["Policy"]["Arn"]
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=document, SetAsDefault=True)
    check.equal("the new one is in force", iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"], "v2")
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    check.equal("and then the old one", iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"], "v1")
    user = iam.create_user(UserName="reader")["User"]["UserName"]
    iam.attach_user_policy(UserName=user, PolicyArn=arn)
    held = iam.list_entities_for_policy(PolicyArn=arn)
    check.equal("who has it", [[one["UserName"] for one in held["PolicyUsers"]], held["PolicyRoles"]], [[user], []])
    details = iam.get_account_authorization_details(Filter=["LocalManagedPolicy"])["Policies"]
    check.equal("how often", [one["AttachmentCount"] for one in details if one["Arn"] == arn], [1])
    iam.detach_user_policy(UserName=user, PolicyArn=arn)
    iam.delete_user(UserName=user)

with check.topic("a service control policy, by hand"):
    organizations = responder.client("organizations")
    root = organizations.list_roots()["Roots"][0]
    check.true("the type is enabled", {"Type": "SERVICE_CONTROL_POLICY", "Status": "ENABLED"} in root["PolicyTypes"])
    document = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*",
                       "Condition": {"ArnNotLike": {"aws:PrincipalArn": role("*")}}}],
    }
    scp = organizations.create_policy(Name="by-hand", Description="closed", Type="SERVICE_CONTROL_POLICY",
                                      Content=json.dumps(document))["Policy"]["PolicySummary"]["Id"]
    check.refused("a text that is no policy", 400, "MalformedPolicyDocumentException", organizations.create_policy,
                  Name="broken", Description="", Type="SERVICE_CONTROL_POLICY", Content="{}")
    check.refused("the name is taken", 400, "DuplicatePolicyException", organizations.create_policy,
                  Name="by-hand", Description="", Type="SERVICE_CONTROL_POLICY", Content=json.dumps(document))
    organizations.attach_policy(PolicyId=scp, TargetId=development)
    check.refused("attached twice", 400, "DuplicatePolicyAttachmentException", organizations.attach_policy,
                  PolicyId=scp, TargetId=development)
    on_it = organizations.list_policies_for_target(TargetId=development, Filter="SERVICE_CONTROL_POLICY")["Policies"]
    check.equal("beside AWS's own", {p["Name"] for p in on_it}, {"FullAWSAccess", "by-hand"})
    attacked = attacker.client("ec2", region)

    def closed():
        return code(attacked.describe_instances) is not None

    time.until("the policy is in force", closed)
    check.refused("the attacker is denied", 403, "UnauthorizedOperation", attacked.stop_instances,
                  "explicit deny in a service control policy", InstanceIds=[rogue_id])
    check.refused("with DryRun as well", 403, "UnauthorizedOperation", attacked.stop_instances, InstanceIds=[rogue_id], DryRun=True)
    check.refused("in IAM", 403, "AccessDenied", attacker.client("iam").list_users, "explicit deny in a service control policy")
    check.true("the exempt role goes on", ec2.describe_instances()["Reservations"])
    check.refused("it goes on with DryRun", 412, "DryRunOperation", ec2.stop_instances, InstanceIds=[rogue[0][1]], DryRun=True)
    check.refused("in use", 400, "PolicyInUseException", organizations.delete_policy, PolicyId=scp)
    organizations.detach_policy(PolicyId=scp, TargetId=development)
    check.refused("detached twice", 400, "PolicyNotAttachedException", organizations.detach_policy,
                  PolicyId=scp, TargetId=development)
    organizations.delete_policy(PolicyId=scp)
    check.refused("gone", 400, "PolicyNotFoundException", organizations.describe_policy, PolicyId=scp)
    check.refused("a member account makes no policies", 400, "AccessDeniedException", ir.client("organizations").create_policy,
                  Name="own", Description="", Type="SERVICE_CONTROL_POLICY", Content=json.dumps(document))
    names = {account["Id"]: account["Status"] for page in organizations.get_paginator("list_accounts").paginate()
             for account in page["Accounts"]}
    check.equal("every account is listed", names, dict.fromkeys([management, production, development], "ACTIVE"))

with check.topic("a resource control policy, by hand"):
    organizations = responder.client("organizations")
    kind = "RESOURCE_CONTROL_POLICY"
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}

    def resource_control(name, **other):
        document = {"Version": "2012-10-17", "Statement": [statement | other]}
        return {"Name": name, "Description": "", "Type": kind, "Content": json.dumps(document)}

    for words, other in (("it only denies", {"Effect": "Allow"}), ("it names services", {"Action": "*"}),
                         ("it binds everybody", {"Principal": {"AWS": development}})):
        time.forward(1)  # CreatePolicy: 2 calls per second
        check.refused(words, 400, "MalformedPolicyDocumentException", organizations.create_policy, **resource_control("x", **other))
    time.forward(1)
    rcp = organizations.create_policy(**resource_control("closed"))["Policy"]["PolicySummary"]
    check.equal("its type", rcp["Type"], kind)
    check.refused("while the type is off", 400, "PolicyTypeNotEnabledException", organizations.attach_policy,
                  PolicyId=rcp["Id"], TargetId=development)
    root = organizations.list_roots()["Roots"][0]["Id"]
    organizations.enable_policy_type(RootId=root, PolicyType=kind)
    organizations.attach_policy(PolicyId=rcp["Id"], TargetId=development)
    on_it = organizations.list_policies_for_target(TargetId=development, Filter=kind)["Policies"]
    check.equal("beside AWS's own", {p["Name"] for p in on_it}, {"RCPFullAWSAccess", "closed"})
    time.until("it is in force", lambda: code(ir.client("s3", "eu-central-1").list_buckets) is not None)
    check.refused("it binds the owner too", 403, "AccessDenied", ir.client("s3", "eu-central-1").list_buckets,
                  "explicit deny in a resource control policy")
    organizations.detach_policy(PolicyId=rcp["Id"], TargetId=development)
    organizations.delete_policy(PolicyId=rcp["Id"])
    time.until("and then not any more", lambda: code(ir.client("s3", "eu-central-1").list_buckets) is None)

with check.topic("the root user of a member"):
    iam, sts = responder.client("iam"), responder.client("sts")
    task = {"arn": "arn:aws:iam::aws:policy/root-task/IAMDeleteRootUserCredentials"}
    check.refused("before it is switched on", 403, "AccessDenied", sts.assume_root,
                  TargetPrincipal=development, TaskPolicyArn=task)
    check.refused("a member does not switch it on", 400, "AccountNotManagementOrDelegatedAdministratorException",
                  ir.client("iam").enable_organizations_root_sessions)
    iam.enable_organizations_root_credentials_management()
    iam.enable_organizations_root_sessions()
    check.equal("what is on", iam.list_organizations_features()["EnabledFeatures"],
                ["RootCredentialsManagement", "RootSessions"])
    check.refused("16 minutes are too many", 400, "ValidationError", sts.assume_root,
                  TargetPrincipal=development, TaskPolicyArn=task, DurationSeconds=960)
    check.refused("the management account itself", 403, "AccessDenied", sts.assume_root,
                  TargetPrincipal=management, TaskPolicyArn=task)
    made = sts.assume_root(TargetPrincipal=development, TaskPolicyArn=task)["Credentials"]
    root = Caller(ready["endpoint"], made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])
    check.equal("who it is", root.client("sts").get_caller_identity()["Arn"], f"arn:aws:iam::{development}:root")
    check.equal("its keys", root.client("iam").list_access_keys()["AccessKeyMetadata"], [])
    check.refused("no password", 404, "NoSuchEntity", root.client("iam").get_login_profile)
    check.refused("one task alone", 403, "AccessDenied", root.client("iam").list_users)
    check.refused("nothing of others", 403, "AccessDenied", root.client("iam").list_access_keys,
                  UserName=facts["compromised_user"])
    check.equal("the summary", ir.client("iam").get_account_summary()["SummaryMap"]["AccountAccessKeysPresent"], 0)

with check.topic("objects"):
    s3 = ir.client("s3", "eu-central-1")
    bucket = f"evidence-{development}"
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True,
                     CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    body = b"timeline\n" * 1000
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    until = datetime.now(timezone.utc) + timedelta(days=400)
    put = s3.put_object(Bucket=bucket, Key="case/timeline.txt", Body=body, ChecksumAlgorithm="SHA256",
                        ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until)
    check.equal("the checksum comes back", put["ChecksumSHA256"], digest)
    got = s3.get_object(Bucket=bucket, Key="case/timeline.txt", ChecksumMode="ENABLED")
    check.true("the object is what was put, without the wrapping", got["Body"].read() == body)
    check.equal("with its checksum", got["ChecksumSHA256"], digest)
    head = s3.head_object(Bucket=bucket, Key="case/timeline.txt")
    check.equal("it is locked", head["ObjectLockMode"], "COMPLIANCE")
    check.refused("a locked version is not deleted", 403, "AccessDenied", s3.delete_object,
                  Bucket=bucket, Key="case/timeline.txt", VersionId=put["VersionId"])
    marker = s3.delete_object(Bucket=bucket, Key="case/timeline.txt")
    check.true("a delete without a version leaves a marker", marker["DeleteMarker"])
    check.refused("behind it the object is hidden", 404, "NoSuchKey", s3.get_object, Bucket=bucket, Key="case/timeline.txt")
    kept = s3.get_object(Bucket=bucket, Key="case/timeline.txt", VersionId=put["VersionId"])
    check.true("and kept", kept["Body"].read() == body)
    wrong = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
    check.refused("a checksum of something else", 400, "BadDigest", s3.put_object, Bucket=bucket, Key="case/other", Body=b"x",
                  ChecksumSHA256=wrong)
    check.refused("no such bucket", 404, "NoSuchBucket", s3.get_object, Bucket="nobody-has-this", Key="x")

with check.topic("event history"):
    found = ir.client("cloudtrail").lookup_events(
        LookupAttributes=[{"AttributeKey": "AccessKeyId", "AttributeValue": facts["leaked_key"]}])["Events"]
    check.true("the leaked key's traces", any(event["EventName"] == "CreateAccessKey" for event in found))

with check.topic("the end of a stop"):
    def state():
        return ec2.describe_instances(InstanceIds=[rogue_id])["Reservations"][0]["Instances"][0]["State"]["Name"]

    time.until("the machine has stopped", lambda: state() == "stopped")
    starting = ec2.start_instances(InstanceIds=[rogue_id])["StartingInstances"][0]
    check.equal("it starts again", starting["CurrentState"]["Name"], "pending")

check.end()
