//! `iam.sessions-of-key`: the roles and users that an access key has led to.

use std::collections::BTreeMap;

use aws_sdk_iam::Client;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::if_any;
use crate::actions::event_history::{self, Derived, History, How};
use crate::actions::field::{field, resource};
use crate::actions::may_assume::Identities;
use crate::actions::principal::Principal;
use crate::engine::action::{Ctx, Listed, Source, View, Wanted};
use crate::model::{AccessKeyId, ActionError, ErrorKind, FieldType, KindSpec, Resource, ResourceId, Scope};

/// Follows a key through the event history.
pub struct SessionsOfKey;

/// Which key, and since when.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The key: `AKIA…`, or the `ASIA…` of a session.
    pub key: AccessKeyId,
    /// Leaves out what is older. By default all of the 90 days that AWS keeps.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub since: Option<Timestamp>,
}

/// `iam.principal`: a role or a user that a key has led to; a member's id is its ARN.
pub static KIND: KindSpec = KindSpec {
    name: "iam.principal",
    scope: Scope::Global,
    fields: &[
        field("name", FieldType::Text, "its name"),
        field("arn", FieldType::Text, "its ARN"),
        field("type", FieldType::Text, "role or user"),
        field("account", FieldType::Text, "the account it belongs to"),
        field(
            "how",
            FieldType::TextList,
            "how the key led to it: assumed (a role), session, key, password (of a user), created, trust (of a role), \
             candidate (not seen, but policies let it be assumed)",
        ),
        field("own", FieldType::Bool, "whether it is the user whose key it is"),
        field("seen", FieldType::Bool, "whether the event history shows it; false for a candidate"),
        field("first", FieldType::Timestamp, "when the key first led to it"),
        field("keys", FieldType::TextList, "the keys that came of it: ASIA… of sessions, AKIA… of keys made"),
        field("because", FieldType::Text, "what says so, in words"),
    ],
};

impl Source for SessionsOfKey {
    type Params = Params;

    const NAME: &'static str = "iam.sessions-of-key";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str =
        "The roles and users that an access key has led to: sessions, keys and passwords made with it";
    const PERMISSIONS: &'static [&'static str] = &[
        "cloudtrail:LookupEvents",
        "iam:GetAccessKeyLastUsed",
        "iam:GetAccountAuthorizationDetails",
        "iam:GetUser",
        "iam:GetRole",
    ];

    async fn list(&self, cx: &Ctx, params: &Params, wanted: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        Ok(self.ask(cx, params, wanted).await?.members)
    }

    /// Candidates do not make up for a history that could not be read: nobody knows who was made with the key.
    async fn ask(&self, cx: &Ctx, params: &Params, _: &Wanted<'_>) -> Result<Listed, ActionError> {
        let client = super::client(cx);
        let history = event_history::derived_from(cx, params.key.as_str(), params.since).await;
        let mut found: BTreeMap<String, Traced> = BTreeMap::new();
        for derived in &history.derived {
            let Some(arn) = whole(&client, derived).await? else { continue };
            let is_own = history.owner.as_ref() == Some(&arn);
            let traced = found.entry(arn).or_default();
            traced.own = is_own;
            traced.add(derived);
        }
        if !history.unread.is_empty() {
            let candidates = candidates(&client, params, &history).await?;
            for (role, because) in candidates {
                found.entry(role).or_insert_with(|| Traced::candidate(because));
            }
        }
        let members = found.iter().filter_map(|(arn, traced)| traced.member(cx, arn)).collect();
        Ok(Listed { members, asked: vec![("cloudtrail", history.whole())] })
    }

    fn refuse(&self, view: &View, _: &Params, members: &[Resource]) -> Option<String> {
        let own = view.caller.access_key.as_deref()?;
        let holds =
            |member: &&Resource| member.fields["keys"].as_array().is_some_and(|keys| keys.iter().any(|key| key == own));
        let member = members.iter().find(holds)?;
        Some(format!("the caller's own key {own} came of the leaked key, through {}: use another principal", member.id))
    }
}

/// The ARN with its path. An event that only names a user does not tell it; a user that is gone is nobody any more.
async fn whole(client: &Client, derived: &Derived) -> Result<Option<String>, ActionError> {
    let named_only = matches!(derived.how, How::Key | How::Password | How::Trust);
    if !named_only {
        return Ok(Some(derived.arn.clone()));
    }
    let name = derived.arn.rsplit('/').next().unwrap_or_default();
    if derived.how == How::Trust {
        let answer = client.get_role().role_name(name).send().await.map_err(ActionError::from);
        return Ok(if_any(answer)?.and_then(|answer| answer.role).map(|role| role.arn));
    }
    let answer = client.get_user().user_name(name).send().await.map_err(ActionError::from);
    Ok(if_any(answer)?.and_then(|answer| answer.user).map(|user| user.arn))
}

/// The roles that whoever holds the key may assume, for where the event history cannot say which were.
async fn candidates(
    client: &Client,
    params: &Params,
    history: &History,
) -> Result<BTreeMap<String, String>, ActionError> {
    let known = history.derived.iter().map(|derived| derived.arn.clone());
    let mut starts: Vec<String> = known.collect();
    let identities = Identities::of(client).await?;
    if params.key.as_str().starts_with("AKIA") {
        let answer = client.get_access_key_last_used().access_key_id(params.key.as_str()).send().await;
        let owner = match answer.map_err(ActionError::from) {
            Ok(answer) => answer.user_name,
            // The key of another account, or of nobody: nothing of this account can be assumed with it.
            Err(error) if matches!(error.kind, ErrorKind::Denied | ErrorKind::NotFound) => None,
            Err(error) => return Err(error),
        };
        starts.extend(owner.and_then(|owner| identities.user(&owner).map(str::to_owned)));
    }
    let unread = history.unread_in_words();
    let mut found = BTreeMap::new();
    for start in starts {
        for (role, by) in identities.reachable(&start) {
            let because = format!("a candidate: no event history of {unread}, and its policies let {by} assume it");
            found.entry(role).or_insert(because);
        }
    }
    Ok(found)
}

/// A role or user, with all that led to it.
#[derive(Debug, Default)]
struct Traced {
    own: bool,
    how: Vec<&'static str>,
    keys: Vec<String>,
    first: Option<Timestamp>,
    because: String,
}

impl Traced {
    fn candidate(because: String) -> Self {
        Self { how: vec!["candidate"], because, ..Self::default() }
    }

    fn add(&mut self, derived: &Derived) {
        if !self.how.contains(&derived.how.as_str()) {
            self.how.push(derived.how.as_str());
        }
        self.keys.extend(derived.key.iter().filter(|key| !self.keys.contains(key)).cloned().collect::<Vec<_>>());
        if self.because.is_empty() {
            let Derived { event, by, region, at, .. } = derived;
            self.because = format!("event history: {event} by {by} in {region}, {at}");
        }
        self.first = Some(self.first.map_or(derived.at, |first| first.min(derived.at)));
    }

    fn member(&self, cx: &Ctx, arn: &str) -> Option<Resource> {
        let id = ResourceId::new(arn).ok()?;
        let (kind, name) = match Principal::of(&id).ok()? {
            Principal::User(name) => ("user", name),
            Principal::Role(name) => ("role", name),
        };
        let fields = json!({
            "name": name,
            "arn": arn,
            "type": kind,
            "account": arn.split(':').nth(4),
            "how": self.how,
            "own": self.own,
            "seen": self.first.is_some(),
            "first": self.first.unwrap_or(Timestamp::UNIX_EPOCH).to_string(),
            "keys": self.keys,
            "because": self.because,
        });
        resource(cx, KIND.name, arn, fields)
    }
}
