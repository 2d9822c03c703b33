"""quell stops what moto plays of Glue, and says what moto does not know of CodeBuild. moto has neither App Runner nor Amplify,
and of Glue's runs no BatchStopJobRun: a run in moto is over as soon as it is started.

Arguments: the quell binary, moto's address.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from asking import Caller, Checks, speak_json

speak_json()

quell, endpoint = sys.argv[1:]
check = Checks()
home = tempfile.TemporaryDirectory()
REGION = "eu-central-1"
ROLE = "arn:aws:iam::123456789012:role/builder"
caller = Caller(endpoint, "AKIAIOSFODNN7EXAMPLE", "seeding")
glue, builds = caller.client("glue", REGION), caller.client("codebuild", REGION)
[duty] = [caller.client("iam").create_user(UserName="duty") and caller.client("iam").create_access_key(UserName="duty")["AccessKey"]]
caller.client("iam").attach_user_policy(UserName="duty", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")

for name, tags in (("mine", {}), ("report", {"owner": "data"})):
    glue.create_job(Name=name, Role=ROLE, Command={"Name": "glueetl"}, Tags=tags)
    glue.create_trigger(Name=f"start-{name}", Type="SCHEDULED", Schedule="cron(0/5 * * * ? *)", StartOnCreation=True,
                        Actions=[{"JobName": name}])
    builds.create_project(name=name, source={"type": "S3", "location": "bucket/source.zip"},
                          artifacts={"type": "NO_ARTIFACTS"}, serviceRole=ROLE, environment={
                              "type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0", "computeType": "BUILD_GENERAL1_SMALL"})


def runbook(name, sets, steps):
    path = Path(home.name) / f"{name}.yaml"
    path.write_text(f"quell: 1\nname: {name}\ntitle: In moto\ntargets: {{ accounts: self, regions: [{REGION}] }}\n"
                    f"sets: {{ {sets} }}\nsteps: [{steps}]\n")
    return str(path)


def run(*words):
    environment = os.environ | {
        "AWS_ENDPOINT_URL": endpoint, "AWS_REGION": REGION, "HOME": home.name,
        "AWS_ACCESS_KEY_ID": duty["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": duty["SecretAccessKey"]}
    words = [quell, *words, "--trust-endpoint", "--state", str(Path(home.name) / "state"), "--output", "json"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300)
    print(f"{' '.join(words[1:3])}: {done.returncode}\n{done.stderr}")
    try:
        return done.returncode, json.loads(done.stdout)
    except ValueError:
        return done.returncode, {}


def triggers():
    return {trigger["Name"]: trigger["State"] for trigger in glue.get_triggers()["Triggers"]}


with check.topic("Glue"):
    name = runbook("glue", "jobs: { from: glue.jobs, where: '!(\"owner\" in tags)' }", "{ id: stop, uses: glue.stop-jobs, on: jobs }")
    on = triggers()
    code, plan = run("plan", name)
    check.equal("plan: one job", [change["resource"] for change in plan.get("plan", {}).get("changes", [])], ["mine"])
    check.equal("plan: changed nothing", triggers(), on)
    code, summary = run("run", name, "--approve", "reversible,disruptive")
    check.equal("run", (code, summary.get("outcome"), summary.get("changes", {}).get("done")), (0, "contained", 1))
    check.equal("its trigger is off, the other is not", triggers(), on | {"start-mine": "DEACTIVATED"})
    code, _ = run("rollback", summary.get("run", ""), "--approve", "reversible,disruptive")
    check.equal("and on again", (code, triggers()), (0, on))

with check.topic("CodeBuild"):
    name = runbook("codebuild", "projects: { from: codebuild.projects }", "{ id: stop, uses: codebuild.stop-builds, on: projects }")
    code, plan = run("plan", name)
    check.equal("plan: batches are unknown to moto, so nothing is called clean", code, 5)
    said = json.dumps(plan.get("plan", {}).get("coverage", []))
    check.contains("and that is said", said, "codebuild")

check.end()
