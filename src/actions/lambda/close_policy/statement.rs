//! A statement of a function's policy: whom it lets in, and the call that makes it.

use aws_sdk_lambda::operation::add_permission::builders::AddPermissionFluentBuilder;
use aws_sdk_lambda::types::FunctionUrlAuthType;
use serde_json::Value;

/// What stands for a statement that names nobody in particular.
pub const EVERYBODY: &str = "everybody";

/// The statements of a policy.
pub fn all(policy: &str) -> Vec<Value> {
    let policy: Value = serde_json::from_str(policy).unwrap_or_default();
    policy.get("Statement").and_then(Value::as_array).cloned().unwrap_or_default()
}

/// The outsider whom a statement lets in: everybody, an organisation, another account or a principal of one, or a service
/// that works for another account. A statement of Lambda's names one principal.
pub fn outsider(statement: &Value, account: &str) -> Option<String> {
    if statement["Effect"] != "Allow" {
        return None;
    }
    if let Some(service) = statement["Principal"]["Service"].as_str() {
        let on_behalf = condition(statement, "aws:SourceAccount").or_else(|| {
            condition(statement, "aws:SourceArn")?.split(':').nth(4).filter(|part| !part.is_empty()).map(str::to_owned)
        });
        return on_behalf.filter(|other| other != account).map(|other| format!("{service} for {other}"));
    }
    let principal = statement["Principal"].as_str().or(statement["Principal"]["AWS"].as_str())?;
    if principal == "*" {
        let organization = condition(statement, "aws:PrincipalOrgID");
        return Some(organization.unwrap_or_else(|| EVERYBODY.to_owned()));
    }
    let own = principal == account || principal.split(':').nth(4) == Some(account);
    (!own).then(|| principal.to_owned())
}

/// The value of a condition key, whatever its operator.
fn condition(statement: &Value, key: &str) -> Option<String> {
    let operators = statement["Condition"].as_object()?;
    let keys = operators.values().filter_map(Value::as_object).flatten();
    let (_, value) = keys.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(key))?;
    value.as_str().map(str::to_owned)
}

/// The request that makes a statement, as far as it has to be told; function and qualifier are the caller's.
pub fn asked_for(request: AddPermissionFluentBuilder, statement: &Value) -> AddPermissionFluentBuilder {
    let principal = statement["Principal"].as_str().or_else(|| {
        let principal = &statement["Principal"];
        principal["Service"].as_str().or(principal["AWS"].as_str())
    });
    // Lambda shows an account as its root.
    let principal = principal.unwrap_or_default();
    let account = principal.strip_suffix(":root").and_then(|arn| arn.split(':').nth(4)).unwrap_or(principal);
    let auth = condition(statement, "lambda:FunctionUrlAuthType").map(|auth| FunctionUrlAuthType::from(auth.as_str()));
    let via_url = condition(statement, "lambda:InvokedViaFunctionUrl").map(|via_url| via_url == "true");
    request
        .statement_id(statement["Sid"].as_str().unwrap_or_default())
        .action(statement["Action"].as_str().unwrap_or_default())
        .principal(account)
        .set_source_arn(condition(statement, "aws:SourceArn"))
        .set_source_account(condition(statement, "aws:SourceAccount"))
        .set_principal_org_id(condition(statement, "aws:PrincipalOrgID"))
        .set_event_source_token(condition(statement, "lambda:EventSourceToken"))
        .set_function_url_auth_type(auth)
        .set_invoked_via_function_url(via_url)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn let_in(principal: Value, condition: Value) -> Option<String> {
        let statement = json!({ "Effect": "Allow", "Principal": principal, "Condition": condition });
        outsider(&statement, "111122223333")
    }

    #[test]
    fn outsiders_are_everybody_organisations_other_accounts_and_services_for_them() {
        let none = || json!({});
        assert_eq!(let_in(json!("*"), none()).as_deref(), Some(EVERYBODY));
        assert_eq!(let_in(json!({ "AWS": "*" }), none()).as_deref(), Some(EVERYBODY));
        let organization = json!({ "StringEquals": { "aws:PrincipalOrgID": "o-abc" } });
        assert_eq!(let_in(json!("*"), organization).as_deref(), Some("o-abc"));
        let other = "arn:aws:iam::444455556666:root";
        assert_eq!(let_in(json!({ "AWS": other }), none()).as_deref(), Some(other));
        assert_eq!(let_in(json!({ "AWS": "arn:aws:iam::111122223333:user/ana" }), none()), None);
        let service = || json!({ "Service": "sns.amazonaws.com" });
        assert_eq!(let_in(service(), none()), None);
        let source = |arn: &str| json!({ "ArnLike": { "AWS:SourceArn": arn } });
        assert_eq!(let_in(service(), source("arn:aws:sns:eu-west-1:111122223333:topic")), None);
        let foreign = let_in(service(), source("arn:aws:sns:eu-west-1:444455556666:topic"));
        assert_eq!(foreign.as_deref(), Some("sns.amazonaws.com for 444455556666"));
        let bucket = json!({ "ArnLike": { "AWS:SourceArn": "arn:aws:s3:::b" }, "StringEquals": { "AWS:SourceAccount": "444455556666" } });
        assert_eq!(
            let_in(json!({ "Service": "s3.amazonaws.com" }), bucket).as_deref(),
            Some("s3.amazonaws.com for 444455556666")
        );
    }
}
