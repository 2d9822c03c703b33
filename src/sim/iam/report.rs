//! What is told of the account as a whole.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::aws_managed::AwsManaged;
use super::entity::{Group, Policies, Role, User};
use super::paging::Paging;
use super::users::boundary;
use super::{AccessKey, DONE, Iam, KeyStatus, ManagedPolicy, already_exists, date, encoded, no_such_entity, read};
use super::{groups, policies, profiles, roles};
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;
use crate::sim::world::World;

/// A new credential report is made at most every four hours.
const REPORT_AGE: SignedDuration = SignedDuration::from_hours(4);

pub(super) fn aliases(world: &World, call: &Call) -> Reply {
    let alias = world.account(&call.account).iam.alias.iter().map(|alias| (alias.clone(), alias.clone()));
    Ok(Paging::default().part(alias)?.texts("AccountAliases"))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Alias {
    account_alias: String,
}

/// CreateAccountAlias: an account has one alias, which no other account has. A new one replaces it.
pub(super) fn create_alias(world: &mut World, call: &Call) -> Reply {
    let Alias { account_alias: alias } = read(call)?;
    let inner = alias.trim_matches('-');
    let fits = (3..=63).contains(&alias.len())
        && inner.len() == alias.len()
        && !alias.contains("--")
        && alias.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !fits {
        let message = format!("The account alias `{alias}` must have 3 to 63 of a-z 0-9 and single dashes within");
        return Err(Refusal::new(400, "ValidationError", message));
    }
    if world.accounts.values().any(|account| account.iam.alias.as_ref() == Some(&alias)) {
        return Err(already_exists(format!("The account alias {alias} already exists.")));
    }
    world.account_mut(&call.account).iam.alias = Some(alias);
    DONE
}

pub(super) fn delete_alias(world: &mut World, call: &Call) -> Reply {
    let Alias { account_alias: alias } = read(call)?;
    let held = &mut world.account_mut(&call.account).iam.alias;
    if held.as_ref() != Some(&alias) {
        return Err(no_such_entity(format!("The account alias {alias} cannot be found.")));
    }
    *held = None;
    DONE
}

#[expect(clippy::unnecessary_wraps, reason = "the form of all handlers")]
pub(super) fn summary(world: &World, call: &Call) -> Reply {
    let iam = &world.account(&call.account).iam;
    let root_keys = iam.access_keys.values().filter(|key| key.user.is_none()).count();
    let entries = [
        ("Users", iam.users.len()),
        ("UsersQuota", 5_000),
        ("Groups", iam.groups.len()),
        ("GroupsQuota", 300),
        ("Roles", iam.roles.len()),
        ("RolesQuota", 1_000),
        ("Policies", iam.policies.len()),
        ("PoliciesQuota", 1_500),
        ("InstanceProfiles", iam.instance_profiles.len()),
        ("InstanceProfilesQuota", 1_000),
        ("AccessKeysPerUserQuota", 2),
        ("AttachedPoliciesPerUserQuota", 10),
        ("AttachedPoliciesPerRoleQuota", 10),
        ("UserPolicySizeQuota", 2_048),
        ("GroupPolicySizeQuota", 5_120),
        ("PolicySizeQuota", 6_144),
        ("AccountAccessKeysPresent", usize::from(root_keys > 0)),
        ("AccountMFAEnabled", usize::from(!iam.root.credentials.mfa.is_empty())),
        ("AccountPasswordPresent", usize::from(iam.root.password.is_some())),
        ("AccountSigningCertificatesPresent", usize::from(!iam.root.credentials.certificates.is_empty())),
        ("MFADevices", iam.users.values().map(|user| user.credentials.mfa.len()).sum()),
    ];
    let entry =
        |(key, value): (&str, usize)| Xml::node("entry", vec![Xml::text("key", key), Xml::text("value", value)]);
    Ok(Body::Xml(vec![Xml::node("SummaryMap", entries.into_iter().map(entry).collect())]))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Details {
    #[serde(default)]
    filter: Vec<Part>,
    marker: Option<String>,
    max_items: Option<usize>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
enum Part {
    User,
    Role,
    Group,
    LocalManagedPolicy,
    #[serde(rename = "AWSManagedPolicy")]
    AwsManagedPolicy,
}

enum Entry<'a> {
    Group(&'a Group),
    Policy(&'a str, &'a ManagedPolicy),
    OfAws(&'a str, &'static AwsManaged),
    Role(&'a Role),
    User(&'a User),
}

/// Users, groups, roles and the account's own policies, in one paged list.
pub(super) fn authorization_details(world: &World, call: &Call) -> Reply {
    let asked: Details = read(call)?;
    let iam = &world.account(&call.account).iam;
    let wanted = |part: Part| asked.filter.is_empty() || asked.filter.contains(&part);
    let mut entries: Vec<(String, Entry<'_>)> = Vec::new();
    if wanted(Part::Group) {
        entries.extend(iam.groups.values().map(|group| (format!("group/{}", group.name), Entry::Group(group))));
    }
    if wanted(Part::LocalManagedPolicy) {
        entries.extend(iam.policies.iter().map(|(arn, policy)| (format!("policy/{arn}"), Entry::Policy(arn, policy))));
    }
    if wanted(Part::AwsManagedPolicy) {
        let attached: BTreeSet<&String> = iam.all_policies().flat_map(|policies| &policies.managed).collect();
        let of_aws = attached.into_iter().filter_map(|arn| Some((arn, super::managed::aws_managed(arn)?)));
        entries.extend(of_aws.map(|(arn, policy)| (format!("policy/{arn}"), Entry::OfAws(arn, policy))));
    }
    if wanted(Part::Role) {
        entries.extend(iam.roles.values().map(|role| (format!("role/{}", role.name), Entry::Role(role))));
    }
    if wanted(Part::User) {
        entries.extend(iam.users.values().map(|user| (format!("user/{}", user.name), Entry::User(user))));
    }
    let part = Paging { marker: asked.marker, max_items: asked.max_items }.part(entries)?;
    let ending = part.ending();
    let (mut user_list, mut group_list, mut role_list, mut policy_list) = (vec![], vec![], vec![], vec![]);
    for entry in part.items {
        match entry {
            Entry::Group(group) => {
                group_list.push([groups::described(group), policy_details("Group", &group.policies)].concat());
            }
            Entry::Policy(arn, policy) => policy_list.push(managed(iam, arn, policy)),
            Entry::OfAws(arn, policy) => policy_list.push(of_aws(iam, arn, policy)),
            Entry::Role(role) => role_list.push(role_details(iam, role)),
            Entry::User(user) => user_list.push(user_details(user)),
        }
    }
    let lists = vec![
        Xml::list("UserDetailList", "member", user_list),
        Xml::list("GroupDetailList", "member", group_list),
        Xml::list("RoleDetailList", "member", role_list),
        Xml::list("Policies", "member", policy_list),
    ];
    Ok(Body::Xml([lists, ending].concat()))
}

fn user_details(user: &User) -> Vec<Xml> {
    let mut xml = vec![
        Xml::text("Path", &user.path),
        Xml::text("UserName", &user.name),
        Xml::text("UserId", &user.id),
        Xml::text("Arn", &user.arn),
        Xml::text("CreateDate", date(user.created)),
        Xml::node("GroupList", user.groups.iter().map(|name| Xml::text("member", name)).collect()),
    ];
    xml.extend(policy_details("User", &user.policies));
    xml.push(super::users::tag_list(&user.tags));
    xml
}

fn role_details(iam: &Iam, role: &Role) -> Vec<Xml> {
    let profiles = iam.instance_profiles.values().filter(|profile| profile.role.as_ref() == Some(&role.name));
    let mut xml = roles::listed(role);
    xml.push(Xml::list("InstanceProfileList", "member", profiles.map(|profile| profiles::described(iam, profile))));
    xml.extend(policy_details("Role", &role.policies));
    xml.push(super::users::tag_list(&role.tags));
    xml.push(roles::last_used(role));
    xml
}

fn policy_details(owner: &str, policies: &Policies) -> Vec<Xml> {
    let inline = |(name, text): (&String, &String)| {
        vec![Xml::text("PolicyName", name), Xml::text("PolicyDocument", encoded(text))]
    };
    let mut xml = vec![
        Xml::list(format!("{owner}PolicyList"), "member", policies.inline.iter().map(inline)),
        Xml::list("AttachedManagedPolicies", "member", policies.managed.iter().map(policies::attached)),
    ];
    xml.extend(policies.boundary.as_ref().map(boundary));
    xml
}

fn managed(iam: &Iam, arn: &str, policy: &ManagedPolicy) -> Vec<Xml> {
    let version = |(id, (text, at)): (&String, &(String, Timestamp))| {
        vec![
            Xml::text("Document", encoded(text)),
            Xml::text("VersionId", id),
            Xml::text("IsDefaultVersion", *id == policy.default_version),
            Xml::text("CreateDate", date(*at)),
        ]
    };
    let updated = policy.versions.values().map(|(_, at)| *at).max().unwrap_or(policy.created);
    let [attachments, boundaries] = super::managed::usage(iam, arn);
    vec![
        Xml::text("PolicyName", &policy.name),
        Xml::text("PolicyId", &policy.id),
        Xml::text("Arn", arn),
        Xml::text("Path", &policy.path),
        Xml::text("DefaultVersionId", &policy.default_version),
        attachments,
        boundaries,
        Xml::text("IsAttachable", true),
        Xml::text("CreateDate", date(policy.created)),
        Xml::text("UpdateDate", date(updated)),
        Xml::list("PolicyVersionList", "member", policy.versions.iter().map(version)),
    ]
}

fn of_aws(iam: &Iam, arn: &str, policy: &AwsManaged) -> Vec<Xml> {
    let version = vec![
        Xml::text("Document", encoded(policy.document)),
        Xml::text("VersionId", policy.version),
        Xml::text("IsDefaultVersion", true),
        Xml::text("CreateDate", policy.updated),
    ];
    let [attachments, boundaries] = super::managed::usage(iam, arn);
    vec![
        Xml::text("PolicyName", policy.name),
        Xml::text("PolicyId", policy.id),
        Xml::text("Arn", arn),
        Xml::text("Path", super::managed::path(arn)),
        Xml::text("DefaultVersionId", policy.version),
        attachments,
        boundaries,
        Xml::text("IsAttachable", true),
        Xml::text("CreateDate", policy.created),
        Xml::text("UpdateDate", policy.updated),
        Xml::list("PolicyVersionList", "member", [version]),
    ]
}

#[expect(clippy::unnecessary_wraps, reason = "the form of all handlers")]
pub(super) fn generate_credential_report(world: &mut World, call: &Call) -> Reply {
    let made = &mut world.account_mut(&call.account).iam.credential_report;
    let is_fresh = made.is_some_and(|at| call.now.duration_since(at) < REPORT_AGE);
    if is_fresh {
        return Ok(Body::Xml(vec![Xml::text("State", "COMPLETE")]));
    }
    *made = Some(call.now);
    let description = "No report exists. Starting a new report generation task";
    Ok(Body::Xml(vec![Xml::text("State", "STARTED"), Xml::text("Description", description)]))
}

/// The report shows the users as they are now; AWS's shows them as they were when it was made.
pub(super) fn credential_report(world: &World, call: &Call) -> Reply {
    let account = world.account(&call.account);
    let made = account.iam.credential_report;
    let missing = || Refusal::new(410, "ReportNotPresent", "Credential report does not exist: generate one first.");
    let made = made.ok_or_else(missing)?;
    if call.now.duration_since(made) >= REPORT_AGE {
        return Err(Refusal::new(410, "ReportExpired", "The most recent credential report has expired."));
    }
    let mut csv = String::from(
        "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,password_next_rotation,\
         mfa_active,access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,\
         access_key_1_last_used_region,access_key_1_last_used_service,access_key_2_active,access_key_2_last_rotated,\
         access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service,cert_1_active,\
         cert_1_last_rotated,cert_2_active,cert_2_last_rotated,additional_credentials_info\n",
    );
    let root = format!("arn:{}:iam::{}:root", world.partition, call.account);
    let head = format!(
        "<root_account>,{root},N/A,not_supported,no_information,not_supported,not_supported,{}",
        !account.iam.root.credentials.mfa.is_empty()
    );
    row(&mut csv, &head, &account.iam, None);
    for user in account.iam.users.values() {
        let password = match &user.login_profile {
            None => "false,N/A,N/A,N/A".to_owned(),
            Some(profile) => {
                let used = user.password_last_used.map_or_else(|| "no_information".to_owned(), date);
                format!("true,{used},{},N/A", date(profile.changed))
            }
        };
        let mfa = !user.credentials.mfa.is_empty();
        let head = format!("{},{},{},{password},{mfa}", user.name, user.arn, date(user.created));
        row(&mut csv, &head, &account.iam, Some(&user.name));
    }
    Ok(Body::Xml(vec![
        Xml::text("Content", STANDARD.encode(csv)),
        Xml::text("ReportFormat", "text/csv"),
        Xml::text("GeneratedTime", date(made)),
    ]))
}

fn row(csv: &mut String, head: &str, iam: &Iam, user: Option<&str>) {
    let mut keys = iam.access_keys.values().filter(|key| key.user.as_deref() == user);
    let columns = |key: Option<&AccessKey>| match key {
        None => "false,N/A,N/A,N/A,N/A".to_owned(),
        Some(key) => {
            let used = key.last_used.as_ref().map_or_else(
                || "N/A,N/A,N/A".to_owned(),
                |used| format!("{},{},{}", date(used.at), used.region, used.service),
            );
            format!("{},{},{used}", key.status == KeyStatus::Active, date(key.created))
        }
    };
    let (first, second) = (columns(keys.next()), columns(keys.next()));
    let _ = writeln!(csv, "{head},{first},{second},false,N/A,false,N/A,");
}
