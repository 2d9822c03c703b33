//! IAM Roles Anywhere: whom certificates let in (trust anchors), and into which roles (profiles).
//!
//! Certificates and the sessions that they give are not played.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::call::{Body, Call, Permission, Refusal, Reply};
use super::pages::part;
use super::wire::params::Params;
use super::world::World;

/// How many items one page shows.
const PAGE: usize = 50;

/// What an account has in one region.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RolesAnywhere {
    /// Trust anchors, by id.
    pub trust_anchors: BTreeMap<String, Item>,
    /// Profiles, by id.
    pub profiles: BTreeMap<String, Item>,
}

/// A trust anchor or a profile.
#[derive(Debug, Clone, Serialize)]
pub struct Item {
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// Whether it lets anybody in.
    pub enabled: bool,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// What only one of the two kinds has, as on the wire: `source`; `roleArns`, `durationSeconds`.
    pub settings: Value,
}

/// What the call needs to be allowed. ("Actions, resources, and condition keys for IAM Roles Anywhere".)
pub fn permissions(world: &World, call: &Call) -> Result<Vec<Permission>, Refusal> {
    let Params::Json(params) = &call.params else { return Err(call.unknown()) };
    let state = &world.region(&call.account, &call.region).rolesanywhere;
    let action = format!("rolesanywhere:{}", call.operation);
    let on = |kind: &str, items: &BTreeMap<String, Item>, id: &Value| {
        let id = id.as_str().unwrap_or_default();
        let tags = items.get(id).into_iter().flat_map(|item| &item.tags);
        let permission = Permission::new(&action, arn(call, kind, id));
        tags.fold(permission, |permission, (key, value)| permission.with(format!("aws:ResourceTag/{key}"), value))
    };
    Ok(match call.operation.as_str() {
        "ListTrustAnchors" | "ListProfiles" | "CreateTrustAnchor" => vec![Permission::new(&action, "*")],
        "CreateProfile" => {
            let roles = params["roleArns"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let passed = roles.map(|role| {
                Permission::new("iam:PassRole", role).with("iam:PassedToService", "rolesanywhere.amazonaws.com")
            });
            [Permission::new(&action, "*")].into_iter().chain(passed).collect()
        }
        "GetTrustAnchor" | "EnableTrustAnchor" | "DisableTrustAnchor" | "DeleteTrustAnchor" => {
            vec![on("trust-anchor", &state.trust_anchors, &params["trustAnchorId"])]
        }
        "GetProfile" | "EnableProfile" | "DisableProfile" | "DeleteProfile" => {
            vec![on("profile", &state.profiles, &params["profileId"])]
        }
        "ListTagsForResource" => {
            vec![Permission::new(&action, params["resourceArn"].as_str().unwrap_or_default())]
        }
        _ => return Err(call.unknown()),
    })
}

/// Carries the call out.
pub fn handle(world: &mut World, call: &Call) -> Reply {
    let id = world.uuid();
    let state = &mut world.region_mut(&call.account, &call.region).rolesanywhere;
    let json = match call.operation.as_str() {
        "CreateTrustAnchor" => create(&mut state.trust_anchors, call, &ANCHOR, id),
        "CreateProfile" => create(&mut state.profiles, call, &PROFILE, id),
        "ListTrustAnchors" => list(&state.trust_anchors, call, &ANCHOR),
        "ListProfiles" => list(&state.profiles, call, &PROFILE),
        "GetTrustAnchor" => one(&mut state.trust_anchors, call, &ANCHOR, None),
        "EnableTrustAnchor" => one(&mut state.trust_anchors, call, &ANCHOR, Some(true)),
        "DisableTrustAnchor" => one(&mut state.trust_anchors, call, &ANCHOR, Some(false)),
        "DeleteTrustAnchor" => delete(&mut state.trust_anchors, call, &ANCHOR),
        "GetProfile" => one(&mut state.profiles, call, &PROFILE, None),
        "EnableProfile" => one(&mut state.profiles, call, &PROFILE, Some(true)),
        "DisableProfile" => one(&mut state.profiles, call, &PROFILE, Some(false)),
        "DeleteProfile" => delete(&mut state.profiles, call, &PROFILE),
        "ListTagsForResource" => tags(state, call),
        _ => Err(call.unknown()),
    }?;
    Ok(Body::Json(json))
}

/// How the two kinds are called.
struct Words {
    /// In an ARN.
    kind: &'static str,
    /// The member of an answer that holds one.
    one: &'static str,
    /// The member of an answer that holds several.
    many: &'static str,
}

const ANCHOR: Words = Words { kind: "trust-anchor", one: "trustAnchor", many: "trustAnchors" };
const PROFILE: Words = Words { kind: "profile", one: "profile", many: "profiles" };

fn arn(call: &Call, kind: &str, id: &str) -> String {
    format!("arn:aws:rolesanywhere:{}:{}:{kind}/{id}", call.region, call.account)
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "ValidationException", message)
}

fn not_found(id: &str) -> Refusal {
    Refusal::new(404, "ResourceNotFoundException", format!("The resource {id} could not be found."))
}

fn read<T: DeserializeOwned>(call: &Call) -> Result<T, Refusal> {
    call.params.read().map_err(|refusal| invalid(refusal.message))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Create {
    name: String,
    #[serde(default)]
    enabled: bool,
    #[serde(default)]
    tags: Vec<Tag>,
    source: Option<Value>,
    role_arns: Option<Vec<String>>,
    duration_seconds: Option<u32>,
    session_policy: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Tag {
    key: String,
    value: String,
}

/// CreateTrustAnchor and CreateProfile: not in force unless that is asked for.
fn create(items: &mut BTreeMap<String, Item>, call: &Call, words: &Words, id: String) -> Result<Value, Refusal> {
    let Create { name, enabled, tags, source, role_arns, duration_seconds, session_policy } = read(call)?;
    let settings = match (source, role_arns) {
        (Some(source), None) if words.kind == ANCHOR.kind => json!({ "source": source }),
        (None, Some(roles)) if words.kind == PROFILE.kind => {
            json!({ "roleArns": roles, "durationSeconds": duration_seconds.unwrap_or(3600), "sessionPolicy": session_policy })
        }
        _ => return Err(invalid("A trust anchor has a source, and a profile has roles.")),
    };
    let item = Item {
        arn: arn(call, words.kind, &id),
        name,
        enabled,
        created: call.now,
        updated: call.now,
        tags: tags.into_iter().map(|tag| (tag.key, tag.value)).collect(),
        settings,
    };
    let answer = json!({ words.one: item.shown(words, &id) });
    items.insert(id, item);
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct List {
    next_token: Option<String>,
    page_size: Option<usize>,
}

fn list(items: &BTreeMap<String, Item>, call: &Call, words: &Words) -> Result<Value, Refusal> {
    let List { next_token, page_size } = read(call)?;
    let all = items.iter().map(|(id, item)| item.shown(words, id)).collect();
    let (shown, next) = part(all, next_token.as_deref(), page_size.unwrap_or(PAGE).min(PAGE))?;
    let mut answer = json!({ words.many: shown });
    if let Some(next) = next {
        answer["nextToken"] = json!(next);
    }
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct One {
    #[serde(alias = "profileId")]
    trust_anchor_id: String,
}

/// Get, enable and disable.
fn one(
    items: &mut BTreeMap<String, Item>,
    call: &Call,
    words: &Words,
    enabled: Option<bool>,
) -> Result<Value, Refusal> {
    let One { trust_anchor_id: id } = read(call)?;
    let item = items.get_mut(&id).ok_or_else(|| not_found(&id))?;
    if let Some(enabled) = enabled {
        (item.enabled, item.updated) = (enabled, call.now);
    }
    Ok(json!({ words.one: item.shown(words, &id) }))
}

fn delete(items: &mut BTreeMap<String, Item>, call: &Call, words: &Words) -> Result<Value, Refusal> {
    let One { trust_anchor_id: id } = read(call)?;
    let item = items.remove(&id).ok_or_else(|| not_found(&id))?;
    Ok(json!({ words.one: item.shown(words, &id) }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OfResource {
    resource_arn: String,
}

fn tags(state: &RolesAnywhere, call: &Call) -> Result<Value, Refusal> {
    let OfResource { resource_arn } = read(call)?;
    let all = state.trust_anchors.values().chain(state.profiles.values());
    let item = all.into_iter().find(|item| item.arn == resource_arn).ok_or_else(|| not_found(&resource_arn))?;
    let tags = item.tags.iter().map(|(key, value)| json!({ "key": key, "value": value }));
    Ok(json!({ "tags": tags.collect::<Vec<_>>() }))
}

impl Item {
    fn shown(&self, words: &Words, id: &str) -> Value {
        let mut shown = self.settings.clone();
        shown[format!("{}Id", words.one)] = json!(id);
        shown[format!("{}Arn", words.one)] = json!(self.arn);
        shown["name"] = json!(self.name);
        shown["enabled"] = json!(self.enabled);
        shown["createdAt"] = json!(self.created);
        shown["updatedAt"] = json!(self.updated);
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AccountId;
    use crate::sim::call::test_call;

    #[test]
    fn a_trust_anchor_is_off_unless_it_is_asked_for_and_goes_on_and_off() {
        let mut world = World::new(1);
        world.add_account(AccountId::new("111122223333").unwrap(), "development");
        let mut ask = |operation: &str, params: Value| {
            let call = Call { params: Params::Json(params), ..test_call("rolesanywhere", operation, "") };
            match handle(&mut world, &call) {
                Ok(Body::Json(json)) => Ok(json),
                Ok(_) => panic!("not JSON"),
                Err(refusal) => Err(refusal.code),
            }
        };
        let source = json!({ "sourceType": "CERTIFICATE_BUNDLE", "sourceData": { "x509CertificateData": "…" } });
        let made = ask("CreateTrustAnchor", json!({ "name": "mine", "source": source })).unwrap();
        assert_eq!(made["trustAnchor"]["enabled"], false);
        let id = json!({ "trustAnchorId": made["trustAnchor"]["trustAnchorId"] });
        assert_eq!(ask("EnableTrustAnchor", id.clone()).unwrap()["trustAnchor"]["enabled"], true);
        assert_eq!(ask("DisableTrustAnchor", id.clone()).unwrap()["trustAnchor"]["enabled"], false);
        assert_eq!(
            ask("DisableProfile", json!({ "profileId": id["trustAnchorId"] })).unwrap_err(),
            "ResourceNotFoundException"
        );
        assert_eq!(ask("CreateProfile", json!({ "name": "mine" })).unwrap_err(), "ValidationException");
    }
}
