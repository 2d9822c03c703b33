//! Functions.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Response;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::url::Url;
use super::{Lambda, invalid, name_and_qualifier, not_found, part, read, refuse};
use crate::policy::{Context, Document, Kind, Request, Trust, trust};
use crate::sim::call::{Body, Call, Principal, Refusal, Reply};
use crate::sim::iam::Iam;
use crate::sim::world::Rng;

/// How long a new function is `Pending`.
const STARTS: SignedDuration = SignedDuration::from_secs(5);
/// Concurrent executions of an account in a region ("Lambda quotas").
const CONCURRENCY: u32 = 1_000;
/// Of those, how many must stay unreserved ("PutFunctionConcurrency").
const UNRESERVED: u32 = 100;

/// A function.
#[derive(Debug, Clone, Serialize)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Its ARN, without version.
    pub arn: String,
    /// When it was created. The API does not tell.
    pub created: Timestamp,
    /// When code or configuration last changed.
    pub modified: Timestamp,
    /// What was asked for: runtime, role, memory, …
    pub asked: Value,
    /// The SHA-256 of its code.
    pub digest: String,
    /// The size of its code in bytes.
    pub size: usize,
    /// Of its configuration. Every change makes another, so it is no part of a dump.
    #[serde(skip)]
    pub revision: String,
    /// Reserved concurrency.
    pub reserved: Option<u32>,
    /// The number of the last published version.
    pub published: u32,
    /// Aliases, with the version that each means.
    pub aliases: BTreeMap<String, String>,
    /// Provisioned concurrency, by version or alias.
    pub provisioned: BTreeMap<String, u32>,
    /// URLs, by alias; the unpublished version's under the empty name.
    pub urls: BTreeMap<String, Url>,
    /// The statements of its policies, by version or alias, likewise.
    pub policies: BTreeMap<String, Vec<Value>>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// When it last ran. What happened is no part of a dump.
    #[serde(skip)]
    pub last_invoked: Option<Timestamp>,
}

impl Function {
    /// Runs it, unless it is throttled to nothing.
    pub(super) fn work(&mut self, now: Timestamp) {
        if self.reserved != Some(0) {
            self.last_invoked = Some(now);
        }
    }

    /// Whether its policy lets somebody of another account call it.
    pub(super) fn lets_in(&self, qualifier: Option<&str>, principal: &Principal) -> bool {
        let statements = self.policies.get(qualifier.unwrap_or_default()).cloned().unwrap_or_default();
        let text = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
        let Ok(document) = Document::parse(&self.name, &text, Kind::Resource) else { return false };
        let resource = qualifier.map_or_else(|| self.arn.clone(), |qualifier| format!("{}:{qualifier}", self.arn));
        let account = principal.principal_arn.split(':').nth(4).unwrap_or_default();
        let request = Request {
            principal: principal.principal_arn.clone(),
            action: "lambda:InvokeFunction".to_owned(),
            resource,
            context: Context::default()
                .with("aws:PrincipalArn", &principal.principal_arn)
                .with("aws:PrincipalAccount", account),
        };
        matches!(trust(&document, &request), Trust::Principal | Trust::Account)
    }

    /// Checks that a version or alias is there.
    pub(super) fn check_qualifier(&self, qualifier: &str) -> Result<(), Refusal> {
        let published = qualifier.parse::<u32>().is_ok_and(|version| (1..=self.published).contains(&version));
        if qualifier.is_empty() || published || self.aliases.contains_key(qualifier) {
            return Ok(());
        }
        Err(not_found(&format!("{}:{qualifier}", self.arn)))
    }

    fn shown(&self, version: &str, now: Timestamp) -> Value {
        let arn = if version == "$LATEST" { self.arn.clone() } else { format!("{}:{version}", self.arn) };
        let state = if now < self.created + STARTS { "Pending" } else { "Active" };
        let mut shown = json!({
            "FunctionName": self.name,
            "FunctionArn": arn,
            "CodeSize": self.size,
            "CodeSha256": self.digest,
            "Description": "",
            "Timeout": 3,
            "MemorySize": 128,
            "LastModified": self.modified.strftime("%Y-%m-%dT%H:%M:%S.000+0000").to_string(),
            "Version": version,
            "TracingConfig": { "Mode": "PassThrough" },
            "RevisionId": self.revision,
            "State": state,
            "LastUpdateStatus": "Successful",
            "PackageType": "Zip",
            "Architectures": ["x86_64"],
            "EphemeralStorage": { "Size": 512 },
        });
        for name in
            ["Runtime", "Role", "Handler", "Description", "Timeout", "MemorySize", "PackageType", "Architectures"]
        {
            if let Some(value) = self.asked.get(name) {
                shown[name] = value.clone();
            }
        }
        if let Some(environment) = self.asked.get("Environment") {
            shown["Environment"] = environment.clone();
        }
        shown
    }
}

/// The role that a function is to have: it must be there, and trust Lambda.
fn check_role(iam: &Iam, role: &str) -> Result<(), Refusal> {
    let name = role.rsplit('/').next().unwrap_or_default();
    let trusted =
        iam.roles.get(name).is_some_and(|found| found.arn == role && found.trust.contains("lambda.amazonaws.com"));
    if trusted { Ok(()) } else { Err(invalid("The role defined for the function cannot be assumed by Lambda.")) }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Create {
    function_name: String,
    role: String,
    code: Value,
    runtime: Option<String>,
    handler: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    publish: bool,
    package_type: Option<String>,
    timeout: Option<u32>,
    memory_size: Option<u32>,
    #[serde(rename = "Description")]
    _description: Option<String>,
    #[serde(rename = "Architectures", default)]
    _architectures: Vec<String>,
    #[serde(rename = "Environment")]
    _environment: Option<Value>,
}

/// CreateFunction.
pub(super) fn create(lambda: &mut Lambda, iam: &Iam, rng: &mut Rng, call: &Call) -> Result<Value, Refusal> {
    let asked: Create = read(call)?;
    let name = name_and_qualifier(&asked.function_name).0.to_owned();
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
        return Err(invalid(format!("'{name}' is not the name of a function.")));
    }
    if asked.package_type.as_deref() != Some("Image") && (asked.runtime.is_none() || asked.handler.is_none()) {
        return Err(invalid(
            "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
        ));
    }
    check_limits(asked.timeout, asked.memory_size)?;
    check_role(iam, &asked.role)?;
    if lambda.functions.contains_key(&name) {
        return Err(refuse(409, "ResourceConflictException", format!("Function already exist: {name}")));
    }
    let code = asked.code.to_string();
    let mut kept = call.params.json().clone();
    if let Some(kept) = kept.as_object_mut() {
        kept.retain(|name, _| !matches!(name.as_str(), "Code" | "Tags" | "FunctionName" | "Publish"));
    }
    let function = Function {
        arn: format!("arn:aws:lambda:{}:{}:function:{name}", call.region, call.account),
        name: name.clone(),
        created: call.now,
        modified: call.now,
        asked: kept,
        digest: STANDARD.encode(Sha256::digest(&code)),
        size: code.len(),
        revision: uuid(rng),
        reserved: None,
        published: u32::from(asked.publish),
        aliases: BTreeMap::new(),
        provisioned: BTreeMap::new(),
        urls: BTreeMap::new(),
        policies: BTreeMap::new(),
        tags: asked.tags,
        last_invoked: None,
    };
    let shown = function.shown(if asked.publish { "1" } else { "$LATEST" }, call.now);
    lambda.functions.insert(name, function);
    Ok(shown)
}

fn check_limits(timeout: Option<u32>, memory: Option<u32>) -> Result<(), Refusal> {
    if timeout.is_some_and(|seconds| !(1..=900).contains(&seconds)) {
        return Err(invalid("A timeout is between 1 and 900 seconds."));
    }
    if memory.is_some_and(|mib| !(128..=10_240).contains(&mib)) {
        return Err(invalid("'MemorySize' value failed to satisfy constraint: between 128 and 10240 MB."));
    }
    Ok(())
}

pub(super) fn uuid(rng: &mut Rng) -> String {
    let digits = rng.hex(32);
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

/// The function that a call names, and the version or alias.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Named {
    function_name: String,
    #[serde(rename = "Qualifier")]
    _qualifier: Option<String>,
}

/// DeleteFunction, with everything that belongs to it but its event source mappings.
pub(super) fn delete(lambda: &mut Lambda, call: &Call) -> Result<Value, Refusal> {
    let asked: Named = read(call)?;
    let name = lambda.function(&asked.function_name)?.name.clone();
    lambda.functions.remove(&name);
    Ok(json!({}))
}

/// GetFunction.
pub(super) fn get(lambda: &Lambda, call: &Call) -> Result<Value, Refusal> {
    let asked: Named = read(call)?;
    let function = lambda.function(&asked.function_name)?;
    let location = format!("https://awslambda-{}-tasks.s3.{}.amazonaws.com/snapshots/x", call.region, call.region);
    let mut shown = json!({
        "Configuration": function.shown("$LATEST", call.now),
        "Code": { "RepositoryType": "S3", "Location": location },
    });
    if !function.tags.is_empty() {
        shown["Tags"] = json!(function.tags);
    }
    if let Some(reserved) = function.reserved {
        shown["Concurrency"] = json!({ "ReservedConcurrentExecutions": reserved });
    }
    Ok(shown)
}

/// GetFunctionConfiguration.
pub(super) fn configuration(lambda: &Lambda, call: &Call) -> Result<Value, Refusal> {
    let asked: Named = read(call)?;
    Ok(lambda.function(&asked.function_name)?.shown("$LATEST", call.now))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Update {
    function_name: String,
    role: Option<String>,
    timeout: Option<u32>,
    memory_size: Option<u32>,
    #[serde(rename = "Handler")]
    _handler: Option<String>,
    #[serde(rename = "Runtime")]
    _runtime: Option<String>,
    #[serde(rename = "Description")]
    _description: Option<String>,
    #[serde(rename = "Environment")]
    _environment: Option<Value>,
}

/// UpdateFunctionConfiguration.
pub(super) fn update(lambda: &mut Lambda, iam: &Iam, rng: &mut Rng, call: &Call) -> Result<Value, Refusal> {
    let asked: Update = read(call)?;
    let function = lambda.function_mut(&asked.function_name)?;
    check_limits(asked.timeout, asked.memory_size)?;
    asked.role.as_deref().map_or(Ok(()), |role| check_role(iam, role))?;
    for (name, value) in
        call.params.json().as_object().into_iter().flatten().filter(|(name, _)| *name != "FunctionName")
    {
        function.asked[name] = value.clone();
    }
    function.modified = call.now;
    function.revision = uuid(rng);
    Ok(function.shown("$LATEST", call.now))
}

/// ListFunctions.
pub(super) fn list(lambda: &Lambda, call: &Call) -> Result<Value, Refusal> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase", deny_unknown_fields)]
    struct List {
        #[serde(rename = "Marker")]
        _marker: Option<String>,
        #[serde(rename = "MaxItems")]
        _max: Option<u32>,
    }
    let _: List = read(call)?;
    let all = lambda.functions.values().map(|function| function.shown("$LATEST", call.now));
    part("Functions", all.collect(), call)
}

/// GetFunctionConcurrency.
pub(super) fn concurrency(lambda: &Lambda, call: &Call) -> Result<Value, Refusal> {
    let asked: Named = read(call)?;
    let reserved = lambda.function(&asked.function_name)?.reserved;
    Ok(reserved.map_or_else(|| json!({}), |count| json!({ "ReservedConcurrentExecutions": count })))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Reserve {
    function_name: String,
    reserved_concurrent_executions: u32,
}

/// PutFunctionConcurrency: not below what is provisioned, and not more than leaves 100 unreserved.
pub(super) fn reserve(lambda: &mut Lambda, call: &Call) -> Result<Value, Refusal> {
    let asked: Reserve = read(call)?;
    let count = asked.reserved_concurrent_executions;
    let function = lambda.function(&asked.function_name)?;
    let provisioned: u32 = function.provisioned.values().sum();
    if count < provisioned {
        let message = "Requested reserved concurrency is below the function's provisioned concurrency.";
        return Err(invalid(message));
    }
    let others = lambda.functions.values().filter(|other| other.name != function.name);
    let others: u32 = others.filter_map(|function| function.reserved).sum();
    if others + count > CONCURRENCY - UNRESERVED {
        let message = "Specified ReservedConcurrentExecutions for function decreases account's \
                       UnreservedConcurrentExecution below its minimum value of [100].";
        return Err(invalid(message));
    }
    lambda.function_mut(&asked.function_name)?.reserved = Some(count);
    Ok(json!({ "ReservedConcurrentExecutions": count }))
}

/// DeleteFunctionConcurrency.
pub(super) fn unreserve(lambda: &mut Lambda, call: &Call) -> Result<Value, Refusal> {
    let asked: Named = read(call)?;
    lambda.function_mut(&asked.function_name)?.reserved = None;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Provision {
    function_name: String,
    qualifier: String,
    provisioned_concurrent_executions: u32,
}

/// PutProvisionedConcurrencyConfig: of a version or alias, and not more than is reserved.
pub(super) fn provision(lambda: &mut Lambda, call: &Call) -> Result<Value, Refusal> {
    let asked: Provision = read(call)?;
    let function = lambda.function_mut(&asked.function_name)?;
    if asked.qualifier == "$LATEST" {
        return Err(invalid("Provisioned Concurrency Configs cannot be applied to unpublished function versions."));
    }
    function.check_qualifier(&asked.qualifier)?;
    let count = asked.provisioned_concurrent_executions;
    let others: u32 = function.provisioned.iter().filter(|(name, _)| **name != asked.qualifier).map(|(_, n)| n).sum();
    if function.reserved.is_some_and(|reserved| others + count > reserved) {
        let message = "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution \
                       for function";
        return Err(invalid(message));
    }
    function.provisioned.insert(asked.qualifier.clone(), count);
    Ok(provisioned_shown(function, &asked.qualifier, count))
}

fn provisioned_shown(function: &Function, qualifier: &str, count: u32) -> Value {
    json!({
        "FunctionArn": format!("{}:{qualifier}", function.arn),
        "RequestedProvisionedConcurrentExecutions": count,
        "AvailableProvisionedConcurrentExecutions": count,
        "AllocatedProvisionedConcurrentExecutions": count,
        "Status": "READY",
        "LastModified": function.modified.strftime("%Y-%m-%dT%H:%M:%S+0000").to_string(),
    })
}

/// ListProvisionedConcurrencyConfigs.
pub(super) fn provisioned(lambda: &Lambda, call: &Call) -> Result<Value, Refusal> {
    let asked: Listed = read(call)?;
    let function = lambda.function(&asked.function_name)?;
    let all = function.provisioned.iter().map(|(qualifier, count)| provisioned_shown(function, qualifier, *count));
    part("ProvisionedConcurrencyConfigs", all.collect(), call)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Qualified {
    function_name: String,
    qualifier: String,
}

/// DeleteProvisionedConcurrencyConfig.
pub(super) fn unprovision(lambda: &mut Lambda, call: &Call) -> Result<Value, Refusal> {
    let asked: Qualified = read(call)?;
    lambda.function_mut(&asked.function_name)?.provisioned.remove(&asked.qualifier);
    Ok(json!({}))
}

/// A list of something that belongs to a function.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Listed {
    pub function_name: String,
    /// `ALL`, which tells the list of provisioned concurrency from one of its items.
    #[serde(rename = "List")]
    _all: Option<String>,
    #[serde(rename = "Marker")]
    _marker: Option<String>,
    #[serde(rename = "MaxItems")]
    _max: Option<u32>,
}

/// PublishVersion.
pub(super) fn publish(lambda: &mut Lambda, call: &Call) -> Result<Value, Refusal> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase", deny_unknown_fields)]
    struct Publish {
        function_name: String,
        #[serde(rename = "Description")]
        _description: Option<String>,
    }
    let asked: Publish = read(call)?;
    let function = lambda.function_mut(&asked.function_name)?;
    function.published += 1;
    Ok(function.shown(&function.published.to_string(), call.now))
}

/// ListVersionsByFunction.
pub(super) fn versions(lambda: &Lambda, call: &Call) -> Result<Value, Refusal> {
    let asked: Listed = read(call)?;
    let function = lambda.function(&asked.function_name)?;
    let names = std::iter::once("$LATEST".to_owned()).chain((1..=function.published).map(|number| number.to_string()));
    part("Versions", names.map(|name| function.shown(&name, call.now)).collect(), call)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreateAlias {
    function_name: String,
    name: String,
    function_version: String,
}

fn alias_shown(function: &Function, name: &str, version: &str) -> Value {
    json!({
        "AliasArn": format!("{}:{name}", function.arn),
        "Name": name,
        "FunctionVersion": version,
        "Description": "",
        "RevisionId": function.revision,
    })
}

/// CreateAlias.
pub(super) fn create_alias(lambda: &mut Lambda, call: &Call) -> Result<Value, Refusal> {
    let asked: CreateAlias = read(call)?;
    let function = lambda.function_mut(&asked.function_name)?;
    if asked.function_version != "$LATEST" {
        function.check_qualifier(&asked.function_version)?;
    }
    if function.aliases.contains_key(&asked.name) {
        return Err(refuse(409, "ResourceConflictException", format!("Alias already exists: {}", asked.name)));
    }
    function.aliases.insert(asked.name.clone(), asked.function_version.clone());
    Ok(alias_shown(function, &asked.name, &asked.function_version))
}

/// ListAliases.
pub(super) fn aliases(lambda: &Lambda, call: &Call) -> Result<Value, Refusal> {
    let asked: Listed = read(call)?;
    let function = lambda.function(&asked.function_name)?;
    let all = function.aliases.iter().map(|(name, version)| alias_shown(function, name, version));
    part("Aliases", all.collect(), call)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Tagged {
    resource: String,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

/// ListTags.
pub(super) fn tags(lambda: &Lambda, call: &Call) -> Result<Value, Refusal> {
    let asked: Tagged = read(call)?;
    Ok(json!({ "Tags": lambda.function(&asked.resource)?.tags }))
}

/// TagResource.
pub(super) fn tag(lambda: &mut Lambda, call: &Call) -> Result<Value, Refusal> {
    let asked: Tagged = read(call)?;
    lambda.function_mut(&asked.resource)?.tags.extend(asked.tags);
    Ok(json!({}))
}

/// Invoke, as far as whether it runs. What it answers is `null`.
pub(super) fn invoke(lambda: &mut Lambda, call: &Call) -> Reply {
    let asked = call.params.json().get("FunctionName").and_then(Value::as_str).unwrap_or_default();
    let function = lambda.function_mut(asked)?;
    if call.now < function.created + STARTS {
        let message =
            "The operation cannot be performed at this time. The function is currently in the following state: Pending";
        return Err(refuse(409, "ResourceConflictException", message));
    }
    if function.reserved == Some(0) {
        let mut refusal = refuse(429, "TooManyRequestsException", "Rate Exceeded.");
        refusal.members.push(("Reason", "ReservedFunctionConcurrentInvocationLimitExceeded".to_owned()));
        return Err(refusal);
    }
    function.work(call.now);
    let kind = call.http.headers.get("x-amz-invocation-type").and_then(|kind| kind.to_str().ok());
    let (status, answer) = match kind.unwrap_or("RequestResponse") {
        "Event" => (202, ""),
        "DryRun" => (204, ""),
        _ => (200, "null"),
    };
    let response = Response::builder().status(status).header("x-amz-executed-version", "$LATEST");
    response.body(answer.into()).map(Body::Raw).map_err(|error| refuse(500, "ServiceException", error.to_string()))
}
