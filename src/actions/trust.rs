//! Trust policies: whom they let in from outside, and what is left of them without that.

use serde_json::{Value, json};

/// Whom a trust policy lets in, beside services and the role's own account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Outsiders {
    /// Principals of other accounts, and ids of principals that are gone.
    pub foreign: Vec<String>,
    /// Identity providers.
    pub federated: Vec<String>,
    /// Whether it lets everybody in.
    pub everybody: bool,
}

/// Reads whom the statements that allow let in. A statement for all but some lets everybody in.
pub(super) fn outsiders(text: &str, account: &str) -> Outsiders {
    let mut found = Outsiders::default();
    for statement in statements(text).iter().filter(|statement| allows(statement)) {
        found.everybody |= statement.get("NotPrincipal").is_some();
        for (kind, name) in principals(statement) {
            match kind.as_str() {
                "AWS" if name == "*" => found.everybody = true,
                "AWS" if is_of(&name, account) => {}
                "AWS" => found.foreign.push(name),
                "Federated" => found.federated.push(name),
                _ => {}
            }
        }
    }
    found
}

/// The policy without outsiders, except those in `keep` (as the policy names them). Denies stay.
pub(super) fn closed(text: &str, account: &str, keep: &[String]) -> Value {
    let stays = |kind: &str, name: &str| {
        kind == "Service" || keep.iter().any(|kept| kept == name) || (kind == "AWS" && is_of(name, account))
    };
    let narrowed = statements(text).into_iter().filter_map(|mut statement| {
        if !allows(&statement) {
            return Some(statement);
        }
        if statement.get("NotPrincipal").is_some() {
            return None;
        }
        let mut left = serde_json::Map::new();
        for (kind, name) in principals(&statement).into_iter().filter(|(kind, name)| stays(kind, name)) {
            if let Some(names) = left.entry(kind).or_insert_with(|| json!([])).as_array_mut() {
                names.push(json!(name));
            }
        }
        statement["Principal"] = Value::Object(left);
        (statement["Principal"] != json!({})).then_some(statement)
    });
    let mut narrowed: Vec<Value> = narrowed.collect();
    if narrowed.is_empty() {
        narrowed.push(json!({
            "Sid": "QuellClosed", "Effect": "Deny", "Principal": { "AWS": "*" }, "Action": "sts:AssumeRole",
        }));
    }
    json!({ "Version": "2012-10-17", "Statement": narrowed })
}

fn statements(text: &str) -> Vec<Value> {
    let json: Value = serde_json::from_str(text).unwrap_or_default();
    match json.get("Statement") {
        Some(Value::Array(statements)) => statements.clone(),
        Some(one) => vec![one.clone()],
        None => Vec::new(),
    }
}

fn allows(statement: &Value) -> bool {
    statement.get("Effect").and_then(Value::as_str) == Some("Allow")
}

/// Type and name of the principals of a statement.
fn principals(statement: &Value) -> Vec<(String, String)> {
    let texts = |value: &Value| match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    match statement.get("Principal") {
        Some(Value::String(text)) => vec![("AWS".to_owned(), text.clone())],
        Some(Value::Object(kinds)) => {
            kinds.iter().flat_map(|(kind, names)| texts(names).into_iter().map(|name| (kind.clone(), name))).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether a principal, an account number or an ARN, belongs to the account.
fn is_of(principal: &str, account: &str) -> bool {
    principal == account || principal.split(':').nth(4) == Some(account)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "111122223333";

    fn policy(statements: &Value) -> String {
        json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
    }

    fn allow(principal: Value) -> Value {
        json!({ "Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole" })
    }

    #[test]
    fn outsiders_are_other_accounts_providers_everybody_and_the_gone() {
        let own = format!("arn:aws:iam::{OWN}:root");
        let mixed = json!([
            allow(json!({ "AWS": [own, "444455556666", "AIDAGONE"], "Service": "ec2.amazonaws.com" })),
            allow(json!({ "Federated": "arn:aws:iam::111122223333:saml-provider/x" })),
        ]);
        let found = outsiders(&policy(&mixed), OWN);
        assert_eq!(found.foreign, ["444455556666", "AIDAGONE"]);
        assert_eq!((found.federated.len(), found.everybody), (1, false));
        assert!(outsiders(&policy(&allow(json!("*"))), OWN).everybody);
        assert!(outsiders(&policy(&json!({ "Effect": "Allow", "NotPrincipal": { "AWS": "x" } })), OWN).everybody);
    }

    #[test]
    fn closing_keeps_services_the_own_account_and_what_is_named() {
        let mixed = allow(json!({ "AWS": [OWN, "444455556666", "777788889999"], "Service": "ec2.amazonaws.com" }));
        let left = closed(&policy(&json!([mixed, allow(json!("*"))])), OWN, &["777788889999".to_owned()]);
        let kept = json!({ "AWS": [OWN, "777788889999"], "Service": ["ec2.amazonaws.com"] });
        assert_eq!(left["Statement"].as_array().unwrap().len(), 1);
        assert_eq!(left["Statement"][0]["Principal"], kept);
        let nothing = closed(&policy(&allow(json!("*"))), OWN, &[]);
        assert_eq!(nothing["Statement"][0]["Effect"], "Deny");
    }
}
