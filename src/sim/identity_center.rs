//! AWS IAM Identity Center: one for the organisation, in one region. What `sso` and `identitystore` work on.
//!
//! The roles that permission sets become in the accounts, the portal and its sessions are not played.
//!
//! For scenarios: [`IdentityCenter::new`], or `identity_center` in the story of an organisation.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::call::{Call, Refusal};
use super::organizations::Organization;
use crate::model::{AccountId, Region};

/// How long making or deleting an assignment takes.
const TAKES: SignedDuration = SignedDuration::from_secs(4);
/// How many of these may be under way at once. ("IAM Identity Center quotas".)
const OUTSTANDING: usize = 10;

/// The instance of an organisation, and its identity store.
#[derive(Debug, Clone, Serialize)]
pub struct IdentityCenter {
    /// `arn:aws:sso:::instance/ssoins-…`.
    pub instance: String,
    /// `d-…`.
    pub store: String,
    /// The management account.
    pub owner: AccountId,
    /// The only region that it answers in.
    pub region: Region,
    /// When it was switched on.
    pub created: Timestamp,
    /// Accounts that administer it beside the management account.
    pub delegated: BTreeSet<AccountId>,
    /// Permission sets, by ARN.
    pub permission_sets: BTreeMap<String, PermissionSet>,
    /// Who has which permission set in which account.
    pub assignments: BTreeSet<Assignment>,
    /// Users, by id.
    pub users: BTreeMap<String, Named>,
    /// Groups, by id.
    pub groups: BTreeMap<String, Named>,
    /// Who is in which group: by the ids of group and user, with a stroke between them.
    pub memberships: BTreeMap<String, Membership>,
    /// What is being made or deleted, or was.
    #[serde(skip)]
    requests: BTreeMap<String, Request>,
}

/// A permission set.
#[derive(Debug, Clone, Serialize)]
pub struct PermissionSet {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// How long its sessions last: `PT12H`.
    pub session: String,
    /// When it was made.
    pub created: Timestamp,
}

/// A permission set in an account, given to somebody.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Assignment {
    /// The account.
    pub account: String,
    /// The ARN of the permission set.
    pub permission_set: String,
    /// `USER` or `GROUP`.
    pub principal_type: String,
    /// The id of the user or group.
    pub principal_id: String,
}

/// A user or a group.
#[derive(Debug, Clone, Serialize)]
pub struct Named {
    /// The name of the user, or what the group is shown as.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
}

/// That a user is in a group.
#[derive(Debug, Clone, Serialize)]
pub struct Membership {
    /// Its own id.
    pub id: String,
    /// The group.
    pub group: String,
    /// The user.
    pub user: String,
    /// When it was made.
    pub created: Timestamp,
}

/// Making or deleting an assignment.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub deletes: bool,
    pub assignment: Assignment,
    pub begun: Timestamp,
    /// `IN_PROGRESS`, `SUCCEEDED`, `FAILED`.
    pub status: &'static str,
    pub failure: Option<String>,
}

impl IdentityCenter {
    /// The instance of an organisation, in `region`. Its ids are made of the organisation's.
    pub fn new(organization: &Organization, region: Region, created: Timestamp) -> Self {
        let digits = organization.id.trim_start_matches("o-");
        Self {
            instance: format!("arn:aws:sso:::instance/ssoins-{digits:0>16}"),
            store: format!("d-{digits:0>10}"),
            owner: AccountId::new(&organization.management).expect("the number of the management account"),
            region,
            created,
            delegated: BTreeSet::new(),
            permission_sets: BTreeMap::new(),
            assignments: BTreeSet::new(),
            users: BTreeMap::new(),
            groups: BTreeMap::new(),
            memberships: BTreeMap::new(),
            requests: BTreeMap::new(),
        }
    }

    /// Lets time do its work.
    pub fn settle(&mut self, now: Timestamp) {
        for request in self.requests.values_mut() {
            if request.status != "IN_PROGRESS" || now < request.begun + TAKES {
                continue;
            }
            let Assignment { principal_type, principal_id, .. } = &request.assignment;
            let principals = if principal_type == "USER" { &self.users } else { &self.groups };
            request.status = "SUCCEEDED";
            if request.deletes {
                self.assignments.remove(&request.assignment);
            } else if principals.contains_key(principal_id) {
                self.assignments.insert(request.assignment.clone());
            } else {
                request.status = "FAILED";
                request.failure = Some(format!("The {principal_type} {principal_id} was not found."));
            }
        }
    }

    /// Whether an account may administer it.
    pub fn is_administered_by(&self, account: &AccountId) -> bool {
        *account == self.owner || self.delegated.contains(account)
    }

    /// Begins to make or to delete an assignment.
    pub(super) fn begin(
        &mut self,
        id: &str,
        deletes: bool,
        of: Assignment,
        now: Timestamp,
    ) -> Result<&Request, Refusal> {
        let open = self.requests.values().filter(|request| request.status == "IN_PROGRESS");
        let same = |request: &Request| {
            (&request.assignment.account, &request.assignment.permission_set) == (&of.account, &of.permission_set)
        };
        if open.clone().any(same) {
            let message = "Another operation on this permission set in this account is in progress.";
            return Err(Refusal::new(400, "ConflictException", message));
        }
        if open.count() >= OUTSTANDING {
            return Err(Refusal::new(400, "ConflictException", "Too many operations are in progress."));
        }
        if deletes && !self.assignments.contains(&of) {
            return Err(not_found("account assignment", &of.principal_id));
        }
        let request = Request { deletes, assignment: of, begun: now, status: "IN_PROGRESS", failure: None };
        Ok(self.requests.entry(id.to_owned()).insert_entry(request).into_mut())
    }

    /// A request by its id.
    pub(super) fn request(&self, id: &str, deletes: bool) -> Result<&Request, Refusal> {
        let request = self.requests.get(id).filter(|request| request.deletes == deletes);
        request.ok_or_else(|| not_found("request", id))
    }

    /// The permission sets that somebody has in an account.
    pub(super) fn provisioned_to(&self, account: &str) -> BTreeSet<&str> {
        let here = self.assignments.iter().filter(|assignment| assignment.account == account);
        here.map(|assignment| assignment.permission_set.as_str()).collect()
    }
}

pub(super) fn not_found(what: &str, id: &str) -> Refusal {
    Refusal::new(400, "ResourceNotFoundException", format!("The {what} {id} was not found."))
}

pub(super) fn denied(call: &Call) -> Refusal {
    let (who, action) = (&call.principal.arn, format!("{}:{}", call.service, call.operation));
    Refusal::new(400, "AccessDeniedException", format!("User: {who} is not authorized to perform: {action}"))
}
