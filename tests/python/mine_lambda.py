"""boto3 in the simulated AWS: a Lambda function with a URL, a policy that lets others in, and an event source.

Argument: the line that `quell sim` printed.
"""

import io
import json
import sys
import zipfile

from asking import Caller, Checks, Time

ready = json.loads(sys.argv[1])
development, production = ready["accounts"]["development"], ready["accounts"]["production"]
responder = Caller(ready["endpoint"], **ready["credentials"]["responder"], region=ready["region"])
inside = responder.assume(f"arn:aws:iam::{development}:role/ir/IRResponder")
other = responder.assume(f"arn:aws:iam::{production}:role/ir/IRResponder")
functions, iam = inside.client("lambda", "eu-central-1"), inside.client("iam")
functions.meta.events.register("before-call.lambda", lambda **_: time.forward(0.07))  # 15 calls per second
check, time = Checks(), Time(ready["endpoint"])

trust = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
role = iam.create_role(RoleName="function", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
archive = io.BytesIO()
with zipfile.ZipFile(archive, "w") as code:
    code.writestr("x.py", "def handler(event, context): pass")
new = {"Role": role, "Runtime": "python3.13", "Handler": "x.handler", "Code": {"ZipFile": archive.getvalue()}}

with check.topic("a function"):
    check.refused("a role that does not trust Lambda", 400, "InvalidParameterValueException", functions.create_function, "assumed by Lambda",
                  FunctionName="f", **new | {"Role": f"arn:aws:iam::{development}:role/ir/IRResponder"})
    check.refused("too much time", 400, "InvalidParameterValueException", functions.create_function, FunctionName="f", Timeout=901, **new)
    made = functions.create_function(FunctionName="f", Tags={"team": "x"}, Environment={"Variables": {"A": "b"}}, **new)
    check.equal("its status", made["ResponseMetadata"]["HTTPStatusCode"], 201)
    check.equal("its ARN", made["FunctionArn"], f"arn:aws:lambda:eu-central-1:{development}:function:f")
    check.refused("its name is taken", 409, "ResourceConflictException", functions.create_function, FunctionName="f", **new)
    for n in range(3):
        functions.create_function(FunctionName=f"g-{n}", **new)
    pages = functions.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 3})
    check.equal("listed by pages", [[f["FunctionName"] for f in p["Functions"]] for p in pages], [["f", "g-0", "g-1"], ["g-2"]])
    check.equal("tags", functions.get_function(FunctionName=made["FunctionArn"])["Tags"], {"team": "x"})
    check.equal("tags by themselves", functions.list_tags(Resource=made["FunctionArn"])["Tags"], {"team": "x"})
    check.refused("one that is not there", 404, "ResourceNotFoundException", functions.get_function, FunctionName="none")
    time.forward(6)  # until it is active
    check.equal("it runs", functions.invoke(FunctionName="f")["StatusCode"], 200)
    check.equal("later", functions.invoke(FunctionName="f", InvocationType="Event")["StatusCode"], 202)

with check.topic("concurrency"):
    check.true("none is reserved", "ReservedConcurrentExecutions" not in functions.get_function_concurrency(FunctionName="f"))
    check.refused("100 stay unreserved", 400, "InvalidParameterValueException", functions.put_function_concurrency, "[100]",
                  FunctionName="f", ReservedConcurrentExecutions=901)
    functions.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=0)
    check.equal("zero is kept", functions.get_function(FunctionName="f")["Concurrency"], {"ReservedConcurrentExecutions": 0})
    check.refused("it is throttled", 429, "TooManyRequestsException", functions.invoke, FunctionName="f")
    functions.delete_function_concurrency(FunctionName="f")
    check.equal("it runs again", functions.invoke(FunctionName="f")["StatusCode"], 200)
    check.refused("none is provisioned for what is not published", 404, "ResourceNotFoundException",
                  functions.put_provisioned_concurrency_config, FunctionName="f", Qualifier="1", ProvisionedConcurrentExecutions=2)
    check.equal("a version", functions.publish_version(FunctionName="f")["Version"], "1")
    functions.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    functions.put_provisioned_concurrency_config(FunctionName="f", Qualifier="live", ProvisionedConcurrentExecutions=2)
    check.refused("nothing below what is provisioned", 400, "InvalidParameterValueException", functions.put_function_concurrency,
                  FunctionName="f", ReservedConcurrentExecutions=0)
    listed = functions.list_provisioned_concurrency_configs(FunctionName="f")["ProvisionedConcurrencyConfigs"]
    check.equal("what is", [(c["FunctionArn"].split(":")[-1], c["RequestedProvisionedConcurrentExecutions"]) for c in listed], [("live", 2)])
    functions.delete_provisioned_concurrency_config(FunctionName="f", Qualifier="live")
    functions.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=5)
    check.equal("versions", [v["Version"] for v in functions.list_versions_by_function(FunctionName="f")["Versions"]], ["$LATEST", "1"])

with check.topic("a policy"):
    add = {"FunctionName": "f", "Action": "lambda:InvokeFunction"}
    check.refused("no policy yet", 404, "ResourceNotFoundException", functions.get_policy, FunctionName="f")
    stranger = other.client("lambda", "eu-central-1")
    check.refused("another account is not let in", 403, "AccessDeniedException", stranger.invoke, FunctionName=made["FunctionArn"])
    said = functions.add_permission(StatementId="other", Principal=production, **add)
    check.equal("an account is its root", json.loads(said["Statement"])["Principal"], {"AWS": f"arn:aws:iam::{production}:root"})
    check.equal("now it is", stranger.invoke(FunctionName=made["FunctionArn"])["StatusCode"], 200)
    check.refused("an id is used once", 409, "ResourceConflictException", functions.add_permission, StatementId="other", Principal="*", **add)
    check.refused("nobody", 400, "InvalidParameterValueException", functions.add_permission, StatementId="x", Principal="who", **add)
    functions.add_permission(StatementId="topic", Principal="sns.amazonaws.com", SourceArn=f"arn:aws:sns:eu-central-1:{development}:t", **add)
    functions.add_permission(StatementId="live", Principal="*", Qualifier="live", **add)
    statements = json.loads(functions.get_policy(FunctionName="f")["Policy"])["Statement"]
    check.equal("the function's own", [s["Sid"] for s in statements], ["other", "topic"])
    check.equal("with its condition", statements[1]["Condition"], {"ArnLike": {"AWS:SourceArn": f"arn:aws:sns:eu-central-1:{development}:t"}})
    check.equal("the alias's", len(json.loads(functions.get_policy(FunctionName="f", Qualifier="live")["Policy"])["Statement"]), 1)
    functions.remove_permission(FunctionName="f", StatementId="other")
    check.refused("once", 404, "ResourceNotFoundException", functions.remove_permission, FunctionName="f", StatementId="other")
    check.refused("and it is shut again", 403, "AccessDeniedException", stranger.invoke, FunctionName=made["FunctionArn"])

with check.topic("a URL"):
    url = functions.create_function_url_config(FunctionName="f", AuthType="NONE")
    check.contains("its address", url["FunctionUrl"], ".lambda-url.eu-central-1.on.aws/")
    check.refused("one", 409, "ResourceConflictException", functions.create_function_url_config, FunctionName="f", AuthType="NONE")
    functions.create_function_url_config(FunctionName="f", AuthType="AWS_IAM", Qualifier="live")
    listed = functions.list_function_url_configs(FunctionName="f")["FunctionUrlConfigs"]
    check.equal("of the function and its alias", [c["AuthType"] for c in listed], ["NONE", "AWS_IAM"])
    functions.update_function_url_config(FunctionName="f", AuthType="AWS_IAM")
    check.equal("changed", functions.get_function_url_config(FunctionName="f")["AuthType"], "AWS_IAM")
    functions.delete_function_url_config(FunctionName="f")
    check.refused("gone", 404, "ResourceNotFoundException", functions.get_function_url_config, FunctionName="f")

with check.topic("an event source"):
    queue = f"arn:aws:sqs:eu-central-1:{development}:q"
    mapping = functions.create_event_source_mapping(FunctionName="f", EventSourceArn=queue)
    check.equal("on its way", mapping["State"], "Creating")
    check.refused("not to be changed yet", 400, "ResourceInUseException", functions.update_event_source_mapping,
                  UUID=mapping["UUID"], Enabled=False)
    check.refused("once for each source", 409, "ResourceConflictException", functions.create_event_source_mapping,
                  FunctionName="f", EventSourceArn=queue)
    check.equal("listed", len(functions.list_event_source_mappings(FunctionName="f")["EventSourceMappings"]), 1)
    check.equal("not for others", functions.list_event_source_mappings(FunctionName="g-0")["EventSourceMappings"], [])
    time.until("it is enabled", lambda: functions.get_event_source_mapping(UUID=mapping["UUID"])["State"], "Enabled")
    check.equal("disabled", functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)["State"], "Disabling")

with check.topic("who may"):
    made = iam.create_user(UserName="half")
    iam.put_user_policy(UserName="half", PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "lambda:*", "Resource": "*"}]}))
    key = iam.create_access_key(UserName="half")["AccessKey"]
    time.forward(6)  # until IAM has told everybody
    half = Caller(ready["endpoint"], key["AccessKeyId"], key["SecretAccessKey"]).client("lambda", "eu-central-1")
    check.refused("to pass a role is a right of its own", 403, "AccessDeniedException", half.create_function, "iam:PassRole",
                  FunctionName="h", **new)
    check.equal("the rest is allowed", half.get_function(FunctionName="f")["Configuration"]["FunctionName"], "f")

with check.topic("the event history"):
    def events(name):
        found = inside.client("cloudtrail", "eu-central-1").lookup_events(
            LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": name}])["Events"]
        time.forward(1)
        return [json.loads(event["CloudTrailEvent"]) for event in found]

    record = events("CreateFunction20150331")[-1]
    check.equal("what was asked", record["requestParameters"]["functionName"], "f")
    check.true("without code and environment", not {"code", "environment"} & set(record["requestParameters"]))
    check.equal("a statement was added", len(events("AddPermission20150331v2")), 5)
    check.equal("calls of functions are no management events", events("Invoke20150331"), [])

check.end()
