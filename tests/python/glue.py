"""boto3 in the simulated AWS: Glue's jobs, triggers and sessions.

Argument: the line that `quell sim` printed.
"""

import json
import sys
from datetime import datetime, timedelta, timezone

from asking import Caller, Checks, Time

ready = json.loads(sys.argv[1])
development = ready["accounts"]["development"]
responder = Caller(ready["endpoint"], **ready["credentials"]["responder"], region=ready["region"])
glue = responder.assume(f"arn:aws:iam::{development}:role/ir/IRResponder").client("glue", "eu-central-1")
check, time = Checks(), Time(ready["endpoint"])
ROLE = f"arn:aws:iam::{development}:role/glue"
COMMAND = {"Name": "glueetl", "ScriptLocation": "s3://scripts/job.py"}


def states(job):
    return [run["JobRunState"] for run in glue.get_job_runs(JobName=job)["JobRuns"]]


with check.topic("jobs"):
    for number in range(3):
        glue.create_job(Name=f"job-{number}", Role="glue", Command=COMMAND, WorkerType="G.8X", NumberOfWorkers=8,
                        Tags={"owner": "data"} if number == 0 else {})
    pages = glue.get_paginator("get_jobs").paginate(PaginationConfig={"PageSize": 2})
    pages = [[job["Name"] for job in page["Jobs"]] for page in pages]
    check.equal("by pages of two", pages, [["job-0", "job-1"], ["job-2"]])
    shown = glue.get_job(JobName="job-0")["Job"]
    check.equal("as it was made", (shown["WorkerType"], shown["NumberOfWorkers"], shown["Command"]["Name"]), ("G.8X", 8, "glueetl"))
    check.true("with the time", abs(shown["CreatedOn"] - datetime.now(timezone.utc)) < timedelta(days=400))
    check.equal("its tags", glue.get_tags(ResourceArn=f"arn:aws:glue:eu-central-1:{development}:job/job-0")["Tags"], {"owner": "data"})
    check.refused("another of the name", 400, "IdempotentParameterMismatchException", glue.create_job, Name="job-0", Role="glue", Command=COMMAND)
    check.refused("an unknown one", 400, "EntityNotFoundException", glue.get_job, JobName="nobody")
    check.refused("a token that was never given", 400, "InvalidInputException", glue.get_jobs, NextToken="banana")

with check.topic("runs"):
    run = glue.start_job_run(JobName="job-1")["JobRunId"]
    check.refused("one at a time", 400, "ConcurrentRunsExceededException", glue.start_job_run, JobName="job-1")
    answer = glue.batch_stop_job_run(JobName="job-1", JobRunIds=[run, "jr_nobody"])
    check.equal("what is stopped", [one["JobRunId"] for one in answer["SuccessfulSubmissions"]], [run])
    check.equal("what is not", [one["ErrorDetail"]["ErrorCode"] for one in answer["Errors"]], ["EntityNotFoundException"])
    check.equal("on its way", states("job-1"), ["STOPPING"])
    check.equal("one run", glue.get_job_run(JobName="job-1", RunId=run)["JobRun"]["JobRunState"], "STOPPING")

with check.topic("triggers"):
    glue.create_trigger(Name="clock", Type="SCHEDULED", Schedule="cron(0 3 * * ? *)", StartOnCreation=True,
                        Actions=[{"JobName": "job-2"}])
    stopped = {"Conditions": [{"LogicalOperator": "EQUALS", "JobName": "job-2", "State": "STOPPED"}]}
    glue.create_trigger(Name="revive", Type="CONDITIONAL", Predicate=stopped, StartOnCreation=True, Actions=[{"JobName": "job-2"}])
    glue.create_trigger(Name="hand", Type="ON_DEMAND", Actions=[{"JobName": "job-2"}])
    check.equal("those of a job", [t["Name"] for t in glue.get_triggers(DependentJobName="job-2")["Triggers"]], ["clock", "hand", "revive"])
    check.equal("all, when there is none", len(glue.get_triggers(DependentJobName="job-0")["Triggers"]), 3)
    check.refused("one on demand cannot be stopped", 400, "InvalidInputException", glue.stop_trigger, Name="hand")
    check.refused("an unknown one", 400, "EntityNotFoundException", glue.stop_trigger, Name="nobody")
    glue.start_trigger(Name="hand")
    check.equal("started by hand, it fires", len(states("job-2")), 1)
    run = glue.get_job_runs(JobName="job-2")["JobRuns"][0]
    check.equal("and the run says so", run["TriggerName"], "hand")
    glue.batch_stop_job_run(JobName="job-2", JobRunIds=[run["Id"]])
    time.until("it is started again", lambda: len(states("job-2")), 2)
    check.equal("what is stopped before its trigger comes back", states("job-2")[1:], ["STOPPED"])
    glue.stop_trigger(Name="revive")
    check.contains("off", ["DEACTIVATING", "DEACTIVATED"], glue.get_trigger(Name="revive")["Trigger"]["State"])

with check.topic("sessions"):
    made = glue.create_session(Id="shell", Role=ROLE, Command={"Name": "glueetl"})["Session"]
    check.equal("being made", made["Status"], "PROVISIONING")
    check.refused("too early to stop", 400, "IllegalSessionStateException", glue.stop_session, Id="shell")
    check.equal("listed", [session["Id"] for session in glue.list_sessions()["Sessions"]], ["shell"])
    check.refused("a second of the id", 400, "AlreadyExistsException", glue.create_session, Id="shell", Role=ROLE, Command={"Name": "glueetl"})

with check.topic("who may"):
    intruder = Caller(ready["endpoint"], **ready["credentials"]["attacker"]).client("glue", "eu-central-1")
    check.equal("an administrator sees all", len(intruder.get_jobs()["Jobs"]), 3)
    nobody = Caller(ready["endpoint"], **ready["credentials"]["responder"]).client("glue", "eu-central-1")
    check.refused("the duty user without the role", 400, "AccessDeniedException", nobody.get_jobs)

check.end()
