"""boto3 in the simulated AWS: CodeBuild's projects, webhooks, builds, batches and fleets.

boto3 speaks CBOR to CodeBuild where it may choose; quell and the simulated AWS speak the JSON that CodeBuild understands as
well, so it is told to.

Argument: the line that `quell sim` printed.
"""

import json
import sys

from asking import Caller, Checks, Time, speak_json

speak_json()

ready = json.loads(sys.argv[1])
development = ready["accounts"]["development"]
responder = Caller(ready["endpoint"], **ready["credentials"]["responder"], region=ready["region"])
builds = responder.assume(f"arn:aws:iam::{development}:role/ir/IRResponder").client("codebuild", "eu-central-1")
check, time = Checks(), Time(ready["endpoint"])
ROLE = f"arn:aws:iam::{development}:role/build"
PROJECT = {
    "source": {"type": "GITHUB", "location": "https://github.com/example/site.git"},
    "artifacts": {"type": "NO_ARTIFACTS"},
    "environment": {"type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0", "computeType": "BUILD_GENERAL1_LARGE"},
    "serviceRole": ROLE,
}


def states(project):
    ids = builds.list_builds_for_project(projectName=project)["ids"]
    return [build["buildStatus"] for build in builds.batch_get_builds(ids=ids)["builds"]] if ids else []


with check.topic("projects"):
    for name in ("one", "two"):
        builds.create_project(name=name, tags=[{"key": "owner", "value": "web"}], **PROJECT)
    check.equal("listed", builds.list_projects()["projects"], ["one", "two"])
    answer = builds.batch_get_projects(names=["one", "nobody"])
    check.equal("found", [project["tags"] for project in answer["projects"]], [[{"key": "owner", "value": "web"}]])
    check.equal("not found", answer["projectsNotFound"], ["nobody"])
    check.refused("a second of the name", 400, "ResourceAlreadyExistsException", builds.create_project, name="one", **PROJECT)

with check.topic("webhooks"):
    group = [{"type": "EVENT", "pattern": "PUSH"}, {"type": "HEAD_REF", "pattern": "^refs/heads/main$"}]
    made = builds.create_webhook(projectName="one", filterGroups=[group])["webhook"]
    check.true("its address and its secret are told once", made["payloadUrl"] and made["secret"])
    shown = builds.batch_get_projects(names=["one"])["projects"][0]["webhook"]
    check.equal("shown without the secret", ("secret" in shown, shown["filterGroups"]), (False, [group]))
    check.refused("a group without an event", 400, "InvalidInputException", builds.update_webhook, projectName="one",
                  filterGroups=[group[1:]])
    check.refused("a second", 400, "ResourceAlreadyExistsException", builds.create_webhook, projectName="one")
    builds.update_webhook(projectName="one", branchFilter="release")
    shown = builds.batch_get_projects(names=["one"])["projects"][0]["webhook"]
    check.equal("by branch in the place of groups", (shown["branchFilter"], shown["filterGroups"]), ("release", []))
    builds.delete_webhook(projectName="one")
    check.refused("gone", 400, "ResourceNotFoundException", builds.delete_webhook, projectName="one")

with check.topic("builds"):
    build = builds.start_build(projectName="one")["build"]
    check.equal("in progress, by the role's session", (build["buildStatus"], build["initiator"].split("/")[0]), ("IN_PROGRESS", "IRResponder"))
    builds.stop_build(id=build["id"])
    time.until("stopped", lambda: states("one"), ["STOPPED"])
    check.refused("an unknown one", 400, "ResourceNotFoundException", builds.stop_build, id="one:nothing")
    check.refused("of an unknown project", 400, "ResourceNotFoundException", builds.start_build, projectName="nobody")

with check.topic("batches"):
    batch = builds.start_build_batch(projectName="two")["buildBatch"]
    builds.stop_build(id=builds.list_builds_for_project(projectName="two")["ids"][0])
    time.until("a build that is stopped is followed by another", lambda: states("two"), ["IN_PROGRESS", "STOPPED"])
    in_progress = {"status": "IN_PROGRESS"}
    listed = builds.list_build_batches_for_project(projectName="two", filter=in_progress)["ids"]
    check.equal("listed by status", listed, [batch["id"]])
    check.equal("stopped", builds.stop_build_batch(id=batch["id"])["buildBatch"]["buildBatchStatus"], "STOPPED")
    time.until("with its builds", lambda: states("two"), ["STOPPED", "STOPPED"])
    check.equal("none is left", builds.list_build_batches_for_project(projectName="two", filter=in_progress)["ids"], [])

with check.topic("fleets"):
    shape = {"environmentType": "LINUX_CONTAINER", "computeType": "BUILD_GENERAL1_LARGE"}
    scaling = {"scalingType": "TARGET_TRACKING_SCALING", "maxCapacity": 9,
               "targetTrackingScalingConfigs": [{"metricType": "FLEET_UTILIZATION_RATE", "targetValue": 80}]}
    fleet = builds.create_fleet(name="ready", baseCapacity=3, scalingConfiguration=scaling, **shape)["fleet"]["arn"]
    check.equal("listed by ARN", builds.list_fleets()["fleets"], [fleet])
    builds.update_fleet(arn=fleet, baseCapacity=1, scalingConfiguration={})
    shown = builds.batch_get_fleets(names=[fleet])["fleets"][0]
    check.equal("one machine, which does not grow", (shown["baseCapacity"], "scalingConfiguration" in shown), (1, False))

with check.topic("who may"):
    nobody = responder.client("codebuild", "eu-central-1")
    check.refused("the duty user without the role", 400, "AccessDeniedException", nobody.list_projects)

check.end()
