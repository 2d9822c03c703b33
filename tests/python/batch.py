"""boto3 in the simulated AWS: Batch mines until its queue is closed, its jobs are terminated and its environments disabled.

Argument: the line that `quell sim` printed.
"""

import json
import sys

from asking import Caller, Checks, Time

ready = json.loads(sys.argv[1])
development = ready["accounts"]["development"]
responder = Caller(ready["endpoint"], **ready["credentials"]["responder"], region=ready["region"])
inside = responder.assume(f"arn:aws:iam::{development}:role/ir/IRResponder")
batch, ec2 = inside.client("batch", "eu-central-1"), inside.client("ec2", "eu-central-1")
check, time = Checks(), Time(ready["endpoint"])
subnets = [ec2.describe_subnets()["Subnets"][0]["SubnetId"]]
container = {"image": "xmrig", "resourceRequirements": [{"type": "VCPU", "value": "4"}, {"type": "MEMORY", "value": "2048"}]}


def environment(name):
    [found] = batch.describe_compute_environments(computeEnvironments=[name])["computeEnvironments"]
    return found


def queue(name="miners"):
    [found] = batch.describe_job_queues(jobQueues=[name])["jobQueues"]
    return found


def jobs(status):
    return [job["jobId"] for job in batch.list_jobs(jobQueue="miners", jobStatus=status)["jobSummaryList"]]


def submit(**more):
    return batch.submit_job(jobName="dig", jobQueue="miners", jobDefinition="dig", **more)["jobId"]


def machines():
    filters = [{"Name": "tag:AWSBatchServiceTag", "Values": ["batch"]}, {"Name": "instance-state-name", "Values": ["pending", "running"]}]
    found = ec2.describe_instances(Filters=filters)["Reservations"]
    return len([instance for held in found for instance in held["Instances"]])


on_fargate = {"type": "FARGATE", "maxvCpus": 8, "subnets": subnets}
on_ec2 = {"type": "EC2", "minvCpus": 4, "maxvCpus": 8, "subnets": subnets, "instanceTypes": ["c5.xlarge"], "instanceRole": "ecsInstanceRole"}

with check.topic("environments and queues"):
    made = batch.create_compute_environment(computeEnvironmentName="pit", type="MANAGED", computeResources=on_ec2, tags={"owner": "x"})
    check.equal("its ARN", made["computeEnvironmentArn"], f"arn:aws:batch:eu-central-1:{development}:compute-environment/pit")
    check.refused("a name that is taken", 400, "ClientException", batch.create_compute_environment,
                  computeEnvironmentName="pit", type="MANAGED", computeResources=on_ec2)
    order = [{"order": 1, "computeEnvironment": "pit"}]
    check.refused("a queue before its environment is VALID", 400, "ClientException", batch.create_job_queue,
                  jobQueueName="miners", priority=1, computeEnvironmentOrder=order)
    time.until("the environment", lambda: environment("pit")["status"], "VALID")
    check.equal("its tags", environment("pit")["tags"], {"owner": "x"})
    check.refused("least vCPUs on Fargate", 400, "ClientException", batch.create_compute_environment,
                  computeEnvironmentName="air", type="MANAGED", computeResources=on_fargate | {"minvCpus": 1})
    batch.create_job_queue(jobQueueName="miners", priority=1, computeEnvironmentOrder=order)
    check.refused("a change while it is being made", 400, "ClientException", batch.update_job_queue, "being modified",
                  jobQueue="miners", state="DISABLED")
    time.until("the queue", lambda: queue()["status"], "VALID")
    check.equal("the queue takes jobs", queue()["state"], "ENABLED")
    check.refused("a queue that is not there", 400, "ClientException", batch.list_jobs, jobQueue="nobody")

with check.topic("jobs"):
    definition = batch.register_job_definition(jobDefinitionName="dig", type="container", containerProperties=container,
                                               retryStrategy={"attempts": 3})
    check.equal("the first revision", definition["revision"], 1)
    first = submit()
    time.until("a machine for the least vCPUs", machines, 1)
    time.until("the job", lambda: jobs("RUNNING"), [first])
    second, third = submit(), submit()
    time.until("as many machines as the most vCPUs allow", machines, 2)
    time.until("jobs that run", lambda: len(jobs("RUNNING")), 2)
    check.equal("jobs that wait", len(jobs("RUNNABLE")), 1)
    described = batch.describe_jobs(jobs=[first])["jobs"][0]
    check.equal("a job", (described["status"], described["isTerminated"], described["retryStrategy"]),
                ("RUNNING", False, {"attempts": 3}))
    check.true("in milliseconds", described["createdAt"] > 1_600_000_000_000)

with check.topic("nothing but the whole order ends it"):
    batch.update_compute_environment(computeEnvironment="pit", state="DISABLED")
    time.until("the environment", lambda: environment("pit")["status"], "VALID")
    check.equal("its jobs run on", len(jobs("RUNNING")), 2)
    check.equal("on its machines", environment("pit")["computeResources"]["desiredvCpus"], 8)
    check.refused("it cannot be deleted under its queue", 400, "ClientException", batch.delete_compute_environment,
                  computeEnvironment="pit")
    check.true("the queue still takes jobs", submit())
    batch.update_job_queue(jobQueue="miners", state="DISABLED")
    check.refused("a closed queue takes none", 400, "ClientException", batch.submit_job,
                  jobName="dig", jobQueue="miners", jobDefinition="dig")
    check.equal("and its jobs run on", len(jobs("RUNNING")), 2)
    for status in ("RUNNABLE", "RUNNING"):
        for job in jobs(status):
            batch.terminate_job(jobId=job, reason="contained")
    check.equal("those that waited are over", jobs("RUNNABLE"), [])
    check.true("those that ran are ending", batch.describe_jobs(jobs=jobs("RUNNING"))["jobs"][0]["isTerminated"])
    time.until("jobs that run", lambda: jobs("RUNNING"), [])
    check.equal("why", {job["statusReason"] for job in batch.list_jobs(jobQueue="miners", jobStatus="FAILED")["jobSummaryList"]},
                {"contained"})
    time.until("its least vCPUs stay", machines, 1)
    batch.update_compute_environment(computeEnvironment="pit", computeResources={"minvCpus": 0})
    time.until("until they are none", machines, 0)
    check.equal("desired", environment("pit")["computeResources"]["desiredvCpus"], 0)

with check.topic("and away with them"):
    time.until("the queue", lambda: queue()["status"], "VALID")
    batch.delete_job_queue(jobQueue="miners")
    time.until("the environment", lambda: environment("pit")["status"], "VALID")
    batch.delete_compute_environment(computeEnvironment="pit")
    check.equal("nothing is left", batch.describe_compute_environments()["computeEnvironments"], [])

with check.topic("who may"):
    iam = inside.client("iam")
    iam.create_user(UserName="digger")
    iam.put_user_policy(UserName="digger", PolicyName="batch", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["batch:Describe*", "batch:CreateComputeEnvironment", "batch:RegisterJobDefinition"], "Resource": "*"}]}))
    key = iam.create_access_key(UserName="digger")["AccessKey"]
    digger = Caller(ready["endpoint"], key["AccessKeyId"], key["SecretAccessKey"], region="eu-central-1").client("batch")
    time.forward(6)  # until IAM has told everybody
    check.equal("looking", digger.describe_job_queues()["jobQueues"], [])
    check.refused("a queue", 403, "AccessDeniedException", digger.update_job_queue,
                  f"batch:UpdateJobQueue on resource: arn:aws:batch:eu-central-1:{development}:job-queue/miners",
                  jobQueue="miners", state="DISABLED")
    check.refused("a role that must not be passed", 403, "AccessDeniedException", digger.create_compute_environment,
                  f"iam:PassRole on resource: arn:aws:iam::{development}:role/ecsInstanceRole",
                  computeEnvironmentName="pit", type="MANAGED", computeResources=on_ec2)

check.end()
