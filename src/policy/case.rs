//! A question with all that is needed to answer it, as JSON.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::principal::{Species, Who};
use super::{Context, Document, Kind, Layers, Others, Request, allow_all};

/// What AWS attaches to every level of an organisation that has resource control policies; it cannot be detached.
const RCP_FULL_AWS_ACCESS: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}"#;

/// Who asks for what, and the policies that have a say. A policy is a JSON object, or its text.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The ARN of a user, role, session or root user; or a service, such as `ec2.amazonaws.com`.
    pub principal: String,
    /// `service:Action`.
    pub action: String,
    /// An ARN, or `*`.
    #[serde(default = "everything")]
    pub resource: String,
    /// Condition keys: a value, a list of values, or `null` for a key that the request does not have.
    #[serde(default)]
    pub context: Map<String, Value>,
    /// Service control policies, level by level: root, organisational units, account.
    #[serde(default)]
    pub scps: Vec<Value>,
    /// Resource control policies, likewise; `RCPFullAWSAccess` is understood.
    #[serde(default)]
    pub rcps: Vec<Value>,
    /// Policies of the user and its groups, or of the role.
    #[serde(default)]
    pub identity: Vec<Value>,
    /// The permissions boundary.
    pub boundary: Option<Value>,
    /// Session policies; none when the list is empty.
    pub session: Option<Value>,
    /// The policy of the resource: for `sts:AssumeRole` the role's trust policy.
    pub resource_policy: Option<Value>,
}

/// Why a case cannot be decided at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadCase(String);

fn everything() -> String {
    "*".to_owned()
}

impl Case {
    /// The request and the policies. `others` tells what it means that a case does not name a condition key; what follows
    /// from the principal and the resource themselves need not be named.
    pub fn read(&self, others: Others) -> Result<(Request, Layers), BadCase> {
        if self.action.split_once(':').is_none_or(|(service, name)| service.is_empty() || name.is_empty()) {
            return Err(BadCase(format!("`action` must be written as service:Action, not `{}`", self.action)));
        }
        for (name, text) in [("principal", &self.principal), ("action", &self.action), ("resource", &self.resource)] {
            bounded(name, text)?;
        }
        let who = Who::read(&self.principal);
        if who.species == Species::Other && !self.principal.starts_with("arn:") {
            return Err(BadCase(format!("`principal` is neither an ARN nor a service: `{}`", self.principal)));
        }
        let context = self.context(&who, others)?;
        let request = Request {
            principal: self.principal.clone(),
            action: self.action.clone(),
            resource: self.resource.clone(),
            context,
        };
        Ok((request, self.layers(&who)?))
    }

    fn context(&self, who: &Who, others: Others) -> Result<Context, BadCase> {
        let mut context = Context::new(others);
        let mut count = 0;
        for (key, value) in &self.context {
            let values = match value {
                Value::Null => Vec::new(),
                Value::Array(values) => values.iter().collect(),
                value => vec![value],
            };
            context.lacks(key);
            count += values.len();
            if count > MOST_VALUES {
                return Err(BadCase(format!("`context` has more than {MOST_VALUES} values: no request has as many")));
            }
            for value in values {
                let value = text(value).ok_or_else(|| {
                    BadCase(format!("`context`: `{key}` must be a text, a number, a flag, a list of them, or null"))
                })?;
                bounded("context", &value)?;
                context.add(key, value);
            }
        }
        context.complete(who, &self.resource);
        Ok(context)
    }

    fn layers(&self, who: &Who) -> Result<Layers, BadCase> {
        let mut rcps = levels("rcps", &self.rcps, Kind::ResourceControl)?;
        for level in &mut rcps {
            level.insert(0, document("RCPFullAWSAccess", &RCP_FULL_AWS_ACCESS.into(), Kind::ResourceControl)?);
        }
        let mut identity = documents("identity", &self.identity, Kind::Identity)?;
        if who.species == Species::Root {
            identity.push(allow_all());
        }
        let resource_kind =
            if self.action.to_ascii_lowercase().starts_with("sts:") { Kind::Trust } else { Kind::Resource };
        let resource = self.resource_policy.as_ref().filter(|policy| !policy.is_null());
        Ok(Layers {
            scps: levels("scps", &self.scps, Kind::ServiceControl)?,
            rcps,
            identity,
            boundary: limits("boundary", self.boundary.as_ref())?,
            session: limits("session", self.session.as_ref())?,
            resource: resource.map(|policy| document("resource_policy", policy, resource_kind)).transpose()?,
        })
    }
}

/// The longest text of a case; AWS's own longest (an ARN) has 2,048 characters. Comparing takes pattern × text.
const MOST_BYTES: usize = 8 * 1024;
/// The most values of condition keys in a case.
const MOST_VALUES: usize = 1_000;

fn bounded(name: &str, text: &str) -> Result<(), BadCase> {
    if text.len() <= MOST_BYTES {
        return Ok(());
    }
    let bytes = text.len();
    Err(BadCase(format!("`{name}` has a text of {bytes} bytes, more than any of AWS's ({MOST_BYTES})")))
}

/// Levels of policies; a list of policies alone is one level.
fn levels(name: &str, levels: &[Value], kind: Kind) -> Result<Vec<Vec<Document>>, BadCase> {
    if !levels.is_empty() && !levels.iter().any(Value::is_array) {
        return Ok(vec![documents(name, levels, kind)?]);
    }
    let level = |(index, level): (usize, &Value)| match level {
        Value::Array(policies) => documents(&format!("{name}[{index}]"), policies, kind),
        _ => Err(BadCase(format!("`{name}` must be a list of levels, each a list of policies"))),
    };
    levels.iter().enumerate().map(level).collect()
}

fn documents(name: &str, policies: &[Value], kind: Kind) -> Result<Vec<Document>, BadCase> {
    policies.iter().enumerate().map(|(index, policy)| document(&format!("{name}[{index}]"), policy, kind)).collect()
}

/// A boundary or session policies: one policy, or a list; none when it is empty.
fn limits(name: &str, value: Option<&Value>) -> Result<Option<Vec<Document>>, BadCase> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(policies)) if policies.is_empty() => Ok(None),
        Some(Value::Array(policies)) => documents(name, policies, Kind::Identity).map(Some),
        Some(policy) => Ok(Some(vec![document(name, policy, Kind::Identity)?])),
    }
}

fn document(name: &str, policy: &Value, kind: Kind) -> Result<Document, BadCase> {
    let text = match policy {
        Value::String(text) => text.clone(),
        policy => policy.to_string(),
    };
    Document::parse_as_far_as_known(name, &text, kind).map_err(|error| BadCase(error.to_string()))
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(json: &str) -> Case {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_follows_from_the_principal_is_known() {
        let user = case(r#"{"principal": "arn:aws:iam::111122223333:user/team/ada", "action": "s3:GetObject"}"#);
        let (request, layers) = user.read(Others::Unknown).unwrap();
        assert_eq!(request.resource, "*");
        assert_eq!(request.context.get("aws:username").unwrap(), ["ada"]);
        assert_eq!(request.context.get("aws:principalarn").unwrap(), ["arn:aws:iam::111122223333:user/team/ada"]);
        assert_eq!(request.context.get("aws:SourceIp"), None);
        assert!(layers.identity.is_empty() && layers.boundary.is_none());
        let session = case(
            r#"{"principal": "arn:aws:sts::111122223333:assumed-role/R/s", "action": "s3:GetObject", "context": {"k": null}}"#,
        );
        let (request, _) = session.read(Others::Unknown).unwrap();
        assert_eq!(request.context.get("aws:PrincipalArn"), None, "the path of the role is not known");
        assert!(request.context.get("aws:username").unwrap().is_empty());
        assert!(request.context.get("k").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_case_says_why() {
        let refused = |json: &str| case(json).read(Others::Unknown).unwrap_err().to_string();
        assert!(refused(r#"{"principal": "arn:aws:iam::1:user/a", "action": "stop"}"#).contains("service:Action"));
        assert!(refused(r#"{"principal": "ada", "action": "s3:GetObject"}"#).contains("`principal`"));
        let policy = r#"{"principal": "arn:aws:iam::1:user/a", "action": "s3:GetObject", "identity": [{}]}"#;
        assert!(refused(policy).starts_with("policy identity[0]: `Statement`"));
        assert!(serde_json::from_str::<Case>(r#"{"principal": "a", "action": "b", "scp": []}"#).is_err());
    }

    #[test]
    fn what_no_request_holds_is_not_compared() {
        let refused = |json: String| case(&json).read(Others::Unknown).unwrap_err().to_string();
        let long = "a".repeat(MOST_BYTES + 1);
        let with = |member: &str| {
            format!(r#"{{"principal": "arn:aws:iam::111122223333:user/a", "action": "s3:GetObject", {member}}}"#)
        };
        assert!(refused(with(&format!(r#""resource": "{long}""#))).contains("`resource` has a text of 8193 bytes"));
        assert!(refused(with(&format!(r#""context": {{"k": "{long}"}}"#))).contains("`context` has a text"));
        let many = vec!["1"; MOST_VALUES + 1].join(",");
        assert!(refused(with(&format!(r#""context": {{"k": [{many}]}}"#))).contains("more than 1000 values"));
    }

    /// As large as a policy may be, with patterns and conditions that match nothing until their ends.
    #[test]
    fn the_worst_policy_is_decided_in_time() {
        let began = std::time::Instant::now();
        let statement = format!(
            r#"{{"Effect":"Allow","Action":"s3:*?*","Resource":["{0}b","arn:aws:s3:::{0}b"],
                "Condition":{{"ForAllValues:StringLike":{{"k":["{0}b","${{aws:username}}{0}"]}},"ArnLike":{{"k":"{0}"}}}}}}"#,
            "*a".repeat(60)
        )
        .replace('\n', "");
        let statements = vec![statement; 10].join(",");
        let policy = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
        let values = vec![format!("\"{}\"", "a".repeat(100)); 100].join(",");
        let json = format!(
            r#"{{"principal": "arn:aws:iam::111122223333:user/a", "action": "s3:GetObject", "resource": "arn:aws:s3:::{}",
                "context": {{"k": [{values}]}}, "identity": [{policy}]}}"#,
            "a".repeat(2_000)
        );
        let (request, layers) = case(&json).read(Others::Unknown).unwrap();
        assert!(!crate::policy::explain(&request, &layers).verdict.is_allowed());
        assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
    }

    #[test]
    fn a_list_of_policies_alone_is_one_level_and_no_rcp_level_forgets_to_allow() {
        let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"s3:*","Resource":"*"}}"#;
        let json = format!(
            r#"{{"principal": "arn:aws:iam::111122223333:root", "action": "s3:GetObject", "scps": [{policy}, {policy}],
                "rcps": [[], []], "boundary": null, "session": []}}"#
        );
        let (_, layers) = case(&json).read(Others::Unknown).unwrap();
        assert_eq!((layers.scps.len(), layers.scps[0].len()), (1, 2));
        assert_eq!((layers.rcps.len(), layers.rcps[1].len()), (2, 1));
        assert_eq!(layers.identity.len(), 1, "the root user may do everything");
        assert!(layers.boundary.is_none() && layers.session.is_none());
    }
}
