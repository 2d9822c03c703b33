//! AWS Lambda.

use aws_sdk_lambda::Client;
use aws_sdk_lambda::error::ProvideErrorMetadata as _;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{FunctionCode, FunctionUrlAuthType, Runtime};
use bytes::Bytes;
use http::Request;
use jiff::Timestamp;
use quell::model::RunOutcome;
use serde_json::{Value, json};

use super::{allow_only, intruder, minutes, of};
use crate::actions::{Drive, Lab, Scene, Stage};
use crate::launchers::{Lab as Region, wait};

pub const STAGES: &[Stage] = &[
    Stage { action: "lambda.stop", on: "a function with a queue", set_up: |lab| Box::pin(with_queue(lab)) },
    Stage { action: "lambda.stop", on: "provisioned concurrency", set_up: |lab| Box::pin(with_provisioned(lab)) },
    Stage { action: "lambda.close-policy", on: "a URL and an alias", set_up: |lab| Box::pin(with_ways_in(lab)) },
];

/// Another account.
const ELSEWHERE: &str = "555566667777";

fn client(lab: &Lab) -> Client {
    Client::new(&intruder(lab))
}

async fn with_queue(lab: &Lab) -> Scene {
    function(lab, "beacon").await;
    queue(lab, "beacon").await;
    Scene::in_region(lab, "{ from: lambda.functions }")
}

async fn with_provisioned(lab: &Lab) -> Scene {
    function(lab, "beacon").await;
    provision(lab, "beacon").await;
    Scene::in_region(lab, "{ from: lambda.functions }")
}

async fn with_ways_in(lab: &Lab) -> Scene {
    function(lab, "beacon").await;
    open(lab, "beacon").await;
    Scene::in_region(lab, "{ from: lambda.functions }")
}

/// A function of the intruder's, in whose account the role for it is there.
async fn function(lab: &Lab, name: &str) {
    create(&client(lab), &role(&intruder(lab), lab.facts.breached_account.as_str()).await, name).await;
    minutes(1).await;
}

/// A role that trusts Lambda.
async fn role(sdk: &aws_config::SdkConfig, account: &str) -> String {
    let trust = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "Service": "lambda.amazonaws.com" } },
    ] });
    let iam = aws_sdk_iam::Client::new(sdk);
    iam.create_role().role_name("function").assume_role_policy_document(trust.to_string()).send().await.unwrap();
    format!("arn:aws:iam::{account}:role/function")
}

async fn create(lambda: &Client, role: &str, name: &str) {
    let code = FunctionCode::builder().zip_file(Blob::new("PK")).build();
    let request = lambda.create_function().function_name(name).role(role).code(code).tags("team", "x");
    request.runtime(Runtime::from("python3.13")).handler("x.handler").send().await.unwrap();
}

/// A queue that has it work.
async fn queue(lab: &Lab, name: &str) {
    let queue = format!("arn:aws:sqs:{}:{}:jobs", lab.region().region, lab.facts.breached_account);
    client(lab).create_event_source_mapping().function_name(name).event_source_arn(queue).send().await.unwrap();
    minutes(1).await;
}

async fn provision(lab: &Lab, name: &str) {
    let lambda = client(lab);
    lambda.publish_version().function_name(name).send().await.unwrap();
    lambda.put_function_concurrency().function_name(name).reserved_concurrent_executions(20).send().await.unwrap();
    let request = lambda.put_provisioned_concurrency_config().function_name(name).qualifier("1");
    request.provisioned_concurrent_executions(7).send().await.unwrap();
}

/// A URL for everybody, another account in the policy of an alias, and what is no outsider.
async fn open(lab: &Lab, name: &str) {
    let lambda = client(lab);
    lambda.publish_version().function_name(name).send().await.unwrap();
    lambda.create_alias().function_name(name).name("live").function_version("1").send().await.unwrap();
    let url = lambda.create_function_url_config().function_name(name).auth_type(FunctionUrlAuthType::None);
    url.send().await.unwrap();
    let add = |id: &str, action: &str, principal: &str| {
        let request = lambda.add_permission().function_name(name).statement_id(id);
        request.action(format!("lambda:{action}")).principal(principal)
    };
    let url = add("url", "InvokeFunctionUrl", "*").function_url_auth_type(FunctionUrlAuthType::None);
    url.send().await.unwrap();
    add("url-too", "InvokeFunction", "*").invoked_via_function_url(true).send().await.unwrap();
    add("back", "InvokeFunction", ELSEWHERE).qualifier("live").send().await.unwrap();
    let topic = format!("arn:aws:sns:{}:{}:t", lab.region().region, lab.facts.breached_account);
    add("topic", "InvokeFunction", "sns.amazonaws.com").source_arn(topic).send().await.unwrap();
}

/// When a function last ran.
fn last_invoked(lab: &Lab, name: &str) -> Option<Timestamp> {
    let world = lab.sim.world();
    let target = lab.region();
    world.region(&target.account, &target.region).lambda.functions[name].last_invoked
}

/// What an unsigned request to a URL gets.
async fn visit(lab: &Lab, url: &str) -> u16 {
    lab.sim.request(Request::get(url).body(Bytes::new()).unwrap()).await.unwrap().status().as_u16()
}

#[tokio::test(start_paused = true)]
async fn functions_are_found_with_what_lets_others_in() {
    let lab = Lab::new().await;
    function(&lab, "beacon").await;
    open(&lab, "beacon").await;
    queue(&lab, "beacon").await;
    let all = ["tags", "concurrency", "url_auth", "foreign", "everybody", "event_sources"];
    let cx = lab.enter(&lab.region(), quell::engine::ports::Access::Read).await;
    let wanted = quell::engine::action::Wanted { fields: all.to_vec(), known: Vec::new() };
    let source = lab.table.source("lambda.functions").unwrap();
    let found = source.list(&cx, &serde_json::Map::new(), &wanted).await.unwrap().members;
    let [function] = &found[..] else { panic!("{found:?}") };
    let account = lab.facts.breached_account.as_str();
    for (name, value) in [
        ("runtime", json!("python3.13")),
        ("role", json!(format!("arn:aws:iam::{account}:role/function"))),
        ("state", json!("Active")),
        ("concurrency", json!(-1)),
        ("url_auth", json!(["NONE"])),
        ("everybody", json!(true)),
        ("foreign", json!([])),
        ("event_sources", json!([format!("arn:aws:sqs:{}:{account}:jobs", lab.region().region)])),
        ("tags", json!({ "team": "x" })),
    ] {
        assert_eq!(function.fields[name], value, "{name}");
    }
    assert!(function.fields["modified"].as_str().unwrap().starts_with("20"), "{:?}", function.fields["modified"]);

    let before = lab.sim.log().len();
    source.list(&cx, &serde_json::Map::new(), &quell::engine::action::Wanted::default()).await.unwrap();
    assert_eq!(lab.sim.log().len(), before + 1, "what nobody wants to know is not asked for");
}

#[tokio::test(start_paused = true)]
async fn a_function_runs_nothing_and_goes_on_as_it_was() {
    let lab = Lab::new().await;
    function(&lab, "beacon").await;
    queue(&lab, "beacon").await;
    let members = lab.list("lambda.functions", json!({}), &lab.region()).await;
    let drive = Drive::new(&lab, "lambda.stop", json!({}), &lab.region(), &members);
    drive.there_and_back().await;
    drive.back_without_effects().await;

    minutes(1).await;
    let items = drive.items().await;
    drive.apply(&items).await;
    minutes(1).await;
    let stopped = last_invoked(&lab, "beacon").unwrap();
    minutes(30).await;
    assert_eq!(last_invoked(&lab, "beacon"), Some(stopped), "its queue has it do nothing");
    let refused = client(&lab).invoke().function_name("beacon").send().await.unwrap_err();
    assert_eq!(refused.code(), Some("TooManyRequestsException"));
    assert_eq!(drive.items().await, []);
    drive.undo(&items, &[Value::Null]).await;
    minutes(5).await;
    assert!(last_invoked(&lab, "beacon") > Some(stopped), "it works again");
}

#[tokio::test(start_paused = true)]
async fn provisioned_concurrency_is_in_the_way_and_comes_back() {
    let lab = Lab::new().await;
    function(&lab, "beacon").await;
    provision(&lab, "beacon").await;
    let first = client(&lab).put_function_concurrency().function_name("beacon").reserved_concurrent_executions(0);
    assert_eq!(first.send().await.unwrap_err().code(), Some("InvalidParameterValueException"), "the wrong order");
    let members = lab.list("lambda.functions", json!({}), &lab.region()).await;
    let drive = Drive::new(&lab, "lambda.stop", json!({}), &lab.region(), &members);
    drive.there_and_back().await;
    let now = drive.look().await;
    assert_eq!(now[0].prior["provisioned"], json!({ "1": 7 }));
    assert_eq!(now[0].prior["reserved"], json!(20));
}

#[tokio::test(start_paused = true)]
async fn ways_in_are_closed_one_by_one_and_opened_again() {
    let lab = Lab::new().await;
    function(&lab, "beacon").await;
    open(&lab, "beacon").await;
    let url = client(&lab).get_function_url_config().function_name("beacon").send().await.unwrap().function_url;
    assert_eq!(visit(&lab, &url).await, 200, "whoever knows the URL has it run");

    let members = lab.list("lambda.functions", json!({}), &lab.region()).await;
    let keep = json!({ "keep": [format!("arn:aws:iam::{ELSEWHERE}:root")] });
    let but = Drive::new(&lab, "lambda.close-policy", keep, &lab.region(), &members);
    assert_eq!(but.items().await[0].prior["statements"].as_object().unwrap().keys().collect::<Vec<_>>(), [""]);
    let drive = Drive::new(&lab, "lambda.close-policy", json!({}), &lab.region(), &members);
    drive.there_and_back().await;
    drive.back_without_effects().await;
    assert_eq!(visit(&lab, &url).await, 200, "open again");

    let items = drive.items().await;
    drive.apply(&items).await;
    assert_eq!(visit(&lab, &url).await, 403);
    let policy = client(&lab).get_policy().function_name("beacon").send().await.unwrap().policy.unwrap();
    let policy: Value = serde_json::from_str(&policy).unwrap();
    assert_eq!(policy["Statement"].as_array().unwrap().len(), 1, "{policy}");
    assert_eq!(policy["Statement"][0]["Sid"], "topic", "what is no outsider stays");
}

#[tokio::test(start_paused = true)]
async fn switching_keys_off_closes_no_url() {
    let lab = Lab::new().await;
    function(&lab, "beacon").await;
    open(&lab, "beacon").await;
    let url = client(&lab).get_function_url_config().function_name("beacon").send().await.unwrap().function_url;
    let members = lab.intruder().await;
    for action in ["iam.deactivate-access-keys", "iam.deny-all"] {
        let drive = Drive::new(&lab, action, json!({}), &lab.global(), &members);
        drive.apply(&drive.items().await).await;
    }
    minutes(1).await;
    assert!(client(&lab).invoke().function_name("beacon").send().await.is_err(), "the key is off");
    assert_eq!(visit(&lab, &url).await, 200, "the URL needs none");
    let functions = lab.list("lambda.functions", json!({}), &lab.region()).await;
    let stop = Drive::new(&lab, "lambda.stop", json!({}), &lab.region(), &functions);
    stop.apply(&stop.items().await).await;
    assert_eq!(visit(&lab, &url).await, 429);
}

#[tokio::test(start_paused = true)]
async fn a_role_is_passed_to_functions_only_by_whom_that_is_allowed() {
    let lab = Lab::new().await;
    let role = role(&intruder(&lab), lab.facts.breached_account.as_str()).await;
    allow_only(&lab, &["lambda:*"]);
    minutes(1).await;
    let code = FunctionCode::builder().zip_file(Blob::new("PK")).build();
    let request = client(&lab).create_function().function_name("spy").role(role).code(code);
    let refused = request.runtime(Runtime::from("python3.13")).handler("x.handler").send().await.unwrap_err();
    assert_eq!(refused.code(), Some("AccessDeniedException"));
    assert!(refused.message().unwrap().contains("iam:PassRole"), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_run_stops_functions_and_shuts_them_and_takes_both_back() {
    let lab = Region::new();
    let sdk = lab.intruder().await;
    let lambda = Client::new(&sdk);
    let role = role(&sdk, lab.facts.breached_account.as_str()).await;
    create(&lambda, &role, "beacon").await;
    let url = lambda.create_function_url_config().function_name("beacon").auth_type(FunctionUrlAuthType::None);
    url.send().await.unwrap();
    wait(60).await;
    let sets = "  functions: { from: lambda.functions, where: 'url_auth.exists(a, a == \"NONE\")' }";
    let steps = "  - { id: stop, uses: lambda.stop, on: functions }\n\
                 \x20 - { id: close, uses: lambda.close-policy, on: functions }";
    let summary = lab.run(&of(&lab, sets, steps)).await;
    assert_eq!(summary.outcome, RunOutcome::Contained, "{summary:#?}");
    assert_eq!(summary.changes.done, 2);
    let back = lab.take_back().await;
    assert_eq!(back.outcome, RunOutcome::RolledBack, "{back:#?}");
    let auth = lambda.get_function_url_config().function_name("beacon").send().await.unwrap().auth_type;
    assert_eq!(auth, FunctionUrlAuthType::None);
}
