"""quell contains what an intruder runs in the ten other services, and whom it let in by Identity Center, in an account that moto
plays: boto3 seeds it, and boto3 reads what quell did and what it took back. A rogue machine runs beside it.

Where moto lacks the service, or an operation of it, quell has to say that it could not look, must not call the service clean,
and goes on with the machine.

Arguments: the quell binary, moto's address, the services.
"""

import io
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from asking import Caller, Checks, speak_json

speak_json()

quell, endpoint, services = sys.argv[1], sys.argv[2], sys.argv[3:]
check = Checks()
ACCOUNT, REGION = "123456789012", "eu-central-1"
IMAGE = "ami-03cf127a"  # moto has it in every region
caller = Caller(endpoint, "AKIAIOSFODNN7EXAMPLE", "seeding", region=REGION)
APPROVED = ["--approve", "reversible,disruptive,destructive"]
ROGUE = "!tags.exists(k, k == \"owner\")"


@dataclass
class Trial:
    """What is contained, and what boto3 sees of it: before, when it is contained, and after the way back."""

    sets: str
    steps: str
    look: Callable[[], Any] = lambda: None
    before: Any = None
    contained: Any = None
    taken_back: Any = None
    changes: int = 0
    lacking: str | None = None  # the service that moto lacks, or an operation of it


def role(name, service):
    """The ARN of a role that a service may enter; made on first use."""
    iam = caller.client("iam")
    trust = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    return iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]


def network():
    ec2 = caller.client("ec2")
    subnet = ec2.describe_subnets()["Subnets"][0]
    groups = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [subnet["VpcId"]]}])["SecurityGroups"]
    return [subnet["SubnetId"]], [groups[0]["GroupId"]]


def of_ecs():
    ecs, (subnets, groups) = caller.client("ecs"), network()
    ecs.create_cluster(clusterName="c")
    ecs.register_task_definition(family="f", containerDefinitions=[{"name": "x", "image": "x", "memory": 512}],
                                 requiresCompatibilities=["FARGATE"], networkMode="awsvpc", cpu="256", memory="512")
    new = {"cluster": "c", "taskDefinition": "f", "launchType": "FARGATE",
           "networkConfiguration": {"awsvpcConfiguration": {"subnets": subnets, "securityGroups": groups}}}
    ecs.create_service(serviceName="rogue", desiredCount=7, **new)
    ecs.create_service(serviceName="web", desiredCount=2, tags=[{"key": "owner", "value": "web"}], **new)
    alone = [task["taskArn"] for task in ecs.run_task(count=2, **new)["tasks"]]

    def look():
        shown = ecs.describe_services(cluster="c", services=["rogue", "web"])["services"]
        tasks = ecs.describe_tasks(cluster="c", tasks=alone)["tasks"]
        return {one["serviceName"]: one["desiredCount"] for one in shown}, {task["desiredStatus"] for task in tasks}

    return Trial(
        sets=f"  services: {{ from: ecs.services, where: '{ROGUE}' }}\n  alone: {{ from: ecs.tasks, where: service == \"\" }}",
        steps="  - { id: services, uses: ecs.stop, on: services }\n  - { id: tasks, uses: ecs.stop, on: alone }",
        look=look, changes=3,
        before=({"rogue": 7, "web": 2}, {"RUNNING"}),
        contained=({"rogue": 0, "web": 2}, {"STOPPED"}),
        taken_back=({"rogue": 7, "web": 2}, {"STOPPED"}))  # a task that stood alone does not come back


def of_lambda():
    functions = caller.client("lambda")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as code:
        code.writestr("x.py", "def handler(event, context): pass")
    new = {"Role": role("function", "lambda"), "Runtime": "python3.11", "Handler": "x.handler",
           "Code": {"ZipFile": archive.getvalue()}}
    functions.create_function(FunctionName="rogue", **new)
    functions.create_function(FunctionName="web", Tags={"owner": "web"}, **new)
    functions.put_function_concurrency(FunctionName="rogue", ReservedConcurrentExecutions=7)
    sqs = caller.client("sqs")
    queue = sqs.create_queue(QueueName="q")["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    mapping = functions.create_event_source_mapping(FunctionName="rogue", EventSourceArn=queue)["UUID"]
    functions.create_function_url_config(FunctionName="rogue", AuthType="NONE")
    functions.add_permission(FunctionName="rogue", StatementId="all", Action="lambda:InvokeFunctionUrl", Principal="*",
                             FunctionUrlAuthType="NONE")

    def statements():
        try:
            return [s["Sid"] for s in json.loads(functions.get_policy(FunctionName="rogue")["Policy"])["Statement"]]
        except functions.exceptions.ResourceNotFoundException:
            return []

    def look():
        reserved = [functions.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions")
                    for name in ("rogue", "web")]
        return (reserved, functions.get_event_source_mapping(UUID=mapping)["State"],
                functions.get_function_url_config(FunctionName="rogue")["AuthType"], statements())

    open_again = ([7, None], "Enabled", "NONE", ["all"])
    return Trial(
        sets=f"  functions: {{ from: lambda.functions, where: '{ROGUE}' }}",
        steps="  - { id: stop, uses: lambda.stop, on: functions }\n  - { id: close, uses: lambda.close-policy, on: functions }",
        look=look, changes=2, before=open_again, contained=([0, None], "Disabled", "AWS_IAM", []), taken_back=open_again)


def of_identity_center():
    """Asked in us-east-1, the home region: moto has an instance in every region, and does not say which it is in. It knows
    no Roles Anywhere."""
    admin, store = caller.client("sso-admin", "us-east-1"), caller.client("identitystore", "us-east-1")
    account = caller.client("sts").get_caller_identity()["Account"]
    [instance] = admin.list_instances()["Instances"]
    arn, directory = instance["InstanceArn"], {"IdentityStoreId": instance["IdentityStoreId"]}
    # Without a duration moto answers the number 3600, where AWS has the text PT1H.
    made = admin.create_permission_set(InstanceArn=arn, Name="Admin", SessionDuration="PT12H")["PermissionSet"]
    permission_set = made["PermissionSetArn"]
    admin.provision_permission_set(InstanceArn=arn, PermissionSetArn=permission_set, TargetType="AWS_ACCOUNT", TargetId=account)
    users = {name: store.create_user(**directory, UserName=name, DisplayName=name, Name={"GivenName": name, "FamilyName": name})["UserId"]
             for name in ("eve", "anna")}
    group = store.create_group(**directory, DisplayName="admins")["GroupId"]
    for user in users.values():
        store.create_group_membership(**directory, GroupId=group, MemberId={"UserId": user})
    for kind, principal in (("USER", users["eve"]), ("USER", users["anna"]), ("GROUP", group)):
        admin.create_account_assignment(InstanceArn=arn, TargetId=account, TargetType="AWS_ACCOUNT",
                                        PermissionSetArn=permission_set, PrincipalType=kind, PrincipalId=principal)

    def assigned():
        answer = admin.list_account_assignments(InstanceArn=arn, AccountId=account, PermissionSetArn=permission_set)
        return sorted(a["PrincipalId"] for a in answer["AccountAssignments"])

    def members():
        return sorted(m["MemberId"]["UserId"] for m in store.list_group_memberships(**directory, GroupId=group)["GroupMemberships"])

    everything = (sorted([*users.values(), group]), sorted(users.values()))
    return Trial(
        sets="  assignments: { from: sso.assignments, with: { users: [eve] }, where: principal_type == \"USER\" }\n"
             "  memberships: { from: identitystore.memberships, with: { users: [eve] } }",
        steps="  - { id: assignments, uses: sso.remove-assignments, on: assignments }\n"
              "  - { id: memberships, uses: identitystore.remove-memberships, on: memberships }",
        look=lambda: (assigned(), members()), changes=2, before=everything,
        contained=(sorted([users["anna"], group]), [users["anna"]]), taken_back=everything)


def of_batch():
    """moto starts jobs with Docker; one that waits for another needs none, and ends when it is told to."""
    batch, (subnets, groups) = caller.client("batch"), network()
    for name, tags in (("miners", {}), ("research", {"owner": "science"})):
        environment = batch.create_compute_environment(
            computeEnvironmentName=name, type="MANAGED", state="ENABLED", tags=tags, serviceRole=role(name, "batch"),
            computeResources={"type": "FARGATE", "maxvCpus": 8, "subnets": subnets, "securityGroupIds": groups})
        batch.create_job_queue(jobQueueName=name, state="ENABLED", priority=1, tags=tags, computeEnvironmentOrder=[
            {"order": 1, "computeEnvironment": environment["computeEnvironmentArn"]}])
    batch.register_job_definition(jobDefinitionName="dig", type="container",
                                  containerProperties={"image": "xmrig", "vcpus": 1, "memory": 128})
    waits_for = [{"jobId": "00000000-0000-4000-8000-000000000000"}]
    jobs = [batch.submit_job(jobName="dig", jobQueue=queue, jobDefinition="dig", dependsOn=waits_for)["jobId"]
            for queue in ("miners", "research")]

    def look():
        queues = {queue["jobQueueName"]: queue["state"] for queue in batch.describe_job_queues()["jobQueues"]}
        environments = batch.describe_compute_environments()["computeEnvironments"]
        ended = [job["status"] == "FAILED" for job in batch.describe_jobs(jobs=jobs)["jobs"]]
        return queues, {one["computeEnvironmentName"]: one["state"] for one in environments}, ended

    states = {"miners": "ENABLED", "research": "ENABLED"}
    closed = states | {"miners": "DISABLED"}
    return Trial(
        sets=f"  queues: {{ from: batch.queues, where: '{ROGUE}' }}\n  places: {{ from: batch.environments, where: '{ROGUE}' }}",
        steps="  - { id: batch, uses: batch.stop, on: queues }\n"
              "  - { id: places, uses: batch.disable-environments, on: places, needs: [batch] }",
        look=look, changes=2,
        before=(states, states, [False, False]), contained=(closed, closed, [True, False]), taken_back=(states, states, [True, False]))


def of_emr():
    emr = caller.client("emr")
    new = {"ReleaseLabel": "emr-7.3.0", "ServiceRole": "EMR_DefaultRole", "JobFlowRole": "EMR_EC2_DefaultRole", "Instances": {
        "MasterInstanceType": "m5.xlarge", "SlaveInstanceType": "m5.xlarge", "InstanceCount": 2,
        "KeepJobFlowAliveWhenNoSteps": True, "TerminationProtected": True}}
    clusters = [emr.run_job_flow(Name="miners", **new)["JobFlowId"],
                emr.run_job_flow(Name="research", Tags=[{"Key": "owner", "Value": "science"}], **new)["JobFlowId"]]
    ended = ["TERMINATED", "WAITING"]  # what is terminated does not come back
    return Trial(
        sets=f"  clusters: {{ from: emr.clusters, where: '{ROGUE}' }}",
        steps="  - { id: emr, uses: emr.terminate, on: clusters }",
        look=lambda: [emr.describe_cluster(ClusterId=one)["Cluster"]["Status"]["State"] for one in clusters],
        changes=1, before=["WAITING", "WAITING"], contained=ended, taken_back=ended)


def sagemaker_seeded():
    sagemaker = caller.client("sagemaker")
    arn = role("ml", "sagemaker")
    for name, tags in (("rig", []), ("lab", [{"Key": "owner", "Value": "science"}])):
        sagemaker.create_notebook_instance(NotebookInstanceName=name, InstanceType="ml.p3.8xlarge", RoleArn=arn, Tags=tags)
    image = "382416733822.dkr.ecr.eu-central-1.amazonaws.com/xmrig:1"
    sagemaker.create_model(ModelName="m", ExecutionRoleArn=arn, PrimaryContainer={"Image": image})
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[
        {"VariantName": "all", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 4}])
    sagemaker.create_endpoint(EndpointName="rig", EndpointConfigName="c", Tags=[{"Key": "team", "Value": "x"}])

    def look():
        notebooks = sagemaker.list_notebook_instances()["NotebookInstances"]
        endpoints = sagemaker.list_endpoints()["Endpoints"]
        return ({one["NotebookInstanceName"]: one["NotebookInstanceStatus"] for one in notebooks},
                {one["EndpointName"]: (one["EndpointStatus"], sagemaker.list_tags(ResourceArn=one["EndpointArn"])["Tags"])
                 for one in endpoints})

    return look, ({"rig": "InService", "lab": "InService"}, {"rig": ("InService", [{"Key": "team", "Value": "x"}])})


def of_sagemaker():
    """Jobs of moto's are over as soon as they are made."""
    look, working = sagemaker_seeded()
    return Trial(
        sets=f"  workloads: {{ from: sagemaker.workloads, with: {{ types: [notebook-instance, training-job, endpoint] }}, where: '{ROGUE}' }}",
        steps="  - { id: stop, uses: sagemaker.stop, on: workloads }",
        look=look, changes=2, before=working, contained=({"rig": "Stopped", "lab": "InService"}, {}), taken_back=working)


def of_all_of_sagemaker():
    """moto has no ListApps."""
    look, working = sagemaker_seeded()
    return Trial(
        sets=f"  workloads: {{ from: sagemaker.workloads, where: '{ROGUE}' }}",
        steps="  - { id: stop, uses: sagemaker.stop, on: workloads }",
        look=look, before=working, contained=working, taken_back=working, lacking="sagemaker")


def of_codebuild():
    """moto has projects and builds, but no ListBuildBatchesForProject."""
    builds = caller.client("codebuild")
    builds.create_project(name="mine", source={"type": "S3", "location": "bucket/source.zip"}, serviceRole=role("build", "codebuild"),
                          artifacts={"type": "NO_ARTIFACTS"}, environment={
                              "type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0", "computeType": "BUILD_GENERAL1_SMALL"})
    return Trial(sets="  projects: { from: codebuild.projects }",
                 steps="  - { id: builds, uses: codebuild.stop-builds, on: projects }", lacking="codebuild")


def of_glue():
    """A run of moto's is over as soon as it is started, and a session never ends."""
    glue = caller.client("glue")
    arn = role("glue", "glue")
    for name, tags in (("mine", {}), ("report", {"owner": "data"})):
        glue.create_job(Name=name, Role=arn, Command={"Name": "glueetl"}, Tags=tags)
        glue.create_trigger(Name=f"start-{name}", Type="SCHEDULED", Schedule="cron(0/5 * * * ? *)", StartOnCreation=True,
                            Actions=[{"JobName": name}])
    on = {"start-mine": "ACTIVATED", "start-report": "ACTIVATED"}
    return Trial(
        sets=f"  jobs: {{ from: glue.jobs, where: '{ROGUE}' }}",
        steps="  - { id: stop, uses: glue.stop-jobs, on: jobs }",
        look=lambda: {trigger["Name"]: trigger["State"] for trigger in glue.get_triggers()["Triggers"]},
        changes=1, before=on, contained=on | {"start-mine": "DEACTIVATED"}, taken_back=on)


def absent(source, uses):
    """A service that moto does not have at all."""
    def trial():
        service = source.split(".")[0]
        return Trial(sets=f"  members: {{ from: {source} }}", steps=f"  - {{ id: stop, uses: {uses}, on: members }}", lacking=service)

    return trial


TRIALS = {
    "ecs": of_ecs,
    "lambda": of_lambda,
    "sagemaker": of_sagemaker,
    "sagemaker-apps": of_all_of_sagemaker,
    "lightsail": absent("lightsail.instances", "lightsail.stop"),
    "batch": of_batch,
    "emr": of_emr,
    "codebuild": of_codebuild,
    "apprunner": absent("apprunner.services", "apprunner.pause"),
    "amplify": absent("amplify.apps", "amplify.stop-builds"),
    "glue": of_glue,
    "identity-center": of_identity_center,
}


class Quell:
    """The binary, with a state folder of its own."""

    def __init__(self, home):
        self.home = home
        self.environment = os.environ | {
            "AWS_ENDPOINT_URL": endpoint, "AWS_REGION": REGION, "HOME": home,
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "seeding"}

    def __call__(self, *words):
        """Gives the exit code and the document."""
        more = ["--state", str(Path(self.home) / "state"), "--trust-endpoint", "--output", "json"]
        done = subprocess.run([quell, *words, *more], env=self.environment, capture_output=True, text=True, timeout=300)
        print(f"  quell {' '.join(words)}: {done.returncode}\n{done.stderr}")
        return done.returncode, json.loads(done.stdout or "{}")


def attempt(trial, home):
    ec2, run = caller.client("ec2"), Quell(home)
    machine = ec2.run_instances(ImageId=IMAGE, InstanceType="c5.9xlarge", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    runbook = Path(home) / "services.yaml"
    runbook.write_text(
        f"quell: 1\nname: services\ntitle: Other services\ntargets: {{ accounts: self, regions: [{REGION}] }}\n"
        f"sets:\n  machines: {{ from: ec2.instances }}\n{trial.sets}\n"
        f"steps:\n  - {{ id: machines, uses: ec2.stop-instances, on: machines }}\n{trial.steps}\n")
    name, expected = str(runbook), 5 if trial.lacking else 0

    def power():
        return ec2.describe_instances(InstanceIds=[machine])["Reservations"][0]["Instances"][0]["State"]["Name"]

    check.equal("seeded", trial.look(), trial.before)
    code, document = run("plan", name)
    plan = document.get("plan", {})
    check.equal("plan: exit code", code, expected)
    check.equal("plan: changes", len(plan.get("changes", [])), trial.changes + 1)
    check.equal("plan: changed nothing", (trial.look(), power()), (trial.before, "running"))
    covered = {entry["service"]: entry for entry in plan.get("coverage", []) if entry["region"] == REGION}
    if trial.lacking:
        seen = covered.get(trial.lacking, {})
        check.contains("plan: it could not look", ["denied", "unreachable", "unknown"], seen.get("status"))
        check.true("plan: and says why", seen.get("reason"))
    check.equal("plan: it could look at the others", {entry["status"] for service, entry in covered.items() if service != trial.lacking},
                {"clean"})

    code, summary = run("run", name, *APPROVED)
    check.equal("run: exit code", code, expected)
    check.equal("run: outcome", summary.get("outcome"), "coverage-incomplete" if trial.lacking else "contained")
    changes = summary.get("changes", {})
    check.equal("run: done, failed", (changes.get("done"), changes.get("failed")), (trial.changes + 1, 0))
    check.equal("contained", (trial.look(), power()), (trial.contained, "stopped"))

    code, summary = run("rollback", summary.get("run", ""), *APPROVED)
    check.equal(f"rollback: {summary.get('outcome')}", code, 0)
    check.equal("taken back", (trial.look(), power()), (trial.taken_back, "running"))


for service in services:
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/moto-api/reset", method="POST")).close()
    with check.topic(service), tempfile.TemporaryDirectory() as home:
        attempt(TRIALS[service](), home)
check.end()
