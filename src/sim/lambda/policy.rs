//! The policies of functions: one statement for each AddPermission.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::function::uuid;
use super::{Lambda, invalid, name_and_qualifier, read, refuse};
use crate::sim::call::{Call, Refusal};
use crate::sim::world::Rng;

/// The largest policy ("Lambda quotas").
const LARGEST: usize = 20 * 1024;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Add {
    function_name: String,
    qualifier: Option<String>,
    statement_id: String,
    action: String,
    principal: String,
    source_arn: Option<String>,
    source_account: Option<String>,
    function_url_auth_type: Option<String>,
    invoked_via_function_url: Option<bool>,
    #[serde(rename = "PrincipalOrgID")]
    organization: Option<String>,
    event_source_token: Option<String>,
}

impl Add {
    fn statement(&self, resource: &str) -> Value {
        let principal = match self.principal.as_str() {
            "*" => json!("*"),
            service if service.ends_with(".amazonaws.com") => json!({ "Service": service }),
            account if account.len() == 12 && account.bytes().all(|digit| digit.is_ascii_digit()) => {
                json!({ "AWS": format!("arn:aws:iam::{account}:root") })
            }
            arn => json!({ "AWS": arn }),
        };
        let mut statement = json!({
            "Sid": self.statement_id,
            "Effect": "Allow",
            "Principal": principal,
            "Action": self.action,
            "Resource": resource,
        });
        let mut equal = Map::new();
        let mut add = |key: &str, value: &Option<String>| {
            equal.extend(value.iter().map(|value| (key.to_owned(), json!(value))));
        };
        add("AWS:SourceAccount", &self.source_account);
        add("lambda:FunctionUrlAuthType", &self.function_url_auth_type);
        add("lambda:EventSourceToken", &self.event_source_token);
        add("aws:PrincipalOrgID", &self.organization);
        let mut condition = Map::new();
        if !equal.is_empty() {
            condition.insert("StringEquals".to_owned(), Value::Object(equal));
        }
        if let Some(arn) = &self.source_arn {
            condition.insert("ArnLike".to_owned(), json!({ "AWS:SourceArn": arn }));
        }
        if let Some(via_url) = self.invoked_via_function_url {
            condition.insert("Bool".to_owned(), json!({ "lambda:InvokedViaFunctionUrl": via_url.to_string() }));
        }
        if !condition.is_empty() {
            statement["Condition"] = Value::Object(condition);
        }
        statement
    }
}

/// AddPermission.
pub(super) fn add(lambda: &mut Lambda, rng: &mut Rng, call: &Call) -> Result<Value, Refusal> {
    let asked: Add = read(call)?;
    let known = asked.principal == "*"
        || asked.principal.ends_with(".amazonaws.com")
        || asked.principal.starts_with("arn:")
        || (asked.principal.len() == 12 && asked.principal.bytes().all(|digit| digit.is_ascii_digit()));
    if !known {
        return Err(invalid(format!(
            "The provided principal was invalid. Please check the principal and try again: {}",
            asked.principal
        )));
    }
    let function = lambda.function_mut(&asked.function_name)?;
    let qualifier = asked.qualifier.as_deref().or(name_and_qualifier(&asked.function_name).1).unwrap_or_default();
    function.check_qualifier(qualifier)?;
    let resource = if qualifier.is_empty() { function.arn.clone() } else { format!("{}:{qualifier}", function.arn) };
    let statement = asked.statement(&resource);
    let statements = function.policies.entry(qualifier.to_owned()).or_default();
    if statements.iter().any(|held| held["Sid"] == statement["Sid"]) {
        let message = format!("The statement id ({}) provided already exists.", asked.statement_id);
        return Err(refuse(409, "ResourceConflictException", message));
    }
    if json!(statements).to_string().len() + statement.to_string().len() > LARGEST {
        return Err(refuse(
            400,
            "PolicyLengthExceededException",
            "The final policy size is bigger than the limit (20480).",
        ));
    }
    statements.push(statement.clone());
    function.revision = uuid(rng);
    Ok(json!({ "Statement": statement.to_string() }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Remove {
    function_name: String,
    statement_id: String,
    qualifier: Option<String>,
}

/// RemovePermission.
pub(super) fn remove(lambda: &mut Lambda, rng: &mut Rng, call: &Call) -> Result<Value, Refusal> {
    let asked: Remove = read(call)?;
    let function = lambda.function_mut(&asked.function_name)?;
    let qualifier = asked.qualifier.as_deref().or(name_and_qualifier(&asked.function_name).1).unwrap_or_default();
    let missing = || {
        let message = format!("Statement {} is not found in resource policy.", asked.statement_id);
        refuse(404, "ResourceNotFoundException", message)
    };
    let statements = function.policies.get_mut(qualifier).ok_or_else(missing)?;
    let place = statements.iter().position(|held| held["Sid"] == asked.statement_id.as_str()).ok_or_else(missing)?;
    statements.remove(place);
    if statements.is_empty() {
        function.policies.remove(qualifier);
    }
    function.revision = uuid(rng);
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Get {
    function_name: String,
    qualifier: Option<String>,
}

/// GetPolicy.
pub(super) fn get(lambda: &Lambda, call: &Call) -> Result<Value, Refusal> {
    let asked: Get = read(call)?;
    let function = lambda.function(&asked.function_name)?;
    let qualifier = asked.qualifier.as_deref().or(name_and_qualifier(&asked.function_name).1).unwrap_or_default();
    let missing = || refuse(404, "ResourceNotFoundException", "The resource you requested does not exist.");
    let statements = function.policies.get(qualifier).ok_or_else(missing)?;
    let policy = json!({ "Version": "2012-10-17", "Id": "default", "Statement": statements });
    Ok(json!({ "Policy": policy.to_string(), "RevisionId": function.revision }))
}
