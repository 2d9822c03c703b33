//! CloudTrail's event history, followed from an access key to everything that was derived from it.
//!
//! The history is always there: 90 days of management events per account and region, whatever became of the trails. It can be
//! asked for one attribute at a time, here the access key that signed. AWS pages: *LookupEvents*, *CloudTrail record contents*,
//! *CloudTrail userIdentity element*.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_cloudtrail::Client;
use aws_sdk_cloudtrail::config::Builder;
use aws_sdk_cloudtrail::operation::lookup_events::LookupEventsOutput;
use aws_sdk_cloudtrail::types::{LookupAttribute, LookupAttributeKey};
use aws_smithy_types::DateTime;
use futures::stream::{FuturesUnordered, StreamExt as _};
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::{Duration, Instant, timeout_at};

use crate::cloud::{regions, retry};
use crate::engine::action::Ctx;
use crate::model::{ActionError, ErrorKind, Region, Target};

/// How long the first answer of all may take.
const FIRST: Duration = Duration::from_secs(30);
/// How long a silence ends the wait for regions that do not answer, at least; at most three times the slowest answer so far. In
/// a large organisation the questions of a survey wait for one another for longer than a region takes.
const SILENCE: Duration = Duration::from_secs(3);

/// How a key led to a role or a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum How {
    /// A session of the role was started.
    Assumed,
    /// A session of the user itself, or a federated one, was started.
    Session,
    /// A long-term key was made for the user.
    Key,
    /// A console password was set for the user.
    Password,
    /// It was created.
    Created,
    /// The trust policy of the role was replaced.
    Trust,
}

impl How {
    /// As the field of a member has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Assumed => "assumed",
            Self::Session => "session",
            Self::Key => "key",
            Self::Password => "password",
            Self::Created => "created",
            Self::Trust => "trust",
        }
    }
}

/// A role or a user that a key, or a session derived from it, led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Derived {
    /// The role or user. Of a user that is only named, the ARN may lack the path.
    pub arn: String,
    /// How.
    pub how: How,
    /// `AssumeRole`.
    pub event: String,
    /// The key that signed the event.
    pub by: String,
    /// The key that came of it, if one did.
    pub key: Option<String>,
    /// When.
    pub at: Timestamp,
    /// Where.
    pub region: String,
}

/// What the event history of all regions says.
#[derive(Debug, Default)]
pub(super) struct History {
    /// The ARN of the user whose key it is, if the key signed anything.
    pub owner: Option<String>,
    /// What was derived, in the order of time.
    pub derived: Vec<Derived>,
    /// Regions that could not be read to the end, and why.
    pub unread: BTreeMap<String, ActionError>,
    /// How many events were read.
    pub events: usize,
}

impl History {
    /// Whether all regions could be read; else what became of them, as far as one error can say it.
    pub fn whole(&self) -> Result<(), ActionError> {
        let Some((_, error)) = self.unread.iter().next() else { return Ok(()) };
        Err(ActionError {
            message: format!("no event history of {}", self.unread_in_words()),
            code: None,
            ..error.clone()
        })
    }

    /// The regions that could not be read, and why, in words.
    pub fn unread_in_words(&self) -> String {
        let regions: Vec<String> = self.unread.iter().map(|(region, why)| format!("{region} ({why})")).collect();
        match regions.len() {
            0..=2 => regions.join(" and "),
            all => format!("{} and {} further regions", regions[0], all - 1),
        }
    }
}

/// Follows a key, and every key that came of it, through all regions at once. `since` leaves out what is older.
pub(super) async fn derived_from(cx: &Ctx, key: &str, since: Option<Timestamp>) -> History {
    let listed = match regions::of(&cx.sdk, retry::partition(&cx.target)).await {
        Ok(listed) => listed,
        Err(error) => {
            let message = format!("the regions cannot be listed: {}", error.message);
            let unread = [("every region".to_owned(), ActionError { message, ..error })];
            return History { unread: unread.into(), ..History::default() };
        }
    };
    let enabled = listed.into_iter().filter(|(_, state)| state.is_ok());
    let regions = enabled.map(|(region, _)| region).collect();
    let (first, known) = (key.to_owned(), BTreeSet::from([key.to_owned()]));
    Walk { cx, since, regions, first, known, history: History::default() }.from(key).await
}

/// A question for one page: where, by which key, and from which page on.
#[derive(Debug, Clone)]
struct Question {
    region: Region,
    key: String,
    page: Option<String>,
}

struct Walk<'a> {
    cx: &'a Ctx,
    since: Option<Timestamp>,
    regions: Vec<Region>,
    /// The key from which it is followed.
    first: String,
    known: BTreeSet<String>,
    history: History,
}

impl Walk<'_> {
    /// Breadth first: every page that names a new key asks all regions for it, while the other pages are under way.
    async fn from(mut self, key: &str) -> History {
        let mut open = FuturesUnordered::new();
        let mut waiting: BTreeMap<Region, usize> = BTreeMap::new();
        let mut questions = self.everywhere(key);
        let mut slowest = None;
        loop {
            for question in questions.drain(..) {
                *waiting.entry(question.region.clone()).or_default() += 1;
                open.push(ask(self.cx, self.since, question));
            }
            let silence = slowest.map_or(FIRST, |slowest: Duration| SILENCE.max(slowest * 3));
            let (question, took, answer) = match timeout_at(Instant::now() + silence, open.next()).await {
                Ok(Some(answered)) => answered,
                Ok(None) => break,
                Err(_) => {
                    let silent = waiting.into_iter().filter(|(_, open)| *open > 0);
                    let silence = ActionError::new(ErrorKind::Unreachable, "no answer");
                    let silent = silent.map(|(region, _)| (region.to_string(), silence.clone()));
                    self.history.unread.extend(silent);
                    break;
                }
            };
            slowest = slowest.max(Some(took));
            waiting.entry(question.region.clone()).and_modify(|open| *open -= 1);
            match answer {
                Ok(page) => questions = self.read(&question, page),
                Err(error) => drop(self.history.unread.insert(question.region.to_string(), error)),
            }
        }
        self.history.derived.sort_by(|a, b| (a.at, &a.arn, a.how).cmp(&(b.at, &b.arn, b.how)));
        self.history
    }

    fn everywhere(&self, key: &str) -> Vec<Question> {
        let readable = self.regions.iter().filter(|region| !self.history.unread.contains_key(region.as_str()));
        readable.map(|region| Question { region: region.clone(), key: key.to_owned(), page: None }).collect()
    }

    /// Takes what a page tells; gives the questions that come of it.
    fn read(&mut self, question: &Question, page: LookupEventsOutput) -> Vec<Question> {
        let mut further = Vec::new();
        for event in page.events() {
            self.history.events += 1;
            let Some(record) = event.cloud_trail_event().and_then(|text| serde_json::from_str(text).ok()) else {
                continue;
            };
            if question.key == self.first && self.history.owner.is_none() {
                self.history.owner = user(&record);
            }
            for derived in derived(&record, &question.key) {
                if let Some(key) = derived.key.as_ref().filter(|key| self.known.insert((*key).clone())) {
                    further.extend(self.everywhere(key));
                }
                if !self.history.derived.contains(&derived) {
                    self.history.derived.push(derived);
                }
            }
        }
        further.extend(page.next_token.map(|next| Question { page: Some(next), ..question.clone() }));
        further
    }
}

async fn ask(
    cx: &Ctx,
    since: Option<Timestamp>,
    question: Question,
) -> (Question, Duration, Result<LookupEventsOutput, ActionError>) {
    let begun = Instant::now();
    let lane = Target::new(cx.target.account.clone(), question.region.clone());
    let region = aws_types::region::Region::new(question.region.to_string());
    let config = Builder::from(&cx.sdk)
        .region(region)
        .retry_partition(retry::partition(&lane))
        .retry_classifier(retry::WhenBusy);
    let client = Client::from_conf(config.build());
    let by = LookupAttribute::builder().attribute_key(LookupAttributeKey::AccessKeyId).attribute_value(&question.key);
    let answer = match by.build() {
        Ok(by) => {
            let request = client.lookup_events().lookup_attributes(by).set_next_token(question.page.clone());
            let since = since.map(|since| DateTime::from_secs(since.as_second()));
            request.set_start_time(since).max_results(50).send().await.map_err(ActionError::from)
        }
        Err(error) => Err(ActionError::new(ErrorKind::Other, error.to_string())),
    };
    (question, begun.elapsed(), answer)
}

/// The user that signed an event.
fn user(record: &Value) -> Option<String> {
    let signer = record.pointer("/userIdentity/arn").and_then(Value::as_str);
    signer.filter(|arn| arn.contains(":user/")).map(str::to_owned)
}

/// What an event that a key signed says about where the key led. What failed led nowhere.
fn derived(record: &Value, by: &str) -> Vec<Derived> {
    if record.get("errorCode").is_some() {
        return Vec::new();
    }
    let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let (event, at) = (text("/eventName").unwrap_or_default(), text("/eventTime"));
    let found = |arn: Option<String>, how, key| {
        let at = at.as_deref().and_then(|at| at.parse().ok()).unwrap_or(Timestamp::UNIX_EPOCH);
        let region = text("/awsRegion").unwrap_or_default();
        arn.map(|arn| Derived { arn, how, event: event.clone(), by: by.to_owned(), key, at, region })
    };
    let caller = text("/userIdentity/arn").unwrap_or_default();
    let issuer = text("/userIdentity/sessionContext/sessionIssuer/arn");
    let of_account = |kind: &str, name: Option<String>| {
        let mut parts = caller.split(':');
        let (partition, account) = (parts.nth(1)?, text("/recipientAccountId")?);
        Some(format!("arn:{partition}:iam::{account}:{kind}/{}", name?))
    };
    let user = || of_account("user", text("/requestParameters/userName"));
    let session = || text("/responseElements/credentials/accessKeyId");
    let led = match event.as_str() {
        "AssumeRole" | "AssumeRoleWithSAML" | "AssumeRoleWithWebIdentity" => {
            found(text("/requestParameters/roleArn"), How::Assumed, session())
        }
        "GetSessionToken" | "GetFederationToken" => found(Some(caller.clone()), How::Session, session()),
        "CreateAccessKey" => {
            let name = text("/responseElements/accessKey/userName");
            found(of_account("user", name), How::Key, text("/responseElements/accessKey/accessKeyId"))
        }
        "CreateLoginProfile" | "UpdateLoginProfile" => found(user(), How::Password, None),
        "CreateUser" => found(text("/responseElements/user/arn"), How::Created, None),
        "CreateRole" => found(text("/responseElements/role/arn"), How::Created, None),
        "UpdateAssumeRolePolicy" => found(of_account("role", text("/requestParameters/roleName")), How::Trust, None),
        _ => None,
    };
    // Of a temporary key nobody but the history knows whose it is.
    let own = match issuer {
        Some(role) => Some((role, How::Assumed)),
        None if caller.contains(":user/") => Some((caller.clone(), How::Session)),
        None => None,
    };
    let own = own.filter(|_| by.starts_with("ASIA"));
    let own = own.and_then(|(arn, how)| found(Some(arn), how, Some(by.to_owned())));
    led.into_iter().chain(own).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(name: &str, request: Value, response: Value) -> Value {
        json!({
            "eventName": name, "eventTime": "2026-03-03T14:50:00Z", "awsRegion": "eu-west-1",
            "recipientAccountId": "111122223333", "requestParameters": request, "responseElements": response,
            "userIdentity": { "type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/eve" },
        })
    }

    fn led(record: &Value) -> Vec<(String, How, Option<String>)> {
        derived(record, "AKIAEVE").into_iter().map(|found| (found.arn, found.how, found.key)).collect()
    }

    #[test]
    fn each_kind_of_event_names_whom_it_led_to() {
        let role = "arn:aws:iam::111122223333:role/ci/deploy";
        let session = json!({ "credentials": { "accessKeyId": "ASIA1" } });
        let assumed = event("AssumeRole", json!({ "roleArn": role }), session.clone());
        assert_eq!(led(&assumed), [(role.to_owned(), How::Assumed, Some("ASIA1".to_owned()))]);

        let eve = "arn:aws:iam::111122223333:user/eve".to_owned();
        let token = event("GetFederationToken", json!({ "name": "x" }), session);
        assert_eq!(led(&token), [(eve, How::Session, Some("ASIA1".to_owned()))]);

        let made = json!({ "accessKey": { "accessKeyId": "AKIA2", "userName": "jonas" } });
        let jonas = "arn:aws:iam::111122223333:user/jonas".to_owned();
        let key = event("CreateAccessKey", json!({ "userName": "jonas" }), made);
        assert_eq!(led(&key), [(jonas.clone(), How::Key, Some("AKIA2".to_owned()))]);
        let password = event("UpdateLoginProfile", json!({ "userName": "jonas" }), Value::Null);
        assert_eq!(led(&password), [(jonas, How::Password, None)]);
        assert_eq!(led(&event("RunInstances", json!({}), json!({}))), []);
    }

    #[test]
    fn what_was_refused_led_nowhere() {
        let mut refused = event("AssumeRole", json!({ "roleArn": "arn:aws:iam::111122223333:role/x" }), Value::Null);
        refused["errorCode"] = json!("AccessDenied");
        assert_eq!(led(&refused), []);
    }

    #[test]
    fn a_temporary_key_is_traced_to_the_role_that_issued_it() {
        let role = "arn:aws:iam::111122223333:role/ci/deploy";
        let mut record = event("DescribeInstances", json!({}), Value::Null);
        record["userIdentity"] = json!({
            "type": "AssumedRole", "arn": "arn:aws:sts::111122223333:assumed-role/deploy/x",
            "sessionContext": { "sessionIssuer": { "arn": role } },
        });
        let found = derived(&record, "ASIA1");
        assert_eq!((found[0].arn.as_str(), found[0].how), (role, How::Assumed));
    }
}
