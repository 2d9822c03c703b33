"""boto3 in the simulated AWS: networks are cut off and opened again in AWS's own words.

Argument: the line that `quell sim` printed.
"""

import json
import sys

from asking import Caller, Checks, Time

ready = json.loads(sys.argv[1])
development = ready["accounts"]["development"]
responder = Caller(ready["endpoint"], **ready["credentials"]["responder"], region=ready["region"])
role = f"arn:aws:iam::{development}:role/ir/IRResponder"
ec2 = responder.assume(role).client("ec2", "eu-central-1")
check, time = Checks(), Time(ready["endpoint"])
vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
subnet = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"][0]["SubnetId"]


def standing():
    """The network ACL before the subnet, and the id of the association."""
    acl = ec2.describe_network_acls(Filters=[{"Name": "association.subnet-id", "Values": [subnet]}])["NetworkAcls"][0]
    association = next(a for a in acl["Associations"] if a["SubnetId"] == subnet)
    return acl["NetworkAclId"], association["NetworkAclAssociationId"]


with check.topic("network ACLs"):
    own, association = standing()
    made = ec2.create_network_acl(VpcId=vpc, TagSpecifications=[
        {"ResourceType": "network-acl", "Tags": [{"Key": "quell:case", "Value": "by hand"}]}])["NetworkAcl"]
    check.equal("a new one denies everything", {(e["RuleAction"], e["Egress"]) for e in made["Entries"]},
                {("deny", True), ("deny", False)})
    new = ec2.replace_network_acl_association(AssociationId=association, NetworkAclId=made["NetworkAclId"])
    check.equal("it stands before the subnet, under a new association", standing(),
                (made["NetworkAclId"], new["NewAssociationId"]))
    check.refused("the old association is gone", 400, "InvalidAssociationID.NotFound", ec2.replace_network_acl_association,
                  AssociationId=association, NetworkAclId=own)
    check.refused("one in use is not deleted", 400, "DependencyViolation", ec2.delete_network_acl,
                  NetworkAclId=made["NetworkAclId"])
    check.refused("nor is the VPC's own", 400, "InvalidParameterValue", ec2.delete_network_acl, NetworkAclId=own)
    ec2.create_network_acl_entry(NetworkAclId=made["NetworkAclId"], RuleNumber=7, Protocol="-1", RuleAction="allow",
                                 Egress=True, CidrBlock="0.0.0.0/0")
    ec2.delete_network_acl_entry(NetworkAclId=made["NetworkAclId"], RuleNumber=7, Egress=True)
    check.refused("a rule goes once", 400, "InvalidNetworkAclEntry.NotFound", ec2.delete_network_acl_entry,
                  NetworkAclId=made["NetworkAclId"], RuleNumber=7, Egress=True)
    ec2.replace_network_acl_association(AssociationId=standing()[1], NetworkAclId=own)
    ec2.delete_network_acl(NetworkAclId=made["NetworkAclId"])
    check.refused("deleted", 400, "InvalidNetworkAclID.NotFound", ec2.describe_network_acls,
                  NetworkAclIds=[made["NetworkAclId"]])

with check.topic("Block Public Access"):
    def options():
        return ec2.describe_vpc_block_public_access_options()["VpcBlockPublicAccessOptions"]

    check.equal("off at first", (options()["InternetGatewayBlockMode"], options()["State"]), ("off", "default-state"))
    check.refused("a mode that there is not", 400, "InvalidParameterValue", ec2.modify_vpc_block_public_access_options,
                  InternetGatewayBlockMode="closed")
    ec2.modify_vpc_block_public_access_options(InternetGatewayBlockMode="block-bidirectional")
    check.equal("not to be seen at once", options()["State"], "default-state")
    time.forward(4)
    check.equal("then under way", (options()["InternetGatewayBlockMode"], options()["State"]),
                ("block-bidirectional", "update-in-progress"))
    check.equal("by whom", options()["ManagedBy"], "account")
    reader = responder.assume(role, Policy=json.dumps({
        "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"}]}))
    check.refused("not by one who may only read", 403, "UnauthorizedOperation",
                  reader.client("ec2", "eu-central-1").modify_vpc_block_public_access_options,
                  InternetGatewayBlockMode="off")
    check.refused("an exclusion of two things", 400, "InvalidParameterCombination",
                  ec2.create_vpc_block_public_access_exclusion, VpcId=vpc, SubnetId=subnet,
                  InternetGatewayExclusionMode="allow-egress")
    hole = ec2.create_vpc_block_public_access_exclusion(SubnetId=subnet, InternetGatewayExclusionMode="allow-egress")
    hole = hole["VpcBlockPublicAccessExclusion"]
    check.equal("an exclusion begins", (hole["State"], hole["ResourceArn"].endswith(f":subnet/{subnet}")),
                ("create-in-progress", True))
    listed = ec2.describe_vpc_block_public_access_exclusions()["VpcBlockPublicAccessExclusions"]
    check.equal("and is listed", [e["ExclusionId"] for e in listed], [hole["ExclusionId"]])
    ec2.delete_vpc_block_public_access_exclusion(ExclusionId=hole["ExclusionId"])
    check.equal("and goes", ec2.describe_vpc_block_public_access_exclusions()["VpcBlockPublicAccessExclusions"], [])
    ec2.modify_vpc_block_public_access_options(InternetGatewayBlockMode="off")

check.end()
