//! The documents that quell attaches, and how AWS measures documents.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Document, Kind};

/// Denies everything to whom it is attached to.
pub const DENY_ALL: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Sid":"DenyAll","Effect":"Deny","Action":"*","Resource":"*"}]}"#;

const ALLOW_ALL: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;

/// The document [`DENY_ALL`].
pub fn deny_all() -> Document {
    Document::parse("DenyAll", DENY_ALL, Kind::Identity).expect("a document of this file")
}

/// A document that allows everything: what a root user has.
pub fn allow_all() -> Document {
    Document::parse("AllowAll", ALLOW_ALL, Kind::Identity).expect("a document of this file")
}

/// The text of a service control policy that denies everything to everybody but these roles: ARNs, which may hold
/// wildcards. `aws:PrincipalArn` of a session is the ARN of its role.
pub fn deny_all_except_roles(roles: &[impl AsRef<str>]) -> String {
    let roles: Vec<&str> = roles.iter().map(AsRef::as_ref).collect();
    let statement = json!({
        "Sid": "IRDenyAll", "Effect": "Deny", "Action": "*", "Resource": "*",
        "Condition": { "ArnNotLike": { "aws:PrincipalArn": roles } },
    });
    json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string()
}

/// The text of a service control policy that denies everything to users of IAM Identity Center, by their ids in the identity
/// store, whichever permission set they came by; never to these roles.
pub fn deny_all_of_users(users: &[impl AsRef<str>], roles: &[impl AsRef<str>]) -> String {
    let users: Vec<&str> = users.iter().map(AsRef::as_ref).collect();
    let roles: Vec<&str> = roles.iter().map(AsRef::as_ref).collect();
    let statement = json!({
        "Sid": "IRDenyUsers", "Effect": "Deny", "Action": "*", "Resource": "*",
        "Condition": {
            "StringEquals": { "identitystore:userId": users },
            "ArnNotLike": { "aws:PrincipalArn": roles },
        },
    });
    json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string()
}

/// The text of a resource control policy that denies these actions to principals outside an organisation and these accounts.
/// Services of AWS that act for themselves are spared (Organizations User Guide, "RCP examples").
pub fn deny_outsiders(actions: &[impl AsRef<str>], organization: &str, accounts: &[impl AsRef<str>]) -> String {
    let actions: Vec<&str> = actions.iter().map(AsRef::as_ref).collect();
    let accounts: Vec<&str> = accounts.iter().map(AsRef::as_ref).collect();
    let mut outside = json!({ "aws:PrincipalOrgID": organization });
    if !accounts.is_empty() {
        outside["aws:PrincipalAccount"] = json!(accounts);
    }
    let statement = json!({
        "Sid": "IRDenyOutsiders", "Effect": "Deny", "Principal": "*", "Action": actions, "Resource": "*",
        "Condition": {
            "StringNotEqualsIfExists": outside,
            "BoolIfExists": { "aws:PrincipalIsAWSService": "false" },
        },
    });
    json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string()
}

/// The same document, whose statements apply until `end` and then no more: a deny that ends by itself.
pub fn until(document: &str, end: Timestamp) -> String {
    let mut document: Value = serde_json::from_str(document).expect("a document of this file");
    for statement in document["Statement"].as_array_mut().into_iter().flatten() {
        statement["Condition"]["DateLessThan"]["aws:CurrentTime"] = json!(end.to_string());
    }
    document.to_string()
}

/// The text of a policy for a role that denies everything to sessions issued before `before`. Sessions issued later, and
/// long-term keys, which have no issue time, go on.
pub fn revoke_older_sessions(before: Timestamp) -> String {
    let statement = json!({
        "Effect": "Deny", "Action": "*", "Resource": "*",
        "Condition": { "DateLessThan": { "aws:TokenIssueTime": before.to_string() } },
    });
    json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string()
}

/// How many characters of a document IAM counts against its quotas: all but white space. Organizations counts every
/// character of what comes through its API.
pub fn size_without_white_space(text: &str) -> usize {
    text.chars().filter(|c| !c.is_whitespace()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_can_be_read() {
        assert_eq!(deny_all().statements.len(), 1);
        let scp = deny_all_except_roles(&["arn:aws:iam::*:role/ir/IRResponder"]);
        assert_eq!(
            scp,
            r#"{"Version":"2012-10-17","Statement":[{"Sid":"IRDenyAll","Effect":"Deny","Action":"*","Resource":"*","Condition":{"ArnNotLike":{"aws:PrincipalArn":["arn:aws:iam::*:role/ir/IRResponder"]}}}]}"#
        );
        Document::parse("scp", &scp, Kind::ServiceControl).unwrap();
        Document::parse("scp", &deny_all_of_users(&["9067"], &["*"]), Kind::ServiceControl).unwrap();
        let ending = until(&scp, "2026-11-24T03:00:00Z".parse().unwrap());
        assert!(ending.contains(r#""DateLessThan":{"aws:CurrentTime":"2026-11-24T03:00:00Z"}"#), "{ending}");
        Document::parse("scp", &ending, Kind::ServiceControl).unwrap();
        let rcp = deny_outsiders(&["sts:AssumeRole"], "o-1", &["111122223333"]);
        Document::parse("rcp", &rcp, Kind::ResourceControl).unwrap();
    }

    #[test]
    fn white_space_is_not_counted() {
        assert_eq!(size_without_white_space("{ \"a\":\n\t1 }"), 7);
    }
}
