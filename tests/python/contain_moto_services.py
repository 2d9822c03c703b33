"""quell contains what an intruder runs in other services, in an account that moto plays. boto3 seeds it, and boto3 reads back
what quell did, and what it took back.

Arguments: the quell binary, moto's address, the service.
"""

import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from asking import Caller, Checks

quell, endpoint, service = sys.argv[1:]
check = Checks()
home = tempfile.TemporaryDirectory()
REGION = "eu-central-1"
caller = Caller(endpoint, "AKIAIOSFODNN7EXAMPLE", "seeding", region=REGION)


def run(command, *words):
    """quell's exit code and document."""
    environment = os.environ | {
        "AWS_ENDPOINT_URL": endpoint, "AWS_REGION": REGION, "HOME": home.name, "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "seeding"}
    state = ["--state", str(Path(home.name) / "state"), "--trust-endpoint", "--output", "json"]
    done = subprocess.run([quell, command, *words, *state], env=environment, capture_output=True, text=True, timeout=300)
    print(f"quell {command} {' '.join(words)}: {done.returncode}\n{done.stderr}")
    return done.returncode, json.loads(done.stdout or "{}")


def contain(sets, steps, changes):
    """Plans, contains and gives the run's name, for the way back."""
    runbook = Path(home.name) / "services.yaml"
    runbook.write_text(f"quell: 1\nname: services\ntitle: Other services\ntargets: {{ accounts: self, regions: [{REGION}] }}\n"
                       f"sets:\n{sets}\nsteps:\n{steps}\n")
    code, plan = run("plan", str(runbook))
    check.true("plan: 0, or 5 when something could not be looked at", code in (0, 5))
    check.equal("plan: changes", len(plan.get("plan", {}).get("changes", [])), changes)
    code, summary = run("run", str(runbook), "--approve", "reversible,disruptive,destructive")
    check.true(f"run: 0, or 5 when something could not be looked at: {summary}", code in (0, 5))
    check.equal("run: failed", summary.get("changes", {}).get("failed"), 0)
    return summary.get("run")


def take_back(run_id):
    code, summary = run("rollback", run_id, "--approve", "reversible,disruptive,destructive")
    check.true(f"rollback: {summary.get('outcome')}", code in (0, 3, 5))


def on_ecs():
    ecs, ec2 = caller.client("ecs"), caller.client("ec2")
    subnet = ec2.describe_subnets()["Subnets"][0]
    group = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [subnet["VpcId"]]}])["SecurityGroups"][0]
    network = {"awsvpcConfiguration": {"subnets": [subnet["SubnetId"]], "securityGroups": [group["GroupId"]]}}
    ecs.create_cluster(clusterName="c")
    ecs.register_task_definition(family="f", containerDefinitions=[{"name": "x", "image": "x", "memory": 512}],
                                 requiresCompatibilities=["FARGATE"], networkMode="awsvpc", cpu="256", memory="512")
    new = {"cluster": "c", "taskDefinition": "f", "launchType": "FARGATE", "networkConfiguration": network}
    owned = [{"key": "owner", "value": "web"}]
    ecs.create_service(serviceName="rogue", desiredCount=7, **new)
    ecs.create_service(serviceName="web", desiredCount=2, tags=owned, **new)
    alone = ecs.run_task(count=2, **new)["tasks"]

    def wanted(name):
        return ecs.describe_services(cluster="c", services=[name])["services"][0]["desiredCount"]

    done = contain(
        '  rogue: { from: ecs.services, where: \'!tags.exists(k, k == "owner")\' }\n'
        '  alone: { from: ecs.tasks, where: service == "" }',
        "  - { id: services, uses: ecs.stop, on: rogue }\n  - { id: tasks, uses: ecs.stop, on: alone }", 3)
    check.equal("the rogue service wants nothing", wanted("rogue"), 0)
    check.equal("an owned one is as it was", wanted("web"), 2)
    states = ecs.describe_tasks(cluster="c", tasks=[t["taskArn"] for t in alone])["tasks"]
    check.equal("tasks that stood alone", {t["desiredStatus"] for t in states}, {"STOPPED"})
    take_back(done)
    check.equal("the service wants as many as before", wanted("rogue"), 7)


def on_lambda():
    functions, iam = caller.client("lambda"), caller.client("iam")
    trust = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    role = iam.create_role(RoleName="function", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as code:
        code.writestr("x.py", "def handler(event, context): pass")
    new = {"Role": role, "Runtime": "python3.11", "Handler": "x.handler", "Code": {"ZipFile": archive.getvalue()}}
    functions.create_function(FunctionName="rogue", **new)
    functions.create_function(FunctionName="web", Tags={"owner": "web"}, **new)
    functions.put_function_concurrency(FunctionName="rogue", ReservedConcurrentExecutions=7)
    queue = caller.client("sqs").create_queue(QueueName="q")["QueueUrl"]
    queue = caller.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    mapping = functions.create_event_source_mapping(FunctionName="rogue", EventSourceArn=queue)["UUID"]
    functions.create_function_url_config(FunctionName="rogue", AuthType="NONE")
    functions.add_permission(FunctionName="rogue", StatementId="all", Action="lambda:InvokeFunctionUrl", Principal="*",
                             FunctionUrlAuthType="NONE")

    def now(name):
        return functions.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions")

    def statements():
        try:
            return [s["Sid"] for s in json.loads(functions.get_policy(FunctionName="rogue")["Policy"])["Statement"]]
        except functions.exceptions.ResourceNotFoundException:
            return []

    done = contain(
        '  rogue: { from: lambda.functions, where: \'!tags.exists(k, k == "owner")\' }',
        "  - { id: stop, uses: lambda.stop, on: rogue }\n  - { id: close, uses: lambda.close-policy, on: rogue }", 2)
    check.equal("concurrency", (now("rogue"), now("web")), (0, None))
    check.equal("the queue", functions.get_event_source_mapping(UUID=mapping)["State"], "Disabled")
    check.equal("the URL", functions.get_function_url_config(FunctionName="rogue")["AuthType"], "AWS_IAM")
    check.equal("the policy", statements(), [])
    take_back(done)
    check.equal("concurrency again", now("rogue"), 7)
    check.equal("the queue again", functions.get_event_source_mapping(UUID=mapping)["State"], "Enabled")
    check.equal("the URL again", functions.get_function_url_config(FunctionName="rogue")["AuthType"], "NONE")
    check.equal("the policy again", statements(), ["all"])


def in_identity_center():
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

    before = (assigned(), members())
    done = contain(
        "  assignments: { from: sso.assignments, with: { users: [eve] }, where: principal_type == \"USER\" }\n"
        "  memberships: { from: identitystore.memberships, with: { users: [eve] } }",
        "  - { id: assignments, uses: sso.remove-assignments, on: assignments }\n"
        "  - { id: memberships, uses: identitystore.remove-memberships, on: memberships }", 2)
    check.equal("eve is assigned nothing, the others are", assigned(), sorted([users["anna"], group]))
    check.equal("eve is no member, anna is", members(), [users["anna"]])
    take_back(done)
    check.equal("all again", (assigned(), members()), before)


{"ecs": on_ecs, "lambda": on_lambda, "identity-center": in_identity_center}[service]()
check.end()
