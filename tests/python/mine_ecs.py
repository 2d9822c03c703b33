"""boto3 in the simulated AWS: an ECS service starts its tasks again until its count is 0, on Fargate and as a daemon.

Argument: the line that `quell sim` printed.
"""

import json
import sys

from asking import Caller, Checks

ready = json.loads(sys.argv[1])
development = ready["accounts"]["development"]
responder = Caller(ready["endpoint"], **ready["credentials"]["responder"], region=ready["region"])
inside = responder.assume(f"arn:aws:iam::{development}:role/ir/IRResponder")
ecs, ec2 = inside.client("ecs", "eu-central-1"), inside.client("ec2", "eu-central-1")
check = Checks()

network = {"awsvpcConfiguration": {"subnets": [ec2.describe_subnets()["Subnets"][0]["SubnetId"]]}}
container = [{"name": "x", "image": "x", "memory": 512}]


def running(**more):
    pages = ecs.get_paginator("list_tasks").paginate(cluster="c", PaginationConfig={"PageSize": 2}, **more)
    return [arn for page in pages for arn in page["taskArns"]]


with check.topic("clusters and task definitions"):
    check.refused("a bad name", 400, "InvalidParameterException", ecs.create_cluster, clusterName="a b")
    made = ecs.create_cluster(clusterName="c", capacityProviders=["FARGATE", "FARGATE_SPOT"])["cluster"]
    check.equal("made again, it is the same", ecs.create_cluster(clusterName="c")["cluster"]["clusterArn"], made["clusterArn"])
    check.equal("listed", ecs.list_clusters()["clusterArns"], [made["clusterArn"]])
    missing = ecs.describe_clusters(clusters=["c", "none"])
    check.equal("described", [c["clusterName"] for c in missing["clusters"]], ["c"])
    check.equal("what is missing", missing["failures"][0]["reason"], "MISSING")
    check.refused("Fargate without awsvpc", 400, "ClientException", ecs.register_task_definition, "awsvpc", family="f",
                  containerDefinitions=container, requiresCompatibilities=["FARGATE"], cpu="256", memory="512")
    check.refused("Fargate without a size", 400, "ClientException", ecs.register_task_definition, "cpu", family="f",
                  containerDefinitions=container, requiresCompatibilities=["FARGATE"], networkMode="awsvpc")
    for _ in range(2):
        last = ecs.register_task_definition(family="f", containerDefinitions=container, requiresCompatibilities=["FARGATE"],
                                            networkMode="awsvpc", cpu="256", memory="512")["taskDefinition"]
    check.equal("revisions are counted", last["revision"], 2)
    check.equal("the last is meant", ecs.describe_task_definition(taskDefinition="f")["taskDefinition"]["revision"], 2)
    check.equal("or a named one", ecs.describe_task_definition(taskDefinition="f:1")["taskDefinition"]["revision"], 1)
    check.refused("one that is not there", 400, "ClientException", ecs.describe_task_definition, taskDefinition="g")

with check.topic("tasks that stand alone"):
    run = {"cluster": "c", "taskDefinition": "f", "launchType": "FARGATE"}
    check.refused("no network", 400, "InvalidParameterException", ecs.run_task, **run)
    check.refused("eleven at once", 400, "InvalidParameterException", ecs.run_task, count=11, networkConfiguration=network, **run)
    check.refused("no container instances", 400, "InvalidParameterException", ecs.run_task, cluster="c", taskDefinition="f",
                  networkConfiguration=network)
    check.refused("no such cluster", 400, "ClusterNotFoundException", ecs.run_task, networkConfiguration=network,
                  **run | {"cluster": "none"})
    tasks = ecs.run_task(count=3, networkConfiguration=network, startedBy="me", clientToken="once", **run)["tasks"]
    again = ecs.run_task(count=3, networkConfiguration=network, startedBy="me", clientToken="once", **run)["tasks"]
    check.equal("a token starts once", {t["taskArn"] for t in tasks}, {t["taskArn"] for t in again})
    check.equal("how they begin", {(t["lastStatus"], t["desiredStatus"], t["group"]) for t in tasks},
                {("PROVISIONING", "RUNNING", "family:f")})
    check.equal("listed by pages", sorted(running(startedBy="me")), sorted(t["taskArn"] for t in tasks))
    ended = ecs.stop_task(cluster="c", task=tasks[0]["taskArn"], reason="enough")["task"]
    check.equal("stopped", (ended["desiredStatus"], ended["stopCode"], ended["stoppedReason"]), ("STOPPED", "UserInitiated", "enough"))
    ecs.stop_task(cluster="c", task=tasks[0]["taskArn"], reason="again")
    check.equal("once", ecs.describe_tasks(cluster="c", tasks=[tasks[0]["taskArn"]])["tasks"][0]["stoppedReason"], "enough")
    check.equal("and not listed", len(running(startedBy="me")), 2)
    check.equal("but with those that stop", len(running(desiredStatus="STOPPED")), 1)
    check.refused("a task that is not there", 400, "InvalidParameterException", ecs.stop_task, cluster="c", task="0" * 32)
    check.equal("protection is for services", ecs.update_task_protection(
        cluster="c", tasks=[tasks[1]["taskArn"]], protectionEnabled=True)["failures"][0]["reason"], "TASK_NOT_VALID")

with check.topic("a service"):
    new = {"cluster": "c", "serviceName": "s", "taskDefinition": "f", "networkConfiguration": network}
    check.refused("without a count", 400, "InvalidParameterException", ecs.create_service, launchType="FARGATE", **new)
    check.refused("two ways to place it", 400, "InvalidParameterException", ecs.create_service, launchType="FARGATE",
                  capacityProviderStrategy=[{"capacityProvider": "FARGATE"}], desiredCount=1, **new)
    made = ecs.create_service(capacityProviderStrategy=[{"capacityProvider": "FARGATE_SPOT"}], desiredCount=2,
                              tags=[{"key": "team", "value": "web"}], **new)["service"]
    check.contains("who created it", made["createdBy"], ":role/ir/IRResponder")
    check.equal("another of that name", ecs.describe_services(cluster="c", services=["s"])["services"][0]["serviceArn"], made["serviceArn"])
    check.refused("is refused", 400, "InvalidParameterException", ecs.create_service, launchType="FARGATE", desiredCount=1, **new)
    first = running(serviceName="s")
    check.equal("it starts what it wants", len(first), 2)
    for task in first:
        ecs.stop_task(cluster="c", task=task)
    second = running(serviceName="s")
    check.equal("and again", (len(second), set(first) & set(second)), (2, set()))
    ecs.update_task_protection(cluster="c", tasks=second[:1], protectionEnabled=True, expiresInMinutes=2880)
    check.refused("a service that wants tasks", 400, "InvalidParameterException", ecs.delete_service, cluster="c", service="s")
    ecs.update_service(cluster="c", service="s", desiredCount=0)
    check.equal("a protected task stays", running(serviceName="s"), second[:1])
    shown = ecs.describe_services(cluster="c", services=[made["serviceArn"]], include=["TAGS"])["services"][0]
    check.equal("what is shown", (shown["desiredCount"], shown["schedulingStrategy"], shown["tags"]),
                (0, "REPLICA", [{"key": "team", "value": "web"}]))
    ecs.stop_task(cluster="c", task=second[0])
    check.equal("until it is stopped", running(serviceName="s"), [])
    check.refused("a cluster with services", 400, "ClusterContainsServicesException", ecs.delete_cluster, cluster="c")
    ecs.delete_service(cluster="c", service="s")
    check.refused("what was deleted", 400, "ServiceNotActiveException", ecs.update_service, cluster="c", service="s", desiredCount=1)
    check.refused("what never was", 400, "ServiceNotFoundException", ecs.update_service, cluster="c", service="t", desiredCount=1)

with check.topic("a daemon"):
    machine = ec2.describe_instances(Filters=[{"Name": "instance-state-name", "Values": ["running"]}])
    machine = machine["Reservations"][0]["Instances"][0]["InstanceId"]
    ecs.register_container_instance(cluster="c", instanceIdentityDocument=json.dumps({"instanceId": machine}))
    check.equal("the instance", len(ecs.list_container_instances(cluster="c")["containerInstanceArns"]), 1)
    ecs.register_task_definition(family="d", containerDefinitions=container)
    check.refused("is not for Fargate", 400, "InvalidParameterException", ecs.create_service, cluster="c", serviceName="d",
                  taskDefinition="f", schedulingStrategy="DAEMON", launchType="FARGATE", networkConfiguration=network)
    ecs.create_service(cluster="c", serviceName="d", taskDefinition="d", schedulingStrategy="DAEMON")
    check.equal("one on each", len(running(serviceName="d")), 1)
    check.refused("it has no count", 400, "InvalidParameterException", ecs.update_service, cluster="c", service="d", desiredCount=0)
    ecs.update_service(cluster="c", service="d", placementConstraints=[{"type": "memberOf", "expression": "attribute:x exists"}])
    check.equal("none fits", running(serviceName="d"), [])
    ecs.update_service(cluster="c", service="d", placementConstraints=[])
    check.equal("one on each again", len(running(serviceName="d")), 1)

with check.topic("the event history"):
    events = inside.client("cloudtrail", "eu-central-1").lookup_events(
        LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "RunTask"}])["Events"]
    record = json.loads(events[0]["CloudTrailEvent"])
    check.equal("its source", record["eventSource"], "ecs.amazonaws.com")
    check.equal("what was asked", record["requestParameters"]["taskDefinition"], "f")

check.end()
