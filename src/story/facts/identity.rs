//! IAM: users, roles, groups, policies, keys, passwords, and when each was last used.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::report::{self, Row};
use super::{Seen, dated, text, time};
use crate::story::fact::{Act, Fact, Precision, Subject};

/// What a last-used date says, and does not.
const LAST: &str = "only the last use is shown, not the ones before it";

/// The facts of a resource of IAM.
pub(super) fn facts(seen: &Seen) -> Vec<Fact> {
    let (record, state) = (&seen.record, &seen.record.state);
    let id = record.id.clone();
    let made = |act, words: String| {
        let at = state.get("CreateDate").and_then(time);
        at.map(|at| dated(seen, (act, "CreateDate", at), Subject::new(record.kind, id.clone()), words))
    };
    let mut facts = Vec::new();
    match record.kind {
        "iam user" => facts.extend(made(Act::UserMade, format!("user {id} made")).map(|fact| given(fact, &id))),
        "iam user, listed" => {
            if let Some(at) = state.get("PasswordLastUsed").and_then(time) {
                let subject = Subject::new("iam password", id.clone()).of_user(id.clone());
                let message = format!("password of {id} last used");
                facts.push(used(dated(seen, (Act::PasswordUsed, "PasswordLastUsed", at), subject, message)));
            }
        }
        "iam role" => {
            facts.extend(made(Act::RoleMade, format!("role {id} made")));
            if let Some(at) = state.pointer("/RoleLastUsed/LastUsedDate").and_then(time) {
                let message = format!("role {id} last used in {}", text(state, "/RoleLastUsed/Region"));
                let subject = Subject::new(record.kind, id.clone());
                facts.push(used(dated(seen, (Act::RoleUsed, "RoleLastUsed", at), subject, message)));
            }
        }
        "iam group" => facts.extend(made(Act::GroupMade, format!("group {id} made"))),
        // AWS's own policies are AWS's doing.
        "iam policy" if !id.contains(":iam::aws:") => {
            facts.extend(made(Act::PolicyMade, format!("policy {id} made")));
            let updated = state.get("UpdateDate").and_then(time);
            if let Some(at) = updated.filter(|at| state.get("CreateDate").and_then(time) != Some(*at)) {
                let subject = Subject::new(record.kind, id.clone());
                facts.push(dated(seen, (Act::PolicyMade, "UpdateDate", at), subject, format!("policy {id} changed")));
            }
        }
        "iam access key" => {
            let user = text(state, "/UserName");
            facts.extend(made(Act::KeyMade, format!("access key {id} of {user} made")).map(|fact| given(fact, user)));
        }
        "iam mfa device" => {
            let (user, at) = (text(state, "/UserName"), state.get("EnableDate").and_then(time));
            let subject = Subject::new(record.kind, id.clone()).of_user(user);
            let message = format!("MFA device of {user} enabled");
            facts.extend(at.map(|at| dated(seen, (Act::MfaChanged, "EnableDate", at), subject, message)));
        }
        _ => {}
    }
    facts
}

/// The keys that have a record of their own: user and date of making.
pub(super) fn known_keys(seen: &[Seen]) -> BTreeSet<(String, Timestamp)> {
    let keys = seen.iter().filter(|seen| seen.record.kind == "iam access key").map(|seen| &seen.record.state);
    keys.filter_map(|state| Some((text(state, "/UserName").to_owned(), time(state.get("CreateDate")?)?))).collect()
}

/// The facts of an answer that is no list.
pub(super) fn answered(seen: &Seen, keys: &BTreeSet<(String, Timestamp)>) -> Vec<Fact> {
    let state = &seen.record.state;
    match seen.api.as_str() {
        "iam:GetAccessKeyLastUsed" => key_used(seen, state).into_iter().collect(),
        "iam:GetLoginProfile" => {
            let (user, at) = (text(state, "/LoginProfile/UserName"), state.pointer("/LoginProfile/CreateDate"));
            let subject = Subject::new("iam password", user).of_user(user);
            let message = format!("password of {user} first set");
            let fact = at.and_then(time).map(|at| dated(seen, (Act::PasswordSet, "CreateDate", at), subject, message));
            fact.into_iter().collect()
        }
        "iam:GetCredentialReport" => {
            report::rows(state).iter().flat_map(|row| credential_report(seen, row, keys)).collect()
        }
        _ => Vec::new(),
    }
}

fn key_used(seen: &Seen, state: &Value) -> Option<Fact> {
    let at = time(state.pointer("/AccessKeyLastUsed/LastUsedDate")?)?;
    let (user, key) = (text(state, "/UserName"), seen.parameters.get("AccessKeyId")?.as_str()?);
    let (service, region) = (text(state, "/AccessKeyLastUsed/ServiceName"), text(state, "/AccessKeyLastUsed/Region"));
    let subject = Subject::new("iam access key", key).of_user(user);
    let message = format!("access key {key} of {user} last used, for {service} in {region}");
    Some(used(dated(seen, (Act::KeyUsed, "AccessKeyLastUsed/LastUsedDate", at), subject, message)))
}

/// What the credential report alone knows: when a password was last set, and all about root.
fn credential_report(seen: &Seen, row: &Row, keys: &BTreeSet<(String, Timestamp)>) -> Vec<Fact> {
    let user = row.user();
    let password = || Subject::new("iam password", user).of_user(user);
    let mut facts = Vec::new();
    if let Some(at) = row.time("password_last_changed") {
        let words = format!("password of {user} last set");
        facts.push(dated(seen, (Act::PasswordSet, "password_last_changed", at), password(), words));
    }
    if let Some(at) = row.time("password_last_used") {
        let words = format!("password of {user} last used");
        facts.push(used(dated(seen, (Act::PasswordUsed, "password_last_used", at), password(), words)));
    }
    for (made, last) in [
        ("access_key_1_last_rotated", "access_key_1_last_used_date"),
        ("access_key_2_last_rotated", "access_key_2_last_used_date"),
    ] {
        let Some(at) = row.time(made).filter(|at| !keys.contains(&(user.to_owned(), *at))) else { continue };
        let key = || Subject::new("iam access key", format!("{user}, {made}")).of_user(user);
        facts.push(dated(seen, (Act::KeyMade, made, at), key(), format!("access key of {user} made")));
        if let Some(at) = row.time(last) {
            facts.push(used(dated(seen, (Act::KeyUsed, last, at), key(), format!("access key of {user} last used"))));
        }
    }
    facts
}

fn given(mut fact: Fact, user: &str) -> Fact {
    fact.subject.user = Some(user.to_owned());
    fact
}

fn used(mut fact: Fact) -> Fact {
    fact.precision = Precision::QuarterHour;
    fact.notes.push(LAST);
    fact
}
