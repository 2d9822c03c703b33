"""boto3 in the simulated AWS: what computes in SageMaker AI, and what a tuning job starts again.

Argument: the line that `quell sim` printed.
"""

import json
import sys

from asking import Caller, Checks, Time

ready = json.loads(sys.argv[1])
development = ready["accounts"]["development"]
responder = Caller(ready["endpoint"], **ready["credentials"]["responder"], region=ready["region"])
inside = responder.assume(f"arn:aws:iam::{development}:role/ir/IRResponder")
sagemaker = inside.client("sagemaker", "eu-central-1")
check, time = Checks(), Time(ready["endpoint"])

ROLE = f"arn:aws:iam::{development}:role/ml"
ALGORITHM = {"TrainingImage": "x", "TrainingInputMode": "File"}
MACHINES = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10}
TRAINING = {"RoleArn": ROLE, "AlgorithmSpecification": ALGORITHM, "OutputDataConfig": {"S3OutputPath": "s3://x/y"},
            "ResourceConfig": MACHINES, "StoppingCondition": {"MaxRuntimeInSeconds": 3600}}


def running():
    pages = sagemaker.get_paginator("list_training_jobs").paginate(StatusEquals="InProgress", PaginationConfig={"PageSize": 1})
    return sorted(job["TrainingJobName"] for page in pages for job in page["TrainingJobSummaries"])


with check.topic("training jobs"):
    check.refused("a bad name", 400, "ValidationException", sagemaker.create_training_job, TrainingJobName="a_b", **TRAINING)
    made = sagemaker.create_training_job(TrainingJobName="One", Tags=[{"Key": "team", "Value": "x"}], **TRAINING)
    check.equal("its ARN", made["TrainingJobArn"], f"arn:aws:sagemaker:eu-central-1:{development}:training-job/one")
    check.refused("its name is taken", 400, "ResourceInUse", sagemaker.create_training_job, TrainingJobName="One", **TRAINING)
    check.equal("tags", sagemaker.list_tags(ResourceArn=made["TrainingJobArn"])["Tags"], [{"Key": "team", "Value": "x"}])
    check.equal("it runs", sagemaker.describe_training_job(TrainingJobName="One")["TrainingJobStatus"], "InProgress")
    check.equal("listed", running(), ["One"])
    sagemaker.stop_training_job(TrainingJobName="One")
    check.equal("stopped", sagemaker.describe_training_job(TrainingJobName="One")["TrainingJobStatus"], "Stopping")
    check.refused("once", 400, "ValidationException", sagemaker.stop_training_job, TrainingJobName="One")
    check.refused("one that is not there", 400, "ValidationException", sagemaker.describe_training_job, TrainingJobName="none")
    check.refused("nor to be stopped", 400, "ResourceNotFound", sagemaker.stop_training_job, TrainingJobName="none")

with check.topic("a tuning job"):
    sagemaker.create_hyper_parameter_tuning_job(
        HyperParameterTuningJobName="search",
        HyperParameterTuningJobConfig={"Strategy": "Random", "ResourceLimits": {"MaxParallelTrainingJobs": 2, "MaxNumberOfTrainingJobs": 9}},
        TrainingJobDefinition=TRAINING)
    first = running()
    check.equal("it starts two jobs", len(first), 2)
    check.contains("which name it", sagemaker.describe_training_job(TrainingJobName=first[0])["TuningJobArn"], "tuning-job/search")
    for name in first:
        sagemaker.stop_training_job(TrainingJobName=name)
    check.equal("and two others", (len(running()), set(first) & set(running())), (2, set()))
    sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName="search")
    check.equal("until it is stopped", running(), [])

with check.topic("a notebook instance"):
    new = {"InstanceType": "ml.t3.medium", "RoleArn": ROLE}
    sagemaker.create_notebook_instance(NotebookInstanceName="n", **new)
    check.refused("its name is taken", 400, "ValidationException", sagemaker.create_notebook_instance, NotebookInstanceName="n", **new)
    check.refused("it cannot be stopped yet", 400, "ValidationException", sagemaker.stop_notebook_instance, "Pending", NotebookInstanceName="n")
    check.refused("nor started", 400, "ValidationException", sagemaker.start_notebook_instance, NotebookInstanceName="n")
    check.equal("listed", [n["InstanceType"] for n in sagemaker.list_notebook_instances()["NotebookInstances"]], ["ml.t3.medium"])

with check.topic("an endpoint"):
    variant = {"VariantName": "all", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    check.refused("without configuration", 400, "ValidationException", sagemaker.create_endpoint, EndpointName="e", EndpointConfigName="c")
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")
    check.equal("on its way", sagemaker.describe_endpoint(EndpointName="e")["EndpointStatus"], "Creating")
    check.refused("not to be deleted yet", 400, "ValidationException", sagemaker.delete_endpoint, EndpointName="e")
    check.equal("its configuration", sagemaker.describe_endpoint_config(EndpointConfigName="c")["ProductionVariants"], [variant])
    check.refused("one that is not there", 400, "ValidationException", sagemaker.describe_endpoint, EndpointName="f")

with check.topic("an app"):
    app = {"DomainId": "d-1", "UserProfileName": "eve", "AppType": "JupyterLab", "AppName": "default"}
    sagemaker.create_app(**app)
    check.refused("once", 400, "ResourceInUse", sagemaker.create_app, **app)
    check.equal("listed", [(a["UserProfileName"], a["Status"]) for a in sagemaker.list_apps()["Apps"]], [("eve", "Pending")])
    sagemaker.delete_app(**app)
    check.equal("deleted", sagemaker.describe_app(**app)["Status"], "Deleting")
    check.refused("one that is not there", 400, "ResourceNotFound", sagemaker.describe_app, **app | {"AppName": "x"})

with check.topic("quotas"):
    for n in range(18):
        try:
            sagemaker.create_training_job(TrainingJobName=f"many-{n}", **TRAINING)
        except sagemaker.exceptions.ResourceLimitExceeded:
            break
    check.true("twenty instances at once", n < 19)
    check.refused("no more", 400, "ResourceLimitExceeded", sagemaker.create_training_job, TrainingJobName="more", **TRAINING)

with check.topic("who may"):
    iam = inside.client("iam")
    iam.create_user(UserName="half")
    iam.put_user_policy(UserName="half", PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "sagemaker:*", "Resource": "*"}]}))
    key = iam.create_access_key(UserName="half")["AccessKey"]
    time.forward(6)  # until IAM has told everybody
    half = Caller(ready["endpoint"], key["AccessKeyId"], key["SecretAccessKey"]).client("sagemaker", "eu-central-1")
    check.refused("to pass a role is a right of its own", 400, "AccessDeniedException", half.create_training_job, "iam:PassRole",
                  TrainingJobName="h", **TRAINING)

check.end()
