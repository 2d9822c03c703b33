"""boto3 in the simulated AWS: App Runner and Amplify, neither of which moto has.

Argument: the line that `quell sim` printed.
"""

import json
import sys

from asking import Caller, Checks

ready = json.loads(sys.argv[1])
development = ready["accounts"]["development"]
responder = Caller(ready["endpoint"], **ready["credentials"]["responder"], region=ready["region"])
inside = responder.assume(f"arn:aws:iam::{development}:role/ir/IRResponder")
runner, amplify = inside.client("apprunner", "eu-west-1"), inside.client("amplify", "eu-central-1")
check = Checks()

with check.topic("App Runner"):
    source = {"ImageRepository": {"ImageIdentifier": "public.ecr.aws/example/site:1", "ImageRepositoryType": "ECR_PUBLIC"}}
    made = runner.create_service(ServiceName="site", SourceConfiguration=source, Tags=[{"Key": "owner", "Value": "web"}])["Service"]
    check.equal("being made", made["Status"], "OPERATION_IN_PROGRESS")
    arn = made["ServiceArn"]
    check.equal("listed", [service["ServiceArn"] for service in runner.list_services()["ServiceSummaryList"]], [arn])
    shown = runner.describe_service(ServiceArn=arn)["Service"]
    check.equal("as it was asked for", (shown["SourceConfiguration"], shown["InstanceConfiguration"]["Cpu"]), (source, "1024"))
    check.equal("its tags", runner.list_tags_for_resource(ResourceArn=arn)["Tags"], [{"Key": "owner", "Value": "web"}])
    check.refused("too early to pause", 400, "InvalidStateException", runner.pause_service, ServiceArn=arn)
    check.refused("an unknown one", 400, "ResourceNotFoundException", runner.describe_service, ServiceArn=arn[:-1] + "x")
    check.refused("a second of the name", 400, "InvalidRequestException", runner.create_service, ServiceName="site",
                  SourceConfiguration=source)
    check.refused("the duty user without the role", 400, "AccessDeniedException",
                  responder.client("apprunner", "eu-west-1").list_services)

with check.topic("Amplify"):
    apps = [amplify.create_app(name=f"site-{n}", tags={"owner": "web"})["app"] for n in range(3)]
    pages = amplify.get_paginator("list_apps").paginate(PaginationConfig={"PageSize": 2})
    check.equal("by pages of two", sorted(len(page["apps"]) for page in pages), [1, 2])
    app = apps[0]["appId"]
    check.equal("as it was asked for", amplify.get_app(appId=app)["app"]["tags"], {"owner": "web"})
    branch = amplify.create_branch(appId=app, branchName="feature/x")["branch"]
    check.true("a branch builds by itself unless it is told not to", branch["enableAutoBuild"])
    amplify.update_branch(appId=app, branchName="feature/x", enableAutoBuild=False)
    check.equal("until then", [b["enableAutoBuild"] for b in amplify.list_branches(appId=app)["branches"]], [False])
    job = amplify.start_job(appId=app, branchName="feature/x", jobType="RELEASE")["jobSummary"]
    check.equal("a build", (job["jobId"], job["status"]), ("1", "RUNNING"))
    check.refused("one at a time", 400, "BadRequestException", amplify.start_job, appId=app, branchName="feature/x", jobType="RELEASE")
    stopped = amplify.stop_job(appId=app, branchName="feature/x", jobId="1")["jobSummary"]
    check.equal("on its way to a stop", stopped["status"], "CANCELLING")
    check.refused("once", 400, "BadRequestException", amplify.stop_job, appId=app, branchName="feature/x", jobId="1")
    hook = amplify.create_webhook(appId=app, branchName="feature/x", description="nightly")["webhook"]
    check.equal("a webhook", [h["webhookId"] for h in amplify.list_webhooks(appId=app)["webhooks"]], [hook["webhookId"]])
    amplify.delete_webhook(webhookId=hook["webhookId"])
    check.equal("no more", amplify.list_webhooks(appId=app)["webhooks"], [])
    check.refused("an unknown app", 404, "NotFoundException", amplify.get_app, appId="dnobody")
    check.refused("the duty user without the role", 403, "AccessDeniedException",
                  responder.client("amplify", "eu-central-1").list_apps)

check.end()
