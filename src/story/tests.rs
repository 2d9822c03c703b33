//! Stories of hand-made records.

use serde_json::json;

use super::*;
use crate::evidence::item::{Entry, VERSION};
use crate::evidence::{Ended, Header, Item};
use crate::model::{AccountId, Region, RunId};

const ACCOUNT: &str = "111122223333";
const ADMIN: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
const READER: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:Get*","Resource":"*"}]}"#;
/// The key that leaked, and others.
const LEAKED: &str = "AKIALEAKEDLEAKEDLEAK";
const NEW: &str = "AKIANEWNEWNEWNEWNEWN";
const DESK: &str = "AKIADESKDESKDESKDESK";
const OFFICE: &str = "192.0.2.10";
const AWAY: &str = "198.51.100.23";

fn at(time: &str) -> Timestamp {
    format!("2026-03-03T{time}:00Z").parse().unwrap()
}

fn day(text: &str) -> Timestamp {
    format!("{text}T10:00:00Z").parse().unwrap()
}

fn arn(user: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:user/{user}")
}

/// A record, as AWS answered at five in the afternoon.
fn seen(api: &str, parameters: Value, answer: &Value) -> Vec<Seen> {
    seen_at(at("17:00"), api, parameters, answer)
}

fn seen_at(asked: Timestamp, api: &str, parameters: Value, answer: &Value) -> Vec<Seen> {
    let item = item(asked, api, parameters, answer);
    let of = |record| Seen {
        record,
        api: item.api.clone(),
        parameters: item.parameters.clone(),
        sha256: item.sha256.clone(),
    };
    resources::records(&item, answer).into_iter().map(of).collect()
}

fn item(asked: Timestamp, api: &str, parameters: Value, answer: &Value) -> Item {
    let Value::Object(parameters) = parameters else { panic!("parameters are an object") };
    let (account, region) = (AccountId::new(ACCOUNT).unwrap(), Region::new("us-east-1").unwrap());
    let sha256 = Digest::of(answer.to_string());
    Item { api: api.to_owned(), parameters, account, region, request: None, at: asked, sha256, bytes: 0 }
}

/// Users, each with a policy.
fn people(users: &[(&str, &str)]) -> Vec<Seen> {
    let user = |(name, policy): &(&str, &str)| {
        let policies = json!([{ "PolicyName": "own", "PolicyDocument": policy }]);
        json!({ "UserName": name, "Arn": arn(name), "CreateDate": "2025-01-01T00:00:00Z", "UserPolicyList": policies })
    };
    let users: Vec<Value> = users.iter().map(user).collect();
    seen("iam:GetAccountAuthorizationDetails", json!({}), &json!({ "UserDetailList": users }))
}

/// A key with its making and its last use.
fn key(user: &str, id: &str, made: Timestamp, used: Option<(Timestamp, &str)>) -> Vec<Seen> {
    let state = json!({ "UserName": user, "AccessKeyId": id, "Status": "Active", "CreateDate": made.to_string() });
    let mut all = seen("iam:ListAccessKeys", json!({ "UserName": user }), &json!({ "AccessKeyMetadata": [state] }));
    let last = match used {
        Some((at, service)) => json!({ "LastUsedDate": at.to_string(), "ServiceName": service, "Region": "us-east-1" }),
        None => json!({ "ServiceName": "N/A", "Region": "N/A" }),
    };
    let answer = json!({ "UserName": user, "AccessKeyLastUsed": last });
    all.extend(seen("iam:GetAccessKeyLastUsed", json!({ "AccessKeyId": id }), &answer));
    all
}

/// The credential report, of users with passwords: when each was set and last used.
fn passwords(rows: &[(&str, Timestamp, Option<Timestamp>)]) -> Vec<Seen> {
    use std::fmt::Write as _;

    use base64::Engine as _;
    let mut text = "user,password_enabled,password_last_used,password_last_changed\n".to_owned();
    for (user, set, used) in rows {
        let used = used.map_or_else(|| "no_information".to_owned(), |used| used.to_string());
        writeln!(text, "{user},true,{used},{set}").unwrap();
    }
    let content = base64::engine::general_purpose::STANDARD.encode(text);
    seen("iam:GetCredentialReport", json!({}), &json!({ "Content": content }))
}

/// A recorded call.
fn call(
    name: &str,
    when: Timestamp,
    (user, key, address): (&str, &str, &str),
    request: Value,
    response: Value,
) -> Vec<Seen> {
    let id = format!("{name} {when} {user} {key}");
    let event = json!({
        "userIdentity": { "type": "IAMUser", "arn": arn(user), "accessKeyId": key },
        "eventTime": when.to_string(), "eventName": name, "eventSource": "iam.amazonaws.com", "awsRegion": "us-east-1",
        "eventID": id, "sourceIPAddress": address, "requestParameters": request, "responseElements": response,
        "readOnly": false,
    });
    let event = json!({ "EventId": id, "EventName": name, "CloudTrailEvent": event.to_string() });
    seen("cloudtrail:LookupEvents", json!({}), &json!({ "Events": [event] }))
}

fn key_made(when: Timestamp, by: (&str, &str, &str), owner: &str, id: &str) -> Vec<Seen> {
    let response = json!({ "accessKey": { "accessKeyId": id, "userName": owner } });
    call("CreateAccessKey", when, by, json!({ "userName": owner }), response)
}

fn launched(when: Timestamp, by: (&str, &str, &str)) -> Vec<Seen> {
    let machine = json!({ "instancesSet": { "items": [{ "instanceId": format!("i-{}", when.as_second()) }] } });
    call("RunInstances", when, by, json!({ "imageId": "ami-1" }), machine)
}

fn story(parts: Vec<Vec<Seen>>, leaked: &[&str]) -> Story {
    let seen: Vec<Seen> = parts.into_iter().flatten().collect();
    let leaked_keys = leaked.iter().map(|key| AccessKeyId::new(key).unwrap()).collect();
    let known = Known { leaked_keys, since: Some(at("14:44")) };
    let window = Window::of(&known, at("17:00"), Some(at("17:00")));
    told(&seen, facts::of(&seen), &known, window, Vec::new())
}

fn verdict(story: &Story, user: &str) -> (Verdict, Confidence) {
    let finding = story.findings.iter().find(|finding| finding.principal == arn(user)).unwrap();
    (finding.verdict, finding.confidence)
}

fn machine(state: Value) -> Vec<Fact> {
    let answer = json!({ "reservationSet": [{ "instancesSet": [state] }] });
    facts::of(&seen("ec2:DescribeInstances", json!({}), &answer))
}

#[test]
fn a_restart_does_not_move_the_launch() {
    let interface = json!([{ "attachment": { "deviceIndex": "0", "attachTime": "2026-02-01T08:00:00.000Z" } }]);
    let facts = machine(json!({
        "instanceId": "i-1", "instanceType": "m5.large", "launchTime": "2026-03-03T14:50:00.000Z",
        "networkInterfaceSet": interface, "instanceState": { "name": "stopped" },
        "reason": "User initiated (2026-03-03 15:20:00 GMT)",
    }));
    let told: Vec<_> = facts.iter().map(|fact| (fact.act, fact.time.to_string())).collect();
    let expected = [
        (Act::MachineLaunched, "2026-02-01T08:00:00Z".to_owned()),
        (Act::MachineRestarted, "2026-03-03T14:50:00Z".to_owned()),
        (Act::MachineStopped, "2026-03-03T15:20:00Z".to_owned()),
    ];
    assert_eq!(told, expected);
    assert_eq!(facts[0].field, "networkInterfaceSet/attachment/attachTime");
}

#[test]
fn without_its_interface_a_launch_is_doubtful_and_says_so() {
    let facts = machine(json!({ "instanceId": "i-1", "launchTime": "2026-03-03T14:50:00.000Z" }));
    assert_eq!((facts.len(), facts[0].act, facts[0].notes.len()), (1, Act::MachineLaunched, 1));
}

#[test]
fn a_launch_template_says_who_made_it() {
    let template = json!({
        "launchTemplateId": "lt-1", "launchTemplateName": "t", "createTime": "2026-03-03T14:47:00.000Z",
        "createdBy": "arn:aws:sts::111122223333:assumed-role/Admin/session",
    });
    let facts = facts::of(&seen("ec2:DescribeLaunchTemplates", json!({}), &json!({ "launchTemplates": [template] })));
    assert_eq!(facts[0].by.as_ref().unwrap().principal, "arn:aws:iam::111122223333:role/Admin");
}

#[test]
fn what_two_captures_say_is_there_once() {
    let twice = vec![key("mara", LEAKED, day("2025-03-03"), None), key("mara", LEAKED, day("2025-03-03"), None)];
    let made = story(twice, &[]).facts.into_iter().filter(|fact| fact.act == Act::KeyMade);
    assert_eq!(made.count(), 1);
}

#[test]
fn a_refused_call_made_nothing() {
    let mut refused = key_made(at("14:43"), ("eve", DESK, AWAY), "mara", NEW);
    let event = refused[0].record.state["CloudTrailEvent"]
        .as_str()
        .unwrap()
        .replace("\"readOnly\"", "\"errorCode\":\"AccessDenied\",\"readOnly\"");
    refused[0].record.state["CloudTrailEvent"] = json!(event);
    let facts = facts::of(&refused);
    assert_eq!(facts[0].act, Act::Called);
    assert!(facts[0].message.ends_with("which was refused: AccessDenied"), "{}", facts[0].message);
}

/// A leaked key makes another and sets a colleague's password, and no history has it.
fn without_history() -> Vec<Vec<Seen>> {
    vec![
        people(&[("mara", ADMIN), ("jonas", ADMIN), ("lea", ADMIN), ("ci", READER)]),
        key("mara", LEAKED, day("2025-03-03"), Some((at("14:44"), "iam"))),
        key("mara", NEW, at("14:43"), Some((at("15:12"), "ec2"))),
        key("lea", DESK, day("2025-03-03"), Some((at("09:00"), "s3"))),
        passwords(&[("jonas", at("14:44"), None), ("mara", day("2025-03-03"), None)]),
    ]
}

#[test]
fn dates_alone_tell_the_framed_from_the_compromised() {
    let story = story(without_history(), &[LEAKED]);
    assert_eq!(verdict(&story, "mara"), (Verdict::CredentialsUsed, Confidence::Dated));
    assert_eq!(verdict(&story, "jonas"), (Verdict::Framed, Confidence::Dated));
    for nobody in ["lea", "ci"] {
        assert_eq!(verdict(&story, nobody).0, Verdict::NoSign);
    }
    let jonas = story.findings.iter().find(|finding| finding.name == "jonas").unwrap();
    let who = &jonas.looks_like[0].text;
    // lea's key was last used in the morning, and ci may not.
    assert!(who.contains("mara") && !who.contains("lea") && !who.contains("ci"), "{who}");
    assert!(!jonas.looks_like[0].evidence.is_empty() && !jonas.against.is_empty());
}

#[test]
fn a_last_use_that_was_asked_for_too_soon_clears_nobody() {
    let all: Vec<Seen> = without_history().into_iter().flatten().collect();
    let early = |mut seen: Seen| {
        seen.record.at = at("14:50");
        seen
    };
    let principals = principals::Principals::of(&all.iter().cloned().map(early).collect::<Vec<_>>());
    let lea = principals.get(&arn("lea")).unwrap();
    let nothing = principals::Credential::Key(String::new());
    assert_eq!(suspects::opportunities(lea, at("14:44"), &nothing).len(), 1);
    let later = principals::Principals::of(&all);
    assert!(suspects::opportunities(later.get(&arn("lea")).unwrap(), at("14:44"), &nothing).is_empty());
}

#[test]
fn who_changed_his_own_password_after_signing_in_is_not_framed() {
    let mut parts = without_history();
    parts[4] = passwords(&[("jonas", at("14:44"), Some(at("14:40")))]);
    assert_eq!(verdict(&story(parts.clone(), &[LEAKED]), "jonas").0, Verdict::NoSign);
    // A sign-in with the new password may be anybody's.
    parts[4] = passwords(&[("jonas", at("14:44"), Some(at("14:46")))]);
    assert_eq!(verdict(&story(parts, &[LEAKED]), "jonas").0, Verdict::Framed);
}

#[test]
fn a_leaked_key_that_is_gone_is_still_its_owners() {
    let mut parts = without_history();
    for seen in &mut parts[1] {
        seen.record.at = day("2026-02-01");
    }
    parts[1][1].record.state["AccessKeyLastUsed"]["LastUsedDate"] = json!("2026-01-31T00:00:00Z");
    let story = story(parts, &[LEAKED]);
    assert_eq!(verdict(&story, "mara").0, Verdict::CredentialsUsed);
}

/// jonas makes a key for mara, which mines; it is that key that is named.
fn planted(from: &str, used_from: &[&str]) -> Vec<Vec<Seen>> {
    let mut parts = vec![
        people(&[("mara", ADMIN), ("jonas", ADMIN)]),
        key("jonas", DESK, day("2025-03-03"), Some((at("14:43"), "iam"))),
        key("mara", NEW, at("14:43"), Some((at("15:12"), "ec2"))),
        call("TagUser", day("2026-02-10"), ("jonas", DESK, OFFICE), json!({}), Value::Null),
        key_made(at("14:43"), ("jonas", DESK, from), "mara", NEW),
    ];
    parts.extend(
        used_from.iter().enumerate().map(|(number, from)| launched(at(&format!("14:5{number}")), ("mara", NEW, from))),
    );
    parts
}

#[test]
fn an_insider_acted_when_all_of_it_came_from_where_he_always_worked() {
    let story = story(planted(OFFICE, &[OFFICE, OFFICE]), &[NEW]);
    assert_eq!(verdict(&story, "jonas"), (Verdict::Acted, Confidence::Recorded));
    assert_eq!(verdict(&story, "mara"), (Verdict::Framed, Confidence::Recorded));
}

#[test]
fn from_another_address_it_is_open_who_did_it() {
    let story = story(planted(AWAY, &[AWAY]), &[NEW]);
    assert_eq!(verdict(&story, "jonas"), (Verdict::CredentialsUsed, Confidence::Recorded));
}

#[test]
fn who_made_a_key_in_good_faith_is_not_accused() {
    for used_from in [&[AWAY][..], &[OFFICE, AWAY][..]] {
        let story = story(planted(OFFICE, used_from), &[NEW]);
        assert_eq!(verdict(&story, "jonas").0, Verdict::NoSign, "{used_from:?}");
    }
    // Nor without a history: one key is a service.
    let dated = planted(OFFICE, &[]).into_iter().take(3).collect();
    assert_eq!(verdict(&story(dated, &[NEW]), "jonas").0, Verdict::NoSign);
}

#[test]
fn a_key_and_a_password_that_only_one_can_have_made_are_a_takeover() {
    let mut dated: Vec<_> = planted(OFFICE, &[]).into_iter().take(3).collect();
    dated.push(passwords(&[("mara", at("14:44"), None)]));
    let story = story(dated, &[NEW]);
    assert_eq!(verdict(&story, "jonas"), (Verdict::CredentialsUsed, Confidence::Dated));
    assert_eq!(verdict(&story, "mara"), (Verdict::Framed, Confidence::Dated));
}

#[test]
fn nobody_is_accused_while_no_key_is_named() {
    let story = story(planted(OFFICE, &[OFFICE]), &[]);
    assert!(story.findings.iter().all(|finding| finding.verdict == Verdict::NoSign));
    assert!(story.remarks.iter().any(|remark| remark.contains(&format!("--leaked-key {NEW}"))), "{:?}", story.remarks);
}

#[test]
fn the_phases_are_those_of_the_incident() {
    let mut parts = planted(OFFICE, &[OFFICE]);
    parts.push(call("CopyImage", day("2026-02-24"), ("mara", NEW, AWAY), json!({}), json!({ "imageId": "ami-1" })));
    parts.push(call("CopyImage", day("2026-02-24"), ("mara", DESK, AWAY), json!({}), json!({ "imageId": "ami-2" })));
    let story = story(parts, &[NEW]);
    let phase =
        |act: Act, id: &str| story.facts.iter().find(|fact| fact.act == act && fact.subject.id == id).unwrap().phase;
    assert_eq!(phase(Act::ImageMade, "ami-1"), Some(Phase::Preparation), "a machine of the incident came from it");
    assert_eq!(phase(Act::ImageMade, "ami-2"), None);
    assert_eq!(phase(Act::KeyMade, NEW), Some(Phase::Persistence));
    assert_eq!(phase(Act::KeyMade, DESK), None, "long before");
    assert_eq!(phase(Act::KeyUsed, NEW), Some(Phase::Entry));
}

/// A capture in a store, of these answers.
fn captured(store: &Store, id: &str, began: Timestamp, answers: &[(&str, Value)]) -> Captured {
    let id = RunId::new(id).unwrap();
    let header = Header {
        quell_capture: VERSION,
        id: id.clone(),
        began,
        by: arn("noa"),
        quell: "0".to_owned(),
        accounts: vec![AccountId::new(ACCOUNT).unwrap()],
    };
    let mut manifest = store.begin(&header).unwrap();
    for (api, answer) in answers {
        let (sha256, _) = store.keep(answer.to_string().as_bytes()).unwrap();
        let item = Item { sha256, ..item(began, api, json!({}), answer) };
        manifest.add(&Entry::Item(item)).unwrap();
    }
    manifest.add(&Entry::Ended(Ended { at: began, items: answers.len() as u64, gaps: 0 })).unwrap();
    store.capture(&id).unwrap()
}

#[test]
fn what_differs_between_captures_is_inferred_and_what_was_not_looked_at_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::make(folder.path()).unwrap();
    let user = |policies: Value| json!({ "UserDetailList": [{ "UserName": "jonas", "Arn": arn("jonas"), "AttachedManagedPolicies": policies }] });
    let groups = json!({ "securityGroupInfo": [{ "groupId": "sg-1" }] });
    let details = "iam:GetAccountAuthorizationDetails";
    let first = [(details, user(json!([]))), ("ec2:DescribeSecurityGroups", groups)];
    let first = captured(&store, "first", day("2026-03-02"), &first);
    let second = [(details, user(json!([{ "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess" }])))];
    let second = captured(&store, "second", at("16:00"), &second);
    let story = tell(&store, &[first, second], &Known { since: Some(at("14:44")), ..Known::default() }, &[]).unwrap();
    let inferred: Vec<&Fact> = story.facts.iter().filter(|fact| fact.confidence == Confidence::Inferred).collect();
    assert_eq!(inferred.len(), 1, "the second capture could not look at security groups: {inferred:?}");
    assert_eq!((inferred[0].act, inferred[0].subject.user.as_deref()), (Act::PolicyChanged, Some("jonas")));
    assert_eq!(inferred[0].precision, Precision::Between { after: day("2026-03-02") });
    assert!(inferred[0].evidence.is_some());
}

#[test]
fn a_clock_that_is_wrong_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::make(folder.path()).unwrap();
    let mut capture = captured(&store, "one", at("16:00"), &[("s3:ListBuckets", json!({ "Buckets": null }))]);
    for entry in &mut capture.entries {
        if let Entry::Item(item) = entry {
            item.at = at("16:01");
        }
    }
    let told = tell(&store, &[capture], &Known::default(), &[]).unwrap();
    assert!(told.remarks.iter().any(|remark| remark.contains("differ by at least 60 s")), "{:?}", told.remarks);
}
