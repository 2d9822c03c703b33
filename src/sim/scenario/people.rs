//! The part of a story that is about people: users, roles, keys, and who did what to whom.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Credentials;
use super::build::{Happened, Site};
use super::story::{AccountStory, EventStory, KeyOf, RoleStory, SignIn, UserStory};
use crate::model::{AccountId, Region};
use crate::sim::call::Refusal;
use crate::sim::iam::{self, LoginProfile, Policies};
use crate::sim::identity_center::IdentityCenter;
use crate::sim::organizations::Organization;
use crate::sim::world::Secret;

/// The keys of a story, as they were made.
#[derive(Debug, Default)]
pub(super) struct Keys(BTreeMap<(String, String, String), Credentials>);

impl Keys {
    /// The credentials of a key.
    pub fn get(&self, key: &KeyOf) -> Option<&Credentials> {
        self.0.get(&(key.account.clone(), key.user.clone(), key.key.clone()))
    }
}

/// Founds the organisation, with `FullAWSAccess` attached at every level.
pub(super) fn found_organization(site: &mut Site<'_>) -> Result<(), String> {
    let Some(organization) = &site.story.organization else { return Ok(()) };
    let management = site.account(&organization.management)?.id.clone();
    let mut members = Vec::new();
    for (unit, accounts) in &organization.units {
        for name in accounts {
            members.push((site.account(name)?.id.clone(), name.as_str(), Some(unit.as_str())));
        }
    }
    let units: Vec<&str> = organization.units.keys().map(String::as_str).collect();
    let name = organization.management.as_str();
    let joined = organization.founded.on(site.day);
    let delegated = organization.delegated.iter().map(|name| Ok(site.account(name)?.id.clone()));
    let delegated = delegated.collect::<Result<_, String>>()?;
    let mut made = Organization::new(&mut site.world.rng, (&management, name), &members, &units, joined);
    made.delegated = delegated;
    let center = organization.identity_center.clone().map(|region| IdentityCenter::new(&made, region, joined));
    site.world.identity_center = center;
    site.world.organization = Some(made);
    Ok(())
}

/// Gives an account its users and roles.
pub(super) fn move_in(site: &mut Site<'_>, name: &str, account: &AccountStory) -> Result<(), String> {
    for role in &account.roles {
        found_role(site, &account.id, role).map_err(|cause| format!("role `{}`: {cause}", role.name))?;
    }
    for user in &account.users {
        found_user(site, name, &account.id, user).map_err(|cause| format!("user `{}`: {cause}", user.name))?;
    }
    Ok(())
}

fn found_role(site: &mut Site<'_>, account: &AccountId, role: &RoleStory) -> Result<(), String> {
    let trust = with_account_numbers(site, &role.trust.to_string())?;
    let policies = policies(site, &role.managed, &role.inline);
    let created = role.created.on(site.day);
    let made = iam::create_role(&mut site.world, account, &role.path, &role.name, &trust, created).map_err(words)?;
    made.policies = policies;
    if let Some(longest) = role.max_session {
        made.max_session = u32::try_from(longest.0.as_secs()).map_err(|_| "a session cannot be so long".to_owned())?;
    }
    Ok(())
}

fn found_user(site: &mut Site<'_>, account_name: &str, account: &AccountId, user: &UserStory) -> Result<(), String> {
    let policies = policies(site, &user.managed, &user.inline);
    let (day, created) = (site.day, user.created.on(site.day));
    let password = Secret(site.world.secret());
    let made = iam::create_user(&mut site.world, account, &user.path, &user.name, created).map_err(words)?;
    made.policies = policies;
    made.password_last_used = user.signed_in.map(|signed_in| signed_in.at.on(day));
    made.login_profile = user.password.map(|changed| LoginProfile {
        password,
        created: created.min(changed.on(day)),
        changed: changed.on(day),
        reset_required: false,
    });
    for (name, key) in &user.keys {
        let made = iam::add_access_key(&mut site.world, account, Some(&user.name), key.created.on(day));
        let (access_key_id, secret_access_key) = made.map_err(words)?;
        let place = (account_name.to_owned(), user.name.clone(), name.clone());
        site.keys.0.insert(place, Credentials { access_key_id, secret_access_key });
    }
    Ok(())
}

fn policies(site: &Site<'_>, managed: &[String], inline: &BTreeMap<String, Value>) -> Policies {
    let arn = |name: &String| format!("arn:{}:iam::aws:policy/{name}", site.world.partition);
    Policies {
        managed: managed.iter().map(arn).collect(),
        inline: inline.iter().map(|(name, document)| (name.clone(), document.to_string())).collect(),
        boundary: None,
    }
}

/// Puts account numbers where the text names accounts: `${account.management}`.
pub(super) fn with_account_numbers(site: &Site<'_>, text: &str) -> Result<String, String> {
    let mut parts = text.split("${account.");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let named = part.split_once('}').and_then(|(name, rest)| Some((site.story.accounts.get(name)?, rest)));
        let (account, rest) = named.ok_or_else(|| format!("an account in {text} is not in the scenario"))?;
        filled.push_str(account.id.as_str());
        filled.push_str(rest);
    }
    Ok(filled)
}

/// Writes what was done to users to the event history. IAM's events are in us-east-1.
pub(super) fn record_events(site: &mut Site<'_>) -> Result<(), String> {
    let home = Region::new("us-east-1").map_err(|error| error.to_string())?;
    for (account_name, account) in &site.story.accounts {
        for (user, event) in account.users.iter().flat_map(|user| user.events.iter().map(move |event| (user, event))) {
            let EventStory { at, name, by, request, made, address } = event;
            let response = match made {
                None => Value::Null,
                Some(key) => {
                    let key = KeyOf { account: account_name.clone(), user: user.name.clone(), key: key.clone() };
                    let made = site.credentials(&key)?;
                    json!({ "accessKey": { "accessKeyId": made.access_key_id, "status": "Active", "userName": user.name } })
                }
            };
            let resources = vec![("AWS::IAM::User".to_owned(), user.name.clone())];
            let at = at.on(site.day);
            let happened = Happened { region: &home, at, service: "iam", operation: name, address: *address };
            site.record(by, happened, (request.clone(), response), resources)?;
        }
        for user in &account.users {
            if let Some(SignIn { at, address }) = user.signed_in {
                let at = at.on(site.day);
                let happened = Happened { region: &home, at, service: "signin", operation: "ConsoleLogin", address };
                let response = json!({ "ConsoleLogin": "Success" });
                site.record_user((&account.id, &user.name, ""), happened, (Value::Null, response), Vec::new())?;
            }
        }
    }
    Ok(())
}

/// A refusal, as the cause of a scenario that cannot be built.
pub(super) fn words(refusal: Refusal) -> String {
    format!("{}: {}", refusal.code, refusal.message)
}
