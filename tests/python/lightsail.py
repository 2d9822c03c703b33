"""boto3 in the simulated AWS: Lightsail instances and container services, as AWS's API reference has them.

moto does not know Lightsail, so nothing but the reference vouches for the simulator here.

Argument: the line that `quell sim` printed.
"""

import json
import sys

from botocore.exceptions import ConnectionClosedError, EndpointConnectionError

from asking import Caller, Checks, Time

ready = json.loads(sys.argv[1])
development = ready["accounts"]["development"]
responder = Caller(ready["endpoint"], **ready["credentials"]["responder"], region=ready["region"])
inside = responder.assume(f"arn:aws:iam::{development}:role/ir/IRResponder")
lightsail = inside.client("lightsail", "eu-central-1")
check, time = Checks(), Time(ready["endpoint"])
machine = {"availabilityZone": "eu-central-1a", "blueprintId": "ubuntu_22_04", "bundleId": "2xlarge_3_0"}


def state():
    return lightsail.get_instance(instanceName="miner")["instance"]["state"]["name"]


def service():
    return lightsail.get_container_services(serviceName="miner")["containerServices"][0]


with check.topic("instances"):
    made = lightsail.create_instances(instanceNames=["miner", "shop"], tags=[{"key": "owner", "value": "web"}], **machine)
    check.equal("an operation each", [o["resourceName"] for o in made["operations"]], ["miner", "shop"])
    check.equal("of this type", {o["operationType"] for o in made["operations"]}, {"CreateInstance"})
    check.refused("a name that is taken", 400, "InvalidInputException", lightsail.create_instances,
                  instanceNames=["miner"], **machine)
    check.refused("a zone of another region", 400, "InvalidInputException", lightsail.create_instances,
                  instanceNames=["other"], **(machine | {"availabilityZone": "us-east-1a"}))
    check.refused("more than the quota", 400, "InvalidInputException", lightsail.create_instances, "maximum limit",
                  instanceNames=[f"miner-{n}" for n in range(30)], **machine)
    check.refused("a stop before it runs", 400, "OperationFailureException", lightsail.stop_instance, instanceName="miner")
    time.until("the instance", state, "running")
    shown = {i["name"]: i for i in lightsail.get_instances()["instances"]}
    check.equal("all of them", sorted(shown), ["miner", "shop"])
    check.equal("its size", shown["miner"]["hardware"]["cpuCount"], 8)
    check.equal("its tags", shown["miner"]["tags"], [{"key": "owner", "value": "web"}])
    check.contains("its ARN", shown["miner"]["arn"], f"arn:aws:lightsail:eu-central-1:{development}:Instance/")
    lightsail.stop_instance(instanceName="miner")
    check.equal("it takes a moment", state(), "stopping")
    time.until("the instance", state, "stopped")
    check.true("without an address", "publicIpAddress" not in lightsail.get_instance(instanceName="miner")["instance"])
    check.refused("a second stop", 400, "OperationFailureException", lightsail.stop_instance, instanceName="miner")
    lightsail.start_instance(instanceName="miner")
    time.until("the instance", state, "running")
    check.true("with another address", lightsail.get_instance(instanceName="miner")["instance"]["publicIpAddress"]
               != shown["miner"]["publicIpAddress"])
    check.refused("one that is not there", 404, "NotFoundException", lightsail.stop_instance, instanceName="nobody")

with check.topic("container services"):
    lightsail.create_container_service(serviceName="miner", power="xlarge", scale=20)
    check.refused("more nodes than there may be", 400, "InvalidInputException", lightsail.create_container_service,
                  serviceName="big", power="xlarge", scale=21)
    time.until("the service", lambda: service()["state"], "READY")
    lightsail.create_container_service_deployment(serviceName="miner", containers={"xmrig": {"image": "xmrig"}})
    check.refused("a change meanwhile", 400, "InvalidInputException", lightsail.update_container_service,
                  serviceName="miner", isDisabled=True)
    time.until("the service", lambda: service()["state"], "RUNNING")
    check.equal("its image", service()["currentDeployment"]["containers"]["xmrig"]["image"], "xmrig")
    lightsail.update_container_service(serviceName="miner", isDisabled=True)
    check.equal("at once", service()["isDisabled"], True)
    time.until("the service", lambda: service()["state"], "DISABLED")
    lightsail.update_container_service(serviceName="miner", isDisabled=False)
    time.until("the service", lambda: service()["state"], "RUNNING")
    check.refused("one that is not there", 404, "NotFoundException", lightsail.get_container_services, serviceName="nobody")

with check.topic("its own regions"):
    names = {region["name"] for region in lightsail.get_regions()["regions"]}
    check.true("Frankfurt is one", "eu-central-1" in names)
    check.true("Milan is not", "eu-south-1" not in names)
    try:
        inside.client("lightsail", "eu-south-1").get_instances()
        check.true("there is no endpoint", False)
    except (ConnectionClosedError, EndpointConnectionError):
        check.true("there is no endpoint", True)

with check.topic("who may"):
    iam = inside.client("iam")
    iam.create_user(UserName="sailor")
    iam.put_user_policy(UserName="sailor", PolicyName="look", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "lightsail:Get*", "Resource": "*"}]}))
    key = iam.create_access_key(UserName="sailor")["AccessKey"]
    sailor = Caller(ready["endpoint"], key["AccessKeyId"], key["SecretAccessKey"], region="eu-central-1").client("lightsail")
    time.forward(6)  # until IAM has told everybody
    check.equal("looking", len(sailor.get_instances()["instances"]), 2)
    check.refused("stopping", 400, "AccessDeniedException", sailor.stop_instance, "lightsail:StopInstance on resource: arn:",
                  instanceName="miner")

check.end()
