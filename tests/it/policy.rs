//! The evaluator of policies beside AWS's documented examples and an independent evaluator.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use quell::policy::{Case, Others, explain};
use serde_json::{Map, Value, json};

use crate::node;

/// How many cases are compared.
const COMPARED: usize = 4_000;

/// The decision on a case, with what it was made because of.
fn decided(case: &Value, others: Others) -> (&'static str, Vec<String>) {
    let read: Case = serde_json::from_value(case.clone()).unwrap_or_else(|error| panic!("{error}: {case}"));
    let (request, layers) = read.read(others).unwrap_or_else(|error| panic!("{error}: {case}"));
    let explanation = explain(&request, &layers);
    (explanation.verdict.as_str(), explanation.because)
}

/// Each example of tests/policies/documented.json is from the page of AWS's documentation that stands beside it: the
/// policies are AWS's, the request is one that the page speaks of.
#[test]
fn examples_of_the_documentation_are_decided_as_documented() {
    let text = std::fs::read_to_string(node::source("tests/policies/documented.json")).unwrap();
    let pages: Vec<Value> = serde_json::from_str(&text).unwrap();
    let (mut seen, mut wrong) = (0, Vec::new());
    for page in &pages {
        for example in page["examples"].as_array().unwrap() {
            let mut case = page["given"].as_object().unwrap().clone();
            case.extend(example["when"].as_object().unwrap().clone());
            let found = decided(&Value::Object(case), Others::Unknown);
            seen += 1;
            if example["decision"] != found.0 {
                wrong.push(format!("{} {} is {found:?}", page["page"], example));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {seen}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(seen > 100);
}

const EVE: &str = "arn:aws:iam::111122223333:user/eve";
const ROLE: &str = "arn:aws:iam::111122223333:role/Worker";
const SESSION: &str = "arn:aws:sts::111122223333:assumed-role/Worker/job";
const STRANGER: &str = "arn:aws:iam::444455556666:user/stranger";
const SERVICE: &str = "ec2.amazonaws.com";
const OBJECT: &str = "arn:aws:s3:::bucket/blue/file";
const INSTANCE: &str = "arn:aws:ec2:eu-west-1:111122223333:instance/i-1";

/// A condition key with values that requests have, values that policies have, and the operators that suit them.
type Key = (&'static str, &'static [&'static str], &'static [&'static str], &'static [&'static str]);

const KEYS: [Key; 9] = [
    (
        "aws:RequestedRegion",
        &["eu-west-1", "us-east-1"],
        &["eu-west-1", "eu-*", "US-EAST-1", "??-east-1", "*"],
        &[
            "StringEquals",
            "StringNotEquals",
            "StringLike",
            "StringNotLike",
            "StringEqualsIgnoreCase",
            "StringNotEqualsIgnoreCase",
        ],
    ),
    (
        "aws:PrincipalTag/team",
        &["blue", "red", "*"],
        &["blue", "${aws:RequestedRegion}", "${aws:PrincipalTag/none, 'blue'}", "b${*}", "r?d"],
        &["StringEquals", "StringLike", "StringNotLike"],
    ),
    (
        "aws:SourceIp",
        &["10.1.2.3", "192.0.2.7", "2001:db8::1"],
        &["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"],
        &["IpAddress", "NotIpAddress"],
    ),
    (
        "aws:SourceArn",
        &["arn:aws:sns:eu-west-1:111122223333:topic", "arn:aws:s3:::bucket"],
        &["arn:aws:sns:*:*:topic", "arn:aws:sns:eu-*:111122223333:*", "arn:aws:s3:::bucket"],
        &["ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"],
    ),
    (
        "s3:max-keys",
        &["5", "10", "10.5"],
        &["5", "10", "11"],
        &[
            "NumericEquals",
            "NumericNotEquals",
            "NumericLessThan",
            "NumericLessThanEquals",
            "NumericGreaterThan",
            "NumericGreaterThanEquals",
        ],
    ),
    (
        "aws:CurrentTime",
        &["2026-11-23T14:00:00Z", "2025-01-01T00:00:00Z"],
        &["2026-11-23T14:00:00Z", "2026-01-01T00:00:00Z"],
        &[
            "DateEquals",
            "DateNotEquals",
            "DateLessThan",
            "DateLessThanEquals",
            "DateGreaterThan",
            "DateGreaterThanEquals",
        ],
    ),
    ("aws:MultiFactorAuthPresent", &["true", "false"], &["true", "false"], &["Bool"]),
    ("kms:Bytes", &["QmluYXJ5", "b3RoZXI="], &["QmluYXJ5"], &["BinaryEquals"]),
    ("aws:ViaAWSService", &["false"], &["true", "false"], &["Null"]),
];

fn condition() -> impl Strategy<Value = (String, Value)> {
    let plain = select(KEYS.to_vec()).prop_flat_map(|(key, _, patterns, operators)| {
        let values = prop::collection::vec(select(patterns), 1..3);
        (select(operators), prop::bool::ANY, values).prop_map(move |(operator, if_exists, values)| {
            let operator =
                if if_exists && operator != "Null" { format!("{operator}IfExists") } else { operator.to_owned() };
            let values = if operator == "Null" { &values[..1] } else { &values[..] };
            (operator, json!({ key: values }))
        })
    });
    let sets = select(vec![
        "ForAnyValue:StringEquals",
        "ForAllValues:StringLike",
        "ForAnyValue:StringNotEquals",
        "ForAllValues:StringNotLike",
        "ForAnyValue:StringLikeIfExists",
    ]);
    let tags = (sets, prop::collection::vec(select(vec!["owner", "cost*", "stage"]), 1..3))
        .prop_map(|(operator, values)| (operator.to_owned(), json!({ "aws:TagKeys": values })));
    prop_oneof![5 => plain, 1 => tags]
}

fn one_or_not(
    name: &'static str,
    not: &'static str,
    pool: Vec<&'static str>,
) -> impl Strategy<Value = (&'static str, Value)> {
    let name = prop_oneof![5 => Just(name), 1 => Just(not)];
    (name, prop::collection::vec(select(pool), 1..3)).prop_map(|(name, values)| (name, json!(values)))
}

fn statement(
    principal: BoxedStrategy<Option<(&'static str, Value)>>,
    kind: &'static str,
) -> impl Strategy<Value = Value> {
    let actions = vec!["*", "s3:*", "s3:Get*", "S3:getobject", "ec2:*", "ec2:Stop?nstances", "sts:*", "sts:AssumeRole"];
    let resources = vec![
        "*",
        "arn:aws:s3:::bucket/*",
        "arn:aws:s3:::bucket/${aws:PrincipalTag/team}/*",
        "arn:aws:s3:::*/blue/????",
        "arn:aws:ec2:*:111122223333:instance/*",
        "arn:aws:ec2:eu-*:*:instance/i-?",
        "arn:aws:iam::*:role/*",
    ];
    let effect = prop_oneof![4 => Just("Allow"), 1 => Just("Deny")];
    let conditions =
        prop_oneof![3 => prop::collection::vec(condition(), 0..1), 2 => prop::collection::vec(condition(), 1..3)];
    (
        effect,
        principal,
        one_or_not("Action", "NotAction", actions),
        one_or_not("Resource", "NotResource", resources),
        conditions,
    )
        .prop_map(move |(effect, principal, action, resource, conditions)| {
            let mut statement = Map::from_iter([("Effect".to_owned(), json!(effect)), (action.0.to_owned(), action.1)]);
            if kind != "trust" {
                statement.insert(resource.0.to_owned(), resource.1);
            }
            if let Some((name, who)) = principal {
                let name = if effect == "Allow" { "Principal" } else { name };
                statement.insert(name.to_owned(), who);
            }
            if !conditions.is_empty() {
                let conditions: BTreeMap<String, Value> = conditions.into_iter().collect();
                statement.insert("Condition".to_owned(), json!(conditions));
            }
            Value::Object(statement)
        })
}

fn document(
    principal: BoxedStrategy<Option<(&'static str, Value)>>,
    kind: &'static str,
) -> impl Strategy<Value = Value> {
    let version = prop_oneof![9 => Just("2012-10-17"), 1 => Just("2008-10-17")];
    (version, prop::collection::vec(statement(principal, kind), 1..4))
        .prop_map(|(version, statements)| json!({ "Version": version, "Statement": statements }))
}

fn policy() -> impl Strategy<Value = Value> {
    document(Just(None).boxed(), "identity")
}

fn of_resource(kind: &'static str) -> impl Strategy<Value = Value> {
    let who = vec![
        json!("*"),
        json!({ "AWS": "111122223333" }),
        json!({ "AWS": [EVE, "arn:aws:iam::444455556666:root"] }),
        json!({ "AWS": ROLE }),
        json!({ "AWS": SESSION }),
        json!({ "AWS": [STRANGER, SESSION] }),
        json!({ "Service": SERVICE }),
    ];
    let name = prop_oneof![9 => Just("Principal"), 1 => Just("NotPrincipal")];
    document((name, select(who)).prop_map(Some).boxed(), kind)
}

fn context() -> impl Strategy<Value = Map<String, Value>> {
    let values: Vec<_> = KEYS.iter().map(|(_, values, ..)| prop::option::weighted(0.7, select(*values))).collect();
    let tags = prop::option::of(prop::collection::vec(select(vec!["owner", "cost-centre", "stage"]), 1..3));
    (values, tags).prop_map(|(values, tags)| {
        let given = KEYS.iter().zip(values).filter_map(|((key, ..), value)| Some(((*key).to_owned(), json!(value?))));
        given.chain(tags.map(|tags| ("aws:TagKeys".to_owned(), json!(tags)))).collect()
    })
}

/// A case with the keys that follow from its principal written out, as the other evaluator derives none.
fn case() -> impl Strategy<Value = Value> {
    let asked = select(vec![
        ("s3:GetObject", OBJECT, "111122223333", "resource"),
        ("s3:PutObject", OBJECT, "111122223333", "resource"),
        ("s3:GetObject", OBJECT, "444455556666", "resource"),
        ("ec2:StopInstances", INSTANCE, "111122223333", "none"),
        ("sts:AssumeRole", "arn:aws:iam::111122223333:role/Target", "111122223333", "trust"),
        ("sts:AssumeRole", "arn:aws:iam::444455556666:role/Target", "444455556666", "trust"),
    ]);
    // Most often, something that allows: cases that are all denied tell little.
    let policies = |most: usize| {
        let all =
            json!({ "Version": "2012-10-17", "Statement": { "Effect": "Allow", "Action": "*", "Resource": "*" } });
        let one = prop_oneof![2 => Just(all), 1 => policy()];
        prop::collection::vec(one, 1..=most)
    };
    let levels =
        prop_oneof![1 => prop::collection::vec(policies(2), 0..1), 1 => prop::collection::vec(policies(2), 1..3)];
    let rcps = prop::collection::vec(
        prop::collection::vec(document(Just(Some(("Principal", json!("*")))).boxed(), "rcp"), 0..2),
        0..2,
    );
    let limits = (prop::option::weighted(0.3, policies(1)), prop::option::weighted(0.3, policies(1)));
    let resource = (prop::option::weighted(0.6, of_resource("resource")), of_resource("trust"));
    let who = select(vec![EVE, EVE, SESSION, SESSION, ROLE, STRANGER, SERVICE]);
    let identity = prop_oneof![1 => Just(Vec::new()), 4 => policies(3)];
    (asked, who, context(), levels, rcps, identity, limits, resource).prop_map(
        |(
            (action, target, account, kind),
            who,
            mut context,
            scps,
            rcps,
            identity,
            (boundary, session),
            (resource, trust),
        )| {
            let is_session = who == SESSION;
            context.insert("aws:ResourceAccount".to_owned(), json!(account));
            for (key, value) in [
                ("aws:PrincipalArn", if is_session { ROLE } else { who }),
                ("aws:PrincipalAccount", who.split(':').nth(4).unwrap_or_default()),
            ] {
                if who != SERVICE {
                    context.insert(key.to_owned(), json!(value));
                }
            }
            let mut case = json!({
                "principal": who, "action": action, "resource": target, "context": context,
                "scps": if who == SERVICE { Vec::new() } else { scps }, "rcps": rcps,
                "identity": if who == SERVICE { Vec::new() } else { identity },
            });
            match kind {
                "resource" => case["resource_policy"] = json!(resource),
                "trust" => case["resource_policy"] = trust,
                _ => {}
            }
            if let Some(boundary) = boundary.filter(|_| who != SERVICE) {
                case["boundary"] = boundary[0].clone();
            }
            if let Some(session) = session.filter(|_| is_session) {
                case["session"] = json!(session);
            }
            case
        },
    )
}

fn generated() -> Vec<Value> {
    let mut runner = TestRunner::deterministic();
    let cases = case();
    (0..COMPARED).map(|_| cases.new_tree(&mut runner).unwrap().current()).collect()
}

/// Why a difference between the two evaluators is one that AWS's documentation decides for quell, or leaves open. The
/// reasons are those of tests/decisions.md.
fn explained(case: &Value, ours: &str, theirs: &str) -> Option<&'static str> {
    let text = case.to_string();
    let resource = case["resource_policy"].to_string();
    let lacks = |key: &str| case["context"].get(key).is_none();
    let of_2012: Value = serde_json::from_str(&text.replace("2008-10-17", "2012-10-17")).unwrap();
    if decided(&of_2012, Others::Absent).0 == theirs {
        return Some("variables are texts before version 2012-10-17");
    }
    if ours == "unknown" && text.contains("NotResource") && lacks("aws:PrincipalTag/team") {
        return Some("NotResource with a variable that has no value is not decided");
    }
    if text.contains("StringNotLike") && text.contains("${aws:RequestedRegion}") && lacks("aws:RequestedRegion") {
        return Some("a negated operator holds against a variable that has no value");
    }
    if resource.contains("NotPrincipal") {
        return Some("NotPrincipal: an account that is named does not leave out its users");
    }
    if text.contains("ForAnyValue:StringLikeIfExists") && lacks("aws:TagKeys") {
        return Some("ForAnyValue:…IfExists holds where the key is absent");
    }
    if case["session"].is_array() && (ours, theirs) == ("allowed", "implicit-deny") && resource.contains("Principal") {
        return Some("a session policy does not limit what a resource's policy gives to the session itself");
    }
    None
}

/// What the independent evaluator says.
fn decided_independently(cases: &[Value], folder: &Path) -> Vec<String> {
    let input = cases.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    let mut command = node::script("evaluate.js", folder);
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = process.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    writer.join().unwrap().unwrap();
    let decisions: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(decisions.len(), cases.len());
    decisions
}

#[test]
fn an_independent_evaluator_agrees() {
    let Some(folder) = node::ready() else { return };
    let cases = generated();
    let theirs = decided_independently(&cases, &folder);
    let mut reasons = BTreeMap::<&str, usize>::new();
    let mut unexplained = Vec::new();
    for (case, theirs) in cases.iter().zip(theirs.iter().map(String::as_str)) {
        let (ours, because) = decided(case, Others::Absent);
        if ours == theirs {
            *reasons.entry(ours).or_default() += 1;
        } else if let Some(reason) = explained(case, ours, theirs) {
            *reasons.entry(reason).or_default() += 1;
        } else {
            unexplained.push(format!("ours {ours} {because:?}, theirs {theirs}: {case}"));
        }
    }
    let agreed: usize = ["allowed", "explicit-deny", "implicit-deny"].iter().filter_map(|word| reasons.get(word)).sum();
    let _ = writeln!(
        std::io::stderr(),
        "agreement on {agreed} of {} generated cases; by decision or reason: {reasons:?}",
        cases.len()
    );
    let count = unexplained.len();
    assert!(unexplained.is_empty(), "{count} differ:\n{}", unexplained[..count.min(5)].join("\n\n"));
    for word in ["allowed", "explicit-deny", "implicit-deny"] {
        assert!(reasons.get(word).is_some_and(|count| *count > COMPARED / 10), "too few are {word}: {reasons:?}");
    }
}

/// A decision that was made without knowing some keys is the decision for every value that those keys may have.
#[test]
fn what_is_decided_without_a_key_does_not_hang_on_it() {
    let mut open = 0;
    for case in &generated() {
        let (known, _) = decided(case, Others::Absent);
        let (found, because) = decided(&without_half_of_the_keys(case), Others::Unknown);
        if found == "unknown" {
            open += 1;
            assert!(!because.is_empty(), "{case}");
        } else if known != "unknown" {
            assert_eq!(found == "allowed", known == "allowed", "{found} without some keys, {known} with all: {case}");
        }
    }
    assert!(open > COMPARED / 50, "{open}");
}

/// Takes away every other of the keys that conditions ask for, whether the request has them or not.
fn without_half_of_the_keys(case: &Value) -> Value {
    let mut case = case.clone();
    let context = case["context"].as_object_mut().unwrap();
    for (index, (key, ..)) in KEYS.iter().enumerate() {
        if index % 2 == 0 {
            context.remove(*key);
        } else if !context.contains_key(*key) {
            context.insert((*key).to_owned(), Value::Null);
        }
    }
    case
}
