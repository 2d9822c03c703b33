//! What differs between two captures, and so happened between them.

use super::Subject;
use crate::evidence::diff::{self, Difference, Field, Name};
use crate::evidence::{Captured, EvidenceError, Store};
use crate::story::fact::{Act, Confidence, Fact, Precision};

/// What AWS moves by itself: it says nothing of anybody's doing that a date does not say better.
const MOVES: [&str; 4] = ["RoleLastUsed", "PasswordLastUsed", "AttachmentCount", "launchTime"];

/// The changes from one capture to the next.
///
/// # Errors
/// When an answer is missing from the store or was changed.
pub fn changes(store: &Store, earlier: &Captured, later: &Captured) -> Result<Vec<Fact>, EvidenceError> {
    let found = diff::diff(store, earlier, later)?;
    // Answers that are no lists are no resources: console output, quotas, last uses.
    let resources = found.iter().filter(|difference| !matches!(difference.name().kind, "answer" | "iam user, listed"));
    // Where only one of them could look, the other does not say that nothing was there.
    let looked = |captured: &Captured, name: &Name| {
        captured.items().any(|item| item.target() == name.target && lists(&item.api, name.kind))
    };
    let resources =
        resources.filter(|difference| looked(earlier, difference.name()) && looked(later, difference.name()));
    let span = (earlier.header.began, later.header.began);
    Ok(resources.filter_map(|difference| fact(difference, span, later)).collect())
}

fn fact(difference: &Difference, (after, time): (jiff::Timestamp, jiff::Timestamp), later: &Captured) -> Option<Fact> {
    let name = difference.name();
    let (act, words, field) = match difference {
        Difference::Added { .. } => (Act::Appeared, "is new".to_owned(), String::new()),
        Difference::Removed { .. } => (Act::Disappeared, "is gone".to_owned(), String::new()),
        Difference::Changed { fields, .. } => {
            let fields: Vec<&Field> =
                fields.iter().filter(|field| !MOVES.iter().any(|moves| field.path.starts_with(moves))).collect();
            let first = fields.first()?;
            (act(name.kind, &fields), format!("differs in {}", paths(&fields)), first.path.clone())
        }
    };
    let mut subject = Subject::new(name.kind, name.id.clone());
    subject.user = (name.kind == "iam user").then(|| name.id.clone());
    let evidence = later.items().find(|item| item.target() == name.target && lists(&item.api, name.kind));
    Some(Fact {
        time,
        precision: Precision::Between { after },
        confidence: Confidence::Inferred,
        phase: None,
        act,
        message: format!("{} {} {words}", name.kind, name.id),
        api: evidence.map(|item| item.api.clone()).unwrap_or_default(),
        field,
        account: name.target.account.clone(),
        region: name.target.region.clone(),
        by: None,
        subject,
        evidence: evidence.map(|item| item.sha256.clone()),
        notes: Vec::new(),
    })
}

fn act(kind: &str, fields: &[&Field]) -> Act {
    let any = |name: &str| fields.iter().any(|field| field.path.starts_with(name));
    match kind {
        "iam role" if any("AssumeRolePolicyDocument") => Act::TrustChanged,
        "iam user" | "iam role" | "iam group"
            if ["AttachedManagedPolicies", "UserPolicyList", "RolePolicyList", "GroupPolicyList", "GroupList"]
                .iter()
                .any(|name| any(name)) =>
        {
            Act::PolicyChanged
        }
        _ => Act::Changed,
    }
}

fn paths(fields: &[&Field]) -> String {
    let named: Vec<&str> = fields.iter().take(3).map(|field| field.path.as_str()).collect();
    let more = if fields.len() > 3 { ", …" } else { "" };
    format!("{}{more}", named.join(", "))
}

/// Whether an operation lists resources of a kind, as far as their names tell: `ec2:DescribeKeyPairs`, `ec2 key pair`.
fn lists(api: &str, kind: &str) -> bool {
    let flat = |text: &str| text.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase();
    let (service, thing) = kind.split_once(' ').unwrap_or((kind, ""));
    match (service, thing) {
        ("iam", "user" | "role" | "group" | "policy") => api == "iam:GetAccountAuthorizationDetails",
        _ => api.starts_with(service) && flat(api).contains(&flat(thing)),
    }
}
