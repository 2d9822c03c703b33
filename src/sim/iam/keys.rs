//! Access keys.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::paging::Paging;
use super::users::name_or_caller;
use super::{DONE, Iam, date, limit_exceeded, no_such_entity, read};
use crate::model::{AccessKeyId, AccountId};
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;
use crate::sim::world::{Secret, World};

/// A long-term access key.
#[derive(Debug, Clone, Serialize)]
pub struct AccessKey {
    /// Its user; root when none.
    pub user: Option<String>,
    /// The secret access key.
    #[serde(skip)]
    pub secret: Secret,
    /// Whether it can be used.
    pub status: KeyStatus,
    /// When it was made.
    pub created: Timestamp,
    /// When it last signed a call.
    pub last_used: Option<KeyUse>,
}

/// Whether a key can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyStatus {
    /// It can.
    Active,
    /// It cannot.
    Inactive,
}

impl KeyStatus {
    /// As on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "Active",
            Self::Inactive => "Inactive",
        }
    }
}

/// When, where and for what a key was last used.
#[derive(Debug, Clone, Serialize)]
pub struct KeyUse {
    /// When.
    pub at: Timestamp,
    /// `ec2`.
    pub service: String,
    /// The region.
    pub region: String,
}

/// Adds an access key to a user, or to root. Refused for a user that does not exist or has two keys.
pub fn add_access_key(
    world: &mut World,
    account: &AccountId,
    user: Option<&str>,
    now: Timestamp,
) -> Result<(AccessKeyId, Secret), Refusal> {
    let iam = &world.account(account).iam;
    if let Some(user) = user {
        iam.user(user)?;
    }
    if iam.access_keys.values().filter(|key| key.user.as_deref() == user).count() >= 2 {
        return Err(limit_exceeded("Cannot exceed quota for AccessKeysPerUser: 2".to_owned()));
    }
    let id = AccessKeyId::new(world.unique_id("AKIA")).expect("20 capital letters and digits");
    let secret = Secret(world.secret());
    let status = KeyStatus::Active;
    let key =
        AccessKey { user: user.map(str::to_owned), secret: secret.clone(), status, created: now, last_used: None };
    world.account_mut(account).iam.access_keys.insert(id.clone(), key);
    Ok((id, secret))
}

/// The owner of keys that a call means: the named user, or the caller, who may be root.
fn owner(iam: &Iam, call: &Call, name: Option<String>) -> Result<Option<String>, Refusal> {
    if name.is_none() && call.principal.arn.ends_with(":root") {
        return Ok(None);
    }
    let name = name_or_caller(iam, call, name)?;
    iam.user(&name)?;
    Ok(Some(name))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Keys {
    user_name: Option<String>,
    marker: Option<String>,
    max_items: Option<usize>,
}

pub(super) fn create(world: &mut World, call: &Call) -> Reply {
    let asked: Keys = read(call)?;
    let owner = owner(&world.account(&call.account).iam, call, asked.user_name)?;
    let (id, secret) = add_access_key(world, &call.account, owner.as_deref(), call.now)?;
    let mut children: Vec<Xml> = owner.iter().map(|name| Xml::text("UserName", name)).collect();
    children.extend([
        Xml::text("AccessKeyId", id),
        Xml::text("Status", "Active"),
        Xml::text("SecretAccessKey", secret.0),
        Xml::text("CreateDate", date(call.now)),
    ]);
    Ok(Body::Xml(vec![Xml::node("AccessKey", children)]))
}

pub(super) fn list(world: &World, call: &Call) -> Reply {
    let asked: Keys = read(call)?;
    let iam = &world.account(&call.account).iam;
    let owner = owner(iam, call, asked.user_name)?;
    let keys = iam.access_keys.iter().filter(|(_, key)| key.user == owner);
    let keys = keys.map(|(id, key)| (id.to_string(), (id, key)));
    let part = Paging { marker: asked.marker, max_items: asked.max_items }.part(keys)?;
    Ok(part.structures("AccessKeyMetadata", |(id, key)| {
        let mut xml: Vec<Xml> = owner.iter().map(|name| Xml::text("UserName", name)).collect();
        xml.extend([
            Xml::text("AccessKeyId", id),
            Xml::text("Status", key.status.as_str()),
            Xml::text("CreateDate", date(key.created)),
        ]);
        xml
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct OneKey {
    access_key_id: String,
    user_name: Option<String>,
    status: Option<KeyStatus>,
}

/// The key that a call names, which must be its owner's.
fn find(world: &World, call: &Call, asked: &OneKey) -> Result<AccessKeyId, Refusal> {
    let iam = &world.account(&call.account).iam;
    let owner = owner(iam, call, asked.user_name.clone())?;
    let id = AccessKeyId::new(&asked.access_key_id).ok();
    let id = id.filter(|id| iam.access_keys.get(id).is_some_and(|key| key.user == owner));
    id.ok_or_else(|| no_such_entity(format!("The Access Key with id {} cannot be found.", asked.access_key_id)))
}

pub(super) fn update(world: &mut World, call: &Call) -> Reply {
    let asked: OneKey = read(call)?;
    let id = find(world, call, &asked)?;
    let status = asked.status.ok_or_else(|| Refusal::new(400, "ValidationError", "missing field `Status`"))?;
    if let Some(key) = world.account_mut(&call.account).iam.access_keys.get_mut(&id) {
        key.status = status;
    }
    DONE
}

pub(super) fn delete(world: &mut World, call: &Call) -> Reply {
    let id = find(world, call, &read(call)?)?;
    world.account_mut(&call.account).iam.access_keys.remove(&id);
    DONE
}

pub(super) fn last_used(world: &World, call: &Call) -> Reply {
    let asked: OneKey = read(call)?;
    let keys = &world.account(&call.account).iam.access_keys;
    let key = AccessKeyId::new(&asked.access_key_id).ok().and_then(|id| keys.get(&id));
    // The operation has no error of its own (its model lists none): a key of another account, or nobody's, is one on
    // which the caller may do nothing, whatever its policies say. Nothing is given away.
    let key = key.ok_or_else(|| {
        let who = &call.principal.arn;
        let message = format!("User: {who} is not authorized to perform: iam:GetAccessKeyLastUsed");
        Refusal::new(403, "AccessDenied", message)
    })?;
    let used = match &key.last_used {
        None => vec![Xml::text("ServiceName", "N/A"), Xml::text("Region", "N/A")],
        Some(used) => vec![
            Xml::text("LastUsedDate", date(used.at)),
            Xml::text("ServiceName", &used.service),
            Xml::text("Region", &used.region),
        ],
    };
    let mut children: Vec<Xml> = key.user.iter().map(|name| Xml::text("UserName", name)).collect();
    children.push(Xml::node("AccessKeyLastUsed", used));
    Ok(Body::Xml(children))
}
