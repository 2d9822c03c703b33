"""boto3 in the simulated AWS: what launches machines again does so, until it is made to stand still in its own words.

Argument: the line that `quell sim` printed.
"""

import json
import sys

from asking import Caller, Checks, Time

ready = json.loads(sys.argv[1])
development = ready["accounts"]["development"]
responder = Caller(ready["endpoint"], **ready["credentials"]["responder"], region=ready["region"])
inside = responder.assume(f"arn:aws:iam::{development}:role/ir/IRResponder")
ec2, scaling = inside.client("ec2", "eu-central-1"), inside.client("autoscaling", "eu-central-1")
check, time = Checks(), Time(ready["endpoint"])


def up(tag, value):
    """The machines with a tag that run or are about to."""
    filters = [{"Name": f"tag:{tag}", "Values": [value]}, {"Name": "instance-state-name", "Values": ["pending", "running"]}]
    pages = ec2.get_paginator("describe_instances").paginate(Filters=filters)
    return [instance["InstanceId"] for page in pages for held in page["Reservations"] for instance in held["Instances"]]


image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
ec2.create_launch_template(LaunchTemplateName="again", LaunchTemplateData={"ImageId": image, "InstanceType": "c5.large"})
template = [{"LaunchTemplateSpecification": {"LaunchTemplateName": "again", "Version": "$Default"}}]

with check.topic("an EC2 Fleet"):
    fleet = ec2.create_fleet(LaunchTemplateConfigs=template, Type="maintain", TargetCapacitySpecification={
        "TotalTargetCapacity": 2, "DefaultTargetCapacityType": "spot"})["FleetId"]
    first = up("aws:ec2:fleet-id", fleet)
    check.equal("it launches its capacity", len(first), 2)
    check.refused("its Spot machines cannot be stopped", 400, "UnsupportedOperation", ec2.stop_instances, InstanceIds=first)
    ec2.terminate_instances(InstanceIds=first[:1])
    check.equal("it replaces what ends", len(up("aws:ec2:fleet-id", fleet)), 2)
    none = {"TotalTargetCapacity": 0}
    check.refused("the other fleet's spelling", 400, "InvalidParameterValue", ec2.modify_fleet, FleetId=fleet,
                  TargetCapacitySpecification=none, ExcessCapacityTerminationPolicy="noTermination")
    ec2.modify_fleet(FleetId=fleet, TargetCapacitySpecification=none, ExcessCapacityTerminationPolicy="no-termination")
    shown = ec2.describe_fleets(FleetIds=[fleet])["Fleets"][0]
    check.equal("its capacity", shown["TargetCapacitySpecification"]["TotalTargetCapacity"], 0)
    check.equal("its policy", shown["ExcessCapacityTerminationPolicy"], "no-termination")
    rest = up("aws:ec2:fleet-id", fleet)
    check.equal("its machines go on", len(rest), 2)
    ec2.terminate_instances(InstanceIds=rest)
    check.equal("and are not replaced", up("aws:ec2:fleet-id", fleet), [])
    gone = ec2.delete_fleets(FleetIds=[fleet], TerminateInstances=False)["SuccessfulFleetDeletions"][0]
    check.equal("deleted", (gone["PreviousFleetState"], gone["CurrentFleetState"]), ("active", "deleted_running"))
    check.refused("and not to be modified", 400, "FleetNotInModifiableState", ec2.modify_fleet, FleetId=fleet,
                  TargetCapacitySpecification=none)

with check.topic("an instant EC2 Fleet"):
    made = ec2.create_fleet(LaunchTemplateConfigs=template, Type="instant", TargetCapacitySpecification={
        "TotalTargetCapacity": 1, "DefaultTargetCapacityType": "on-demand"})
    check.equal("it names what it launched", len(made["Instances"][0]["InstanceIds"]), 1)
    check.true("it is not listed", made["FleetId"] not in [f["FleetId"] for f in ec2.describe_fleets()["Fleets"]])
    kept = ec2.delete_fleets(FleetIds=[made["FleetId"]], TerminateInstances=False)
    check.equal("it does not go without its machines", len(kept["UnsuccessfulFleetDeletions"]), 1)
    ec2.delete_fleets(FleetIds=[made["FleetId"]], TerminateInstances=True)
    check.equal("and they go with it", up("aws:ec2:fleet-id", made["FleetId"]), [])

with check.topic("a Spot Fleet"):
    config = {"IamFleetRole": f"arn:aws:iam::{development}:role/fleet", "TargetCapacity": 2, "LaunchTemplateConfigs": template}
    fleet = ec2.request_spot_fleet(SpotFleetRequestConfig=config)["SpotFleetRequestId"]
    first = up("aws:ec2spot:fleet-request-id", fleet)
    check.equal("it launches its capacity", len(first), 2)
    ec2.terminate_instances(InstanceIds=first[:1])
    check.equal("it replaces what ends", len(up("aws:ec2spot:fleet-request-id", fleet)), 2)
    ec2.modify_spot_fleet_request(SpotFleetRequestId=fleet, TargetCapacity=0, ExcessCapacityTerminationPolicy="noTermination")
    shown = ec2.describe_spot_fleet_requests(SpotFleetRequestIds=[fleet])["SpotFleetRequestConfigs"][0]
    check.equal("its type, when none was named", shown["SpotFleetRequestConfig"]["Type"], "maintain")
    check.equal("its capacity", shown["SpotFleetRequestConfig"]["TargetCapacity"], 0)
    check.equal("its machines go on", len(up("aws:ec2spot:fleet-request-id", fleet)), 2)
    gone = ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet], TerminateInstances=True)
    check.equal("cancelled", gone["SuccessfulFleetRequests"][0]["CurrentSpotFleetRequestState"], "cancelled_terminating")
    check.equal("with its machines", up("aws:ec2spot:fleet-request-id", fleet), [])

with check.topic("an Auto Scaling group"):
    scaling.create_auto_scaling_group(
        AutoScalingGroupName="again", MinSize=0, MaxSize=2, DesiredCapacity=2, AvailabilityZones=["eu-central-1a"],
        LaunchTemplate={"LaunchTemplateName": "again", "Version": "$Default"})
    time.until("its members", lambda: len(scaling.describe_auto_scaling_instances()["AutoScalingInstances"]), 2)
    scaling.suspend_processes(AutoScalingGroupName="again")
    suspended = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=["again"])["AutoScalingGroups"][0]
    check.equal("everything is suspended", len(suspended["SuspendedProcesses"]), 9)
    members = up("aws:autoscaling:groupName", "again")
    ec2.terminate_instances(InstanceIds=members)
    check.equal("nothing is launched", up("aws:autoscaling:groupName", "again"), [])
    scaling.resume_processes(AutoScalingGroupName="again")
    check.equal("until it is resumed", len(up("aws:autoscaling:groupName", "again")), 2)
    check.refused("it rests after an activity, where that is asked for", 400, "ScalingActivityInProgress",
                  scaling.set_desired_capacity, AutoScalingGroupName="again", DesiredCapacity=1, HonorCooldown=True)
    scaling.update_auto_scaling_group(AutoScalingGroupName="again", DesiredCapacity=0,
                                      DeletionProtection="prevent-all-deletion")
    check.equal("it is protected", scaling.describe_auto_scaling_groups(AutoScalingGroupNames=["again"])[
        "AutoScalingGroups"][0]["DeletionProtection"], "prevent-all-deletion")
    check.refused("so it is not deleted", 400, "ValidationError", scaling.delete_auto_scaling_group,
                  AutoScalingGroupName="again", ForceDelete=True)
    scaling.update_auto_scaling_group(AutoScalingGroupName="again", DeletionProtection="none")
    check.refused("nor while its machines end", 400, "ScalingActivityInProgress", scaling.delete_auto_scaling_group,
                  AutoScalingGroupName="again")
    scaling.delete_auto_scaling_group(AutoScalingGroupName="again", ForceDelete=True)
    check.equal("it is gone", scaling.describe_auto_scaling_groups()["AutoScalingGroups"], [])

with check.topic("who may launch"):
    def only(*actions):
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
        role = f"arn:aws:iam::{development}:role/ir/IRResponder"
        return responder.assume(role, Policy=json.dumps(policy))

    capacity = {"TotalTargetCapacity": 1, "DefaultTargetCapacityType": "spot"}
    wanted = {"LaunchTemplateConfigs": template, "Type": "maintain", "TargetCapacitySpecification": capacity}
    check.refused("a fleet launches as its caller", 403, "UnauthorizedOperation",
                  only("ec2:CreateFleet").client("ec2", "eu-central-1").create_fleet, "ec2:RunInstances", **wanted)
    made = only("ec2:CreateFleet", "ec2:RunInstances").client("ec2", "eu-central-1").create_fleet(**wanted)
    ec2.delete_fleets(FleetIds=[made["FleetId"]], TerminateInstances=True)
    check.refused("so does whoever makes a group of a template", 403, "AccessDenied",
                  only("autoscaling:*").client("autoscaling", "eu-central-1").create_auto_scaling_group, "ec2:RunInstances",
                  AutoScalingGroupName="other", MinSize=0, MaxSize=1, AvailabilityZones=["eu-central-1a"],
                  LaunchTemplate={"LaunchTemplateName": "again", "Version": "$Default"})

with check.topic("launch templates and capacity reservations"):
    found = ec2.describe_launch_template_versions(Versions=["$Default"])["LaunchTemplateVersions"]
    check.equal("the default versions of all templates", [v["LaunchTemplateName"] for v in found], ["again"])
    check.refused("all versions need a template", 400, "MissingParameter", ec2.describe_launch_template_versions)
    made = ec2.create_capacity_reservation(
        InstanceType="p5.48xlarge", InstancePlatform="Linux/UNIX", AvailabilityZone="eu-central-1b", InstanceCount=3,
        InstanceMatchCriteria="targeted", TagSpecifications=[
            {"ResourceType": "capacity-reservation", "Tags": [{"Key": "a", "Value": "b"}]}])["CapacityReservation"]
    check.equal("reserved", (made["State"], made["TotalInstanceCount"], made["Tags"]),
                ("active", 3, [{"Key": "a", "Value": "b"}]))
    ec2.cancel_capacity_reservation(CapacityReservationId=made["CapacityReservationId"])
    listed = ec2.describe_capacity_reservations(Filters=[{"Name": "state", "Values": ["cancelled"]}])["CapacityReservations"]
    check.equal("cancelled", [r["CapacityReservationId"] for r in listed], [made["CapacityReservationId"]])
    check.refused("an unknown one", 400, "InvalidCapacityReservationId.NotFound", ec2.cancel_capacity_reservation,
                  CapacityReservationId="cr-0123456789abcdef0")

check.end()
