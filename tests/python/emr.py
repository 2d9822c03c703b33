"""boto3 in the simulated AWS: an EMR cluster keeps its machines until it is terminated, and is terminated unprotected only.

Argument: the line that `quell sim` printed.
"""

import json
import sys

from asking import Caller, Checks, Time

ready = json.loads(sys.argv[1])
development = ready["accounts"]["development"]
responder = Caller(ready["endpoint"], **ready["credentials"]["responder"], region=ready["region"])
inside = responder.assume(f"arn:aws:iam::{development}:role/ir/IRResponder")
emr, ec2 = inside.client("emr", "eu-central-1"), inside.client("ec2", "eu-central-1")
check, time = Checks(), Time(ready["endpoint"])
groups = [{"InstanceRole": "MASTER", "InstanceType": "m5.xlarge", "InstanceCount": 1},
          {"InstanceRole": "CORE", "InstanceType": "c5.4xlarge", "InstanceCount": 2}]
roles = {"ServiceRole": "EMR_DefaultRole", "JobFlowRole": "EMR_EC2_DefaultRole"}


def machines(role):
    filters = [{"Name": "tag:aws:elasticmapreduce:instance-group-role", "Values": [role]},
               {"Name": "instance-state-name", "Values": ["pending", "running"]}]
    held = ec2.describe_instances(Filters=filters)["Reservations"]
    return [instance["InstanceId"] for reservation in held for instance in reservation["Instances"]]


def run(**more):
    return emr.run_job_flow(Name="miner", ReleaseLabel="emr-7.3.0", Tags=[{"Key": "owner", "Value": "x"}], **roles, Instances={
        "InstanceGroups": groups, "KeepJobFlowAliveWhenNoSteps": True, "TerminationProtected": True} | more)["JobFlowId"]


with check.topic("a cluster"):
    check.refused("without a master", 400, "ValidationException", run, InstanceGroups=groups[1:])
    cluster = run()

    def state():
        return emr.describe_cluster(ClusterId=cluster)["Cluster"]["Status"]["State"]

    check.equal("at first", state(), "STARTING")
    time.until("the cluster", state, "WAITING")
    shown = emr.describe_cluster(ClusterId=cluster)["Cluster"]
    check.equal("protected", (shown["TerminationProtected"], shown["Tags"]), (True, [{"Key": "owner", "Value": "x"}]))
    check.equal("listed", [c["Id"] for c in emr.list_clusters(ClusterStates=["WAITING"])["Clusters"]], [cluster])
    check.equal("not among others", emr.list_clusters(ClusterStates=["RUNNING"])["Clusters"], [])
    check.equal("its groups", sorted((g["InstanceGroupType"], g["RequestedInstanceCount"]) for g in
                                     emr.list_instance_groups(ClusterId=cluster)["InstanceGroups"]), [("CORE", 2), ("MASTER", 1)])
    check.refused("one that is not there", 400, "InvalidRequestException", emr.describe_cluster, ClusterId="j-NOBODY")

with check.topic("it keeps its machines"):
    first = machines("CORE")
    check.equal("as many as asked for", len(first), 2)
    check.refused("EC2 knows the protection", 400, "OperationNotPermitted", ec2.terminate_instances, InstanceIds=first[:1])
    ec2.modify_instance_attribute(InstanceId=first[0], DisableApiTermination={"Value": False})
    ec2.terminate_instances(InstanceIds=first[:1])
    time.until("another instead", lambda: len(machines("CORE")), 2)
    check.true("not the same", set(machines("CORE")) != set(first))

with check.topic("it ends unprotected only"):
    check.refused("while it is protected", 400, "ValidationException", emr.terminate_job_flows, "termination protected",
                  JobFlowIds=[cluster])
    check.equal("it goes on", state(), "WAITING")
    check.refused("more than ten at once", 400, "ValidationException", emr.terminate_job_flows, JobFlowIds=[cluster] * 11)
    emr.set_termination_protection(JobFlowIds=[cluster], TerminationProtected=False)
    emr.terminate_job_flows(JobFlowIds=[cluster])
    check.equal("it takes a moment", state(), "TERMINATING")
    time.until("the cluster", state, "TERMINATED")
    check.equal("with its machines", machines("CORE") + machines("MASTER"), [])
    emr.terminate_job_flows(JobFlowIds=[cluster])
    check.equal("a second time does no harm", state(), "TERMINATED")

with check.topic("who may"):
    iam = inside.client("iam")
    iam.create_user(UserName="mapper")
    iam.put_user_policy(UserName="mapper", PolicyName="emr", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["elasticmapreduce:Describe*", "elasticmapreduce:RunJobFlow"], "Resource": "*"}]}))
    key = iam.create_access_key(UserName="mapper")["AccessKey"]
    mapper = Caller(ready["endpoint"], key["AccessKeyId"], key["SecretAccessKey"], region="eu-central-1").client("emr")
    time.forward(6)  # until IAM has told everybody
    check.equal("looking", mapper.describe_cluster(ClusterId=cluster)["Cluster"]["Id"], cluster)
    check.refused("terminating", 400, "AccessDeniedException", mapper.terminate_job_flows,
                  f"elasticmapreduce:TerminateJobFlows on resource: arn:aws:elasticmapreduce:eu-central-1:{development}:cluster/{cluster}",
                  JobFlowIds=[cluster])
    check.refused("a role that must not be passed", 400, "AccessDeniedException", mapper.run_job_flow,
                  "iam:PassRole", Name="x", ReleaseLabel="emr-7.3.0", Instances={"InstanceGroups": groups}, **roles)

check.end()
