//! AWS CloudTrail: the event history, and trails.

pub mod trails;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::call::{Body, Call, Permission, Refusal, Reply};
use super::world::World;
use crate::model::{AccountId, Region};

/// What CloudTrail knows in one account and region.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CloudTrail {
    /// The event history, oldest first. What happened is no part of the state, so it is no part of a dump.
    #[serde(skip)]
    pub events: Vec<Event>,
    /// The trails whose home this region is, by name.
    pub trails: BTreeMap<String, trails::Trail>,
}

/// A management event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// `eventID`.
    pub id: String,
    /// When.
    pub time: Timestamp,
    /// `RunInstances`.
    pub name: String,
    /// `ec2.amazonaws.com`.
    pub source: String,
    /// The region.
    pub region: Region,
    /// The account in whose history it stands.
    pub recipient: AccountId,
    /// Whether it only read.
    pub read_only: bool,
    /// Who.
    pub identity: Identity,
    /// Types and names: `AWS::EC2::Instance`, `i-…`.
    pub resources: Vec<(String, String)>,
    /// `requestParameters`.
    pub request: Value,
    /// `responseElements`.
    pub response: Value,
    /// Code and message of the error.
    pub error: Option<(String, String)>,
    /// `requestID`.
    pub request_id: String,
    /// The address that the call came from.
    pub source_address: String,
    /// The program that called.
    pub user_agent: String,
}

/// `userIdentity`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account.
    pub account: AccountId,
    /// The ARN.
    pub arn: String,
    /// `AIDA…`, or `AROA…:session`.
    pub user_id: String,
    /// The access key id; empty where it is not shown.
    pub access_key: String,
    /// The role of an assumed-role session: `sessionContext.sessionIssuer`.
    pub issuer: Option<String>,
}

impl Identity {
    /// Who makes a call.
    pub fn of(call: &Call) -> Self {
        Self {
            account: call.account.clone(),
            arn: call.principal.arn.clone(),
            user_id: call.principal.user_id.clone(),
            access_key: call.access_key.clone(),
            issuer: call.principal.arn.contains(":assumed-role/").then(|| call.principal.principal_arn.clone()),
        }
    }

    /// The caller as another account's history shows it: by account and id, without ARN and key (CloudTrail User Guide,
    /// "userIdentity element", `AWSAccount`).
    #[must_use]
    pub fn as_seen_elsewhere(&self) -> Self {
        Self { arn: String::new(), access_key: String::new(), issuer: None, ..self.clone() }
    }

    /// The user, or the session: what `Username` holds.
    pub fn user_name(&self) -> &str {
        if self.arn.ends_with(":root") { "root" } else { self.arn.rsplit('/').next().unwrap_or_default() }
    }

    fn json(&self) -> Value {
        let kind = match &self.arn {
            arn if arn.is_empty() => {
                return json!({ "type": "AWSAccount", "principalId": self.user_id, "accountId": self.account });
            }
            arn if arn.ends_with(":root") => "Root",
            arn if arn.contains(":assumed-role/") => "AssumedRole",
            arn if arn.contains(":federated-user/") => "FederatedUser",
            _ => "IAMUser",
        };
        let mut json = json!({
            "type": kind,
            "principalId": self.user_id,
            "arn": self.arn,
            "accountId": self.account,
            "accessKeyId": self.access_key,
        });
        match &self.issuer {
            None => json["userName"] = json!(self.user_name()),
            Some(role) => {
                let issuer = json!({
                    "type": "Role",
                    "principalId": self.user_id.split(':').next(),
                    "arn": role,
                    "accountId": self.account,
                    "userName": role.rsplit('/').next(),
                });
                json["sessionContext"] = json!({ "sessionIssuer": issuer });
            }
        }
        json
    }
}

impl CloudTrail {
    /// Adds an event.
    pub fn record(&mut self, event: Event) {
        self.events.push(event);
    }
}

/// What the call needs to be allowed.
pub fn permissions(world: &World, call: &Call) -> Result<Vec<Permission>, Refusal> {
    let resource = match call.operation.as_str() {
        "LookupEvents" | "DescribeTrails" | "ListTrails" => "*".to_owned(),
        "CreateTrail" | "UpdateTrail" | "DeleteTrail" | "StartLogging" | "StopLogging" | "GetTrailStatus"
        | "GetEventSelectors" | "PutEventSelectors" => {
            let params = call.params.json();
            let name = params["Name"].as_str().or(params["TrailName"].as_str()).unwrap_or_default();
            if name.starts_with("arn:") {
                name.to_owned()
            } else {
                format!("arn:{}:cloudtrail:{}:{}:trail/{name}", world.partition, call.region, call.account)
            }
        }
        _ => return Err(call.unknown()),
    };
    Ok(vec![Permission::new(format!("cloudtrail:{}", call.operation), resource)])
}

/// Carries the call out.
pub fn handle(world: &mut World, call: &Call) -> Reply {
    match call.operation.as_str() {
        "LookupEvents" => lookup_events(world, call),
        "CreateTrail" => trails::create(world, call),
        "UpdateTrail" => trails::update(world, call),
        "DeleteTrail" => trails::delete(world, call),
        "DescribeTrails" => trails::describe(world, call),
        "ListTrails" => trails::list(world, call),
        "StartLogging" => trails::start(world, call),
        "StopLogging" => trails::stop(world, call),
        "GetTrailStatus" => trails::status(world, call),
        "GetEventSelectors" => trails::selectors(world, call),
        "PutEventSelectors" => trails::put_selectors(world, call),
        _ => Err(call.unknown()),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct LookupEvents {
    #[serde(default)]
    lookup_attributes: Vec<Attribute>,
    start_time: Option<f64>,
    end_time: Option<f64>,
    event_category: Option<String>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Attribute {
    attribute_key: String,
    attribute_value: String,
}

/// Where calls come from unless somebody says otherwise.
pub const USUAL_ADDRESS: &str = "192.0.2.10";

const PAGE: usize = 50;

/// Newest first, at most 50 to a page, one attribute at most (API reference, "LookupEvents").
fn lookup_events(world: &World, call: &Call) -> Reply {
    let asked: LookupEvents = call.params.read()?;
    if asked.event_category.is_some() {
        return Err(Refusal::new(400, "InvalidEventCategoryException", "the simulated AWS records no Insights events"));
    }
    let page = asked.max_results.unwrap_or(PAGE);
    if !(1..=PAGE).contains(&page) {
        return Err(Refusal::new(400, "InvalidMaxResultsException", "MaxResults must be from 1 to 50"));
    }
    let attribute = match &asked.lookup_attributes[..] {
        [] => None,
        [attribute] => Some(attribute),
        _ => {
            let message = "You can specify only one lookup attribute";
            return Err(Refusal::new(400, "InvalidLookupAttributesException", message));
        }
    };
    if let (Some(start), Some(end)) = (asked.start_time, asked.end_time)
        && start > end
    {
        return Err(Refusal::new(400, "InvalidTimeRangeException", "The start time is later than the end time"));
    }
    let skip = match asked.next_token.as_deref().map(str::parse::<usize>) {
        None => 0,
        Some(Ok(skip)) => skip,
        Some(Err(_)) => return Err(Refusal::new(400, "InvalidNextTokenException", "Invalid pagination token")),
    };
    let mut fitting = Vec::new();
    // The order is that of the times, not of the recording: a scenario writes what happened before it began.
    for event in &world.region(&call.account, &call.region).cloudtrail.events {
        let time = event.time.as_duration().as_secs_f64();
        let in_time =
            asked.start_time.is_none_or(|start| start <= time) && asked.end_time.is_none_or(|end| time <= end);
        if in_time && attribute.map_or(Ok(true), |attribute| attribute.fits(event))? {
            fitting.push(event);
        }
    }
    fitting.sort_by_key(|event| std::cmp::Reverse(event.time));
    let events: Vec<Value> = fitting.iter().skip(skip).take(page).map(|event| event.json()).collect();
    let next = skip + events.len();
    let mut answer = json!({ "Events": events });
    if next < fitting.len() {
        answer["NextToken"] = json!(next.to_string());
    }
    Ok(Body::Json(answer))
}

impl Attribute {
    fn fits(&self, event: &Event) -> Result<bool, Refusal> {
        let value = self.attribute_value.as_str();
        Ok(match self.attribute_key.as_str() {
            "EventId" => event.id == value,
            "EventName" => event.name == value,
            "ReadOnly" => event.read_only.to_string() == value,
            "Username" => event.identity.user_name() == value,
            "ResourceType" => event.resources.iter().any(|(kind, _)| kind == value),
            "ResourceName" => event.resources.iter().any(|(_, name)| name == value),
            "EventSource" => event.source == value,
            "AccessKeyId" => event.identity.access_key == value,
            other => {
                let message = format!("{other} is not a lookup attribute");
                return Err(Refusal::new(400, "InvalidLookupAttributesException", message));
            }
        })
    }
}

impl Event {
    /// A member of `Events`.
    fn json(&self) -> Value {
        let resources = self.resources.iter().map(|(kind, name)| json!({ "ResourceType": kind, "ResourceName": name }));
        json!({
            "EventId": self.id,
            "EventName": self.name,
            "ReadOnly": self.read_only.to_string(),
            "AccessKeyId": self.identity.access_key,
            "EventTime": self.time.as_second(),
            "EventSource": self.source,
            "Username": self.identity.user_name(),
            "Resources": resources.collect::<Vec<_>>(),
            "CloudTrailEvent": self.document().to_string(),
        })
    }

    /// The event record (CloudTrail User Guide, "CloudTrail record contents").
    fn document(&self) -> Value {
        let mut document = json!({
            "eventVersion": "1.11",
            "userIdentity": self.identity.json(),
            "eventTime": self.time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "eventSource": self.source,
            "eventName": self.name,
            "awsRegion": self.region,
            "sourceIPAddress": self.source_address,
            "userAgent": self.user_agent,
            "requestParameters": self.request,
            "responseElements": self.response,
            "requestID": self.request_id,
            "eventID": self.id,
            "readOnly": self.read_only,
            "eventType": "AwsApiCall",
            "managementEvent": true,
            "recipientAccountId": self.recipient,
            "eventCategory": "Management",
        });
        if let Some((code, message)) = &self.error {
            let code = if self.source.starts_with("ec2") { format!("Client.{code}") } else { code.clone() };
            document["errorCode"] = json!(code);
            document["errorMessage"] = json!(message);
        }
        document
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::call::test_call;
    use crate::sim::log::record;
    use crate::sim::wire::params::Params;

    fn world_with(events: usize) -> World {
        let mut world = World::new(3);
        let mut call = test_call("ec2", "RunInstances", "MaxCount=1");
        world.add_account(call.account.clone(), "development");
        for second in 0..events {
            call.now += jiff::SignedDuration::from_secs(1);
            call.operation = if second % 2 == 0 { "RunInstances" } else { "DescribeInstances" }.to_owned();
            record(&mut world, &call, &[], &Ok(Body::empty()));
        }
        world
    }

    fn look_up(world: &mut World, params: Value) -> Result<Value, Refusal> {
        let mut call = test_call("cloudtrail", "LookupEvents", "");
        call.params = Params::Json(params);
        match handle(world, &call)? {
            Body::Json(json) => Ok(json),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn events_come_newest_first_and_in_pages() {
        let mut world = world_with(60);
        let first = look_up(&mut world, json!({})).unwrap();
        assert_eq!(first["Events"].as_array().unwrap().len(), 50);
        let rest = look_up(&mut world, json!({ "NextToken": first["NextToken"] })).unwrap();
        assert_eq!(rest["Events"].as_array().unwrap().len(), 10);
        assert!(rest.get("NextToken").is_none());
        assert!(first["Events"][0]["EventTime"].as_i64() > first["Events"][1]["EventTime"].as_i64());
    }

    #[test]
    fn one_attribute_narrows_and_two_are_refused() {
        let mut world = world_with(10);
        let name = json!({ "AttributeKey": "EventName", "AttributeValue": "RunInstances" });
        let found = look_up(&mut world, json!({ "LookupAttributes": [name] })).unwrap();
        assert_eq!(found["Events"].as_array().unwrap().len(), 5);
        let refused = look_up(&mut world, json!({ "LookupAttributes": [name, name] })).unwrap_err();
        assert_eq!(refused.code, "InvalidLookupAttributesException");
    }

    #[test]
    fn there_is_no_trail() {
        let mut world = world_with(0);
        let mut call = test_call("cloudtrail", "GetTrailStatus", "");
        call.params = Params::Json(json!({ "Name": "audit" }));
        assert_eq!(handle(&mut world, &call).unwrap_err().code, "TrailNotFoundException");
    }
}
