"""boto3 in the simulated AWS: IAM Identity Center, which answers in one region, and IAM Roles Anywhere, which moto lacks.

Argument: the line that `quell sim` printed.
"""

import json
import sys
import time

from asking import Caller, Checks

ready = json.loads(sys.argv[1])
development = ready["accounts"]["development"]
responder = Caller(ready["endpoint"], **ready["credentials"]["responder"], region=ready["region"])
inside = responder.assume(f"arn:aws:iam::{development}:role/ir/IRResponder")
admin, store = responder.client("sso-admin", "eu-central-1"), responder.client("identitystore", "eu-central-1")
check = Checks()

with check.topic("The instance"):
    elsewhere = responder.client("sso-admin", "us-east-1")
    check.equal("none in another region", elsewhere.list_instances()["Instances"], [])
    [instance] = elsewhere.list_instances(RegionScope="ALL_REGIONS")["Instances"]
    check.equal("its region", instance["PrimaryRegion"], "eu-central-1")
    check.equal("its owner", instance["OwnerAccountId"], ready["accounts"]["management"])
    [seen] = inside.client("sso-admin", "eu-central-1").list_instances()["Instances"]
    check.equal("a member account sees it", seen["InstanceArn"], instance["InstanceArn"])
    check.refused("and administers nothing", 400, "AccessDeniedException",
                  inside.client("sso-admin", "eu-central-1").list_permission_sets, InstanceArn=instance["InstanceArn"])
    check.refused("nor does anybody in another region", 400, "AccessDeniedException", elsewhere.list_permission_sets,
                  InstanceArn=instance["InstanceArn"])

arn, directory = instance["InstanceArn"], {"IdentityStoreId": instance["IdentityStoreId"]}

with check.topic("Users and groups"):
    eve = store.create_user(**directory, UserName="eve", DisplayName="Eve", Name={"GivenName": "E", "FamilyName": "V"})["UserId"]
    check.refused("once", 400, "ConflictException", store.create_user, **directory, UserName="eve", DisplayName="Eve",
                  Name={"GivenName": "E", "FamilyName": "V"})
    by_name = {"UniqueAttribute": {"AttributePath": "userName", "AttributeValue": "eve"}}
    check.equal("by name", store.get_user_id(**directory, AlternateIdentifier=by_name)["UserId"], eve)
    groups = [store.create_group(**directory, DisplayName=f"group-{n}")["GroupId"] for n in range(3)]
    made = store.create_group_membership(**directory, GroupId=groups[0], MemberId={"UserId": eve})["MembershipId"]
    store.create_group_membership(**directory, GroupId=groups[1], MemberId={"UserId": eve})
    pages = store.get_paginator("list_group_memberships_for_member").paginate(
        **directory, MemberId={"UserId": eve}, PaginationConfig={"PageSize": 1})
    check.equal("by pages of one", sorted(m["GroupId"] for page in pages for m in page["GroupMemberships"]), sorted(groups[:2]))
    found = store.get_group_membership_id(**directory, GroupId=groups[0], MemberId={"UserId": eve})["MembershipId"]
    check.equal("its id", found, made)
    store.delete_group_membership(**directory, MembershipId=made)
    check.refused("gone", 400, "ResourceNotFoundException", store.get_group_membership_id, **directory, GroupId=groups[0],
                  MemberId={"UserId": eve})
    again = store.create_group_membership(**directory, GroupId=groups[0], MemberId={"UserId": eve})["MembershipId"]
    check.true("another id when it is made again", again != made)

with check.topic("Assignments"):
    permission_set = admin.create_permission_set(InstanceArn=arn, Name="Admin")["PermissionSet"]["PermissionSetArn"]
    triple = {"InstanceArn": arn, "TargetId": development, "TargetType": "AWS_ACCOUNT", "PermissionSetArn": permission_set,
              "PrincipalType": "USER", "PrincipalId": eve}
    of_account = {"InstanceArn": arn, "AccountId": development, "PermissionSetArn": permission_set}
    check.refused("nothing to delete", 400, "ResourceNotFoundException", admin.delete_account_assignment, **triple)
    status = admin.create_account_assignment(**triple)["AccountAssignmentCreationStatus"]
    check.equal("under way", status["Status"], "IN_PROGRESS")
    check.equal("and not there yet", admin.list_account_assignments(**of_account)["AccountAssignments"], [])
    check.refused("one at a time", 400, "ConflictException", admin.create_account_assignment, **triple)
    time.sleep(5)
    request = {"InstanceArn": arn, "AccountAssignmentCreationRequestId": status["RequestId"]}
    done = admin.describe_account_assignment_creation_status(**request)["AccountAssignmentCreationStatus"]
    check.equal("done", done["Status"], "SUCCEEDED")
    sets = admin.list_permission_sets_provisioned_to_account(InstanceArn=arn, AccountId=development)["PermissionSets"]
    check.equal("provisioned", sets, [permission_set])
    status = admin.delete_account_assignment(**triple)["AccountAssignmentDeletionStatus"]
    time.sleep(5)
    request = {"InstanceArn": arn, "AccountAssignmentDeletionRequestId": status["RequestId"]}
    done = admin.describe_account_assignment_deletion_status(**request)["AccountAssignmentDeletionStatus"]
    check.equal("gone", (done["Status"], admin.list_account_assignments(**of_account)["AccountAssignments"]), ("SUCCEEDED", []))

with check.topic("Roles Anywhere"):
    anywhere = inside.client("rolesanywhere", "eu-west-1")
    source = {"sourceType": "CERTIFICATE_BUNDLE", "sourceData": {"x509CertificateData": "-----BEGIN CERTIFICATE-----"}}
    made = anywhere.create_trust_anchor(name="mine", source=source, enabled=True, tags=[{"key": "owner", "value": "web"}])
    anchor = made["trustAnchor"]
    check.refused("one request a second", 400, "ThrottlingException", anywhere.list_trust_anchors)
    time.sleep(1.1)
    check.equal("off", anywhere.disable_trust_anchor(trustAnchorId=anchor["trustAnchorId"])["trustAnchor"]["enabled"], False)
    tags = anywhere.list_tags_for_resource(resourceArn=anchor["trustAnchorArn"])["tags"]
    check.equal("its tags", tags, [{"key": "owner", "value": "web"}])
    roles = [f"arn:aws:iam::{development}:role/ir/IRResponder"]
    profile = anywhere.create_profile(name="way-in", roleArns=roles, enabled=True)["profile"]
    time.sleep(1.1)
    check.equal("its roles", [p["roleArns"] for p in anywhere.list_profiles()["profiles"]], [roles])
    time.sleep(1.1)
    check.refused("an anchor is no profile", 404, "ResourceNotFoundException", anywhere.disable_profile,
                  profileId=anchor["trustAnchorId"])
    check.refused("the duty user without the role", 403, "AccessDeniedException",
                  responder.client("rolesanywhere", "eu-west-1").list_trust_anchors)

check.end()
