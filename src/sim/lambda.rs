//! AWS Lambda: functions, who may call them, and what calls them.
//!
//! For scenarios: call CreateFunction, CreateFunctionUrlConfig, AddPermission, CreateEventSourceMapping. What an event source
//! has a function do shows as [`function::Function::last_invoked`].

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::authorize::Actor;
use super::call::{Body, Call, Permission, Refusal, Reply};
use super::world::World;
use crate::model::{AccountId, Region};
use function::Function;
use mapping::Mapping;

pub mod function;
pub mod mapping;
pub mod policy;
pub mod url;

/// What an account has in one region.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Lambda {
    /// Functions, by name.
    pub functions: BTreeMap<String, Function>,
    /// Event source mappings, by UUID.
    pub mappings: BTreeMap<String, Mapping>,
}

impl Lambda {
    /// Lets time do its work: event sources call their functions, unless those are throttled.
    pub fn settle(&mut self, now: Timestamp) {
        for mapping in self.mappings.values().filter(|mapping| mapping.state(now) == "Enabled") {
            if let Some(function) = self.functions.get_mut(&mapping.function) {
                function.work(now);
            }
        }
        self.mappings.retain(|_, mapping| !mapping.is_gone(now));
    }

    fn function(&self, asked: &str) -> Result<&Function, Refusal> {
        let (name, _) = name_and_qualifier(asked);
        self.functions.get(name).ok_or_else(|| not_found(asked))
    }

    fn function_mut(&mut self, asked: &str) -> Result<&mut Function, Refusal> {
        let (name, _) = name_and_qualifier(asked);
        self.functions.get_mut(name).ok_or_else(|| not_found(asked))
    }
}

/// The name of a function, and the version or alias, out of a name, a partial ARN or an ARN.
fn name_and_qualifier(asked: &str) -> (&str, Option<&str>) {
    let rest = asked.split_once(":function:").map_or(asked, |(_, rest)| rest);
    match rest.split_once(':') {
        Some((name, qualifier)) => (name, Some(qualifier)),
        None => (rest, None),
    }
}

/// The account that an ARN names, when it is not the caller's.
fn other_account(call: &Call) -> Option<AccountId> {
    let asked = call.params.json().get("FunctionName")?.as_str()?;
    let account = asked.strip_prefix("arn:").and_then(|rest| rest.split(':').nth(3))?;
    AccountId::new(account).ok().filter(|account| *account != call.account)
}

fn not_found(asked: &str) -> Refusal {
    refuse(404, "ResourceNotFoundException", format!("Function not found: {asked}"))
}

fn refuse(status: u16, code: &str, message: impl Into<String>) -> Refusal {
    Refusal::new(status, code, message)
}

fn invalid(message: impl Into<String>) -> Refusal {
    refuse(400, "InvalidParameterValueException", message)
}

/// The parameters of a call. What Lambda does not understand it calls `InvalidParameterValueException`.
fn read<T: DeserializeOwned>(call: &Call) -> Result<T, Refusal> {
    call.params.read().map_err(|refusal| match refusal.code.as_str() {
        "UnknownParameter" => refusal,
        _ => Refusal { code: "InvalidParameterValueException".to_owned(), ..refusal },
    })
}

/// What the call needs to be allowed (Service Authorization Reference, "Actions defined by AWS Lambda").
pub fn permissions(world: &World, call: &Call) -> Result<Vec<Permission>, Refusal> {
    let params = call.params.json();
    let text = |name: &str| params.get(name).and_then(Value::as_str);
    let action = match call.operation.as_str() {
        "Invoke" => "lambda:InvokeFunction".to_owned(),
        operation => format!("lambda:{operation}"),
    };
    let arn = |rest: String| format!("arn:{}:lambda:{}:{}:{rest}", world.partition, call.region, call.account);
    let function = |asked: &str| {
        if asked.starts_with("arn:") {
            return asked.to_owned();
        }
        let (name, within) = name_and_qualifier(asked);
        match text("Qualifier").or(within) {
            Some(qualifier) => arn(format!("function:{name}:{qualifier}")),
            None => arn(format!("function:{name}")),
        }
    };
    let resource = match call.operation.as_str() {
        "ListFunctions" | "ListEventSourceMappings" | "CreateEventSourceMapping" | "GetAccountSettings" => {
            "*".to_owned()
        }
        "GetEventSourceMapping" | "UpdateEventSourceMapping" | "DeleteEventSourceMapping" => {
            arn(format!("event-source-mapping:{}", text("UUID").unwrap_or_default()))
        }
        "ListTags" | "TagResource" | "UntagResource" => text("Resource").unwrap_or_default().to_owned(),
        _ if text("FunctionName").is_some() => function(text("FunctionName").unwrap_or_default()),
        _ => return Err(call.unknown()),
    };
    let mut permission = Permission::new(&action, resource);
    for (name, key) in [
        ("Principal", "lambda:Principal"),
        ("FunctionUrlAuthType", "lambda:FunctionUrlAuthType"),
        ("AuthType", "lambda:FunctionUrlAuthType"),
    ] {
        if let Some(value) = text(name) {
            permission = permission.with(key, value);
        }
    }
    if call.operation.ends_with("EventSourceMapping")
        && let Some(name) = text("FunctionName")
    {
        permission = permission.with("lambda:FunctionArn", function(name));
    }
    let mut needed = vec![permission];
    if let Some(role) = text("Role") {
        needed.push(Permission::new("iam:PassRole", role).with("iam:PassedToService", "lambda.amazonaws.com"));
    }
    Ok(needed)
}

/// Carries the call out.
pub fn handle(world: &mut World, call: &Call) -> Reply {
    if let Some(account) = other_account(call) {
        return elsewhere(world, call, &account);
    }
    let World { accounts, rng, .. } = world;
    let account = accounts.get_mut(&call.account).expect("the account of an authenticated call");
    let state = account.regions.get_mut(&call.region).expect("the region of an authenticated call");
    let lambda = &mut state.lambda;
    lambda.settle(call.now);
    let answer = match call.operation.as_str() {
        "CreateFunction" => function::create(lambda, &account.iam, rng, call),
        "DeleteFunction" => function::delete(lambda, call),
        "GetFunction" => function::get(lambda, call),
        "GetFunctionConfiguration" => function::configuration(lambda, call),
        "UpdateFunctionConfiguration" => function::update(lambda, &account.iam, rng, call),
        "ListFunctions" => function::list(lambda, call),
        "GetFunctionConcurrency" => function::concurrency(lambda, call),
        "PutFunctionConcurrency" => function::reserve(lambda, call),
        "DeleteFunctionConcurrency" => function::unreserve(lambda, call),
        "PutProvisionedConcurrencyConfig" => function::provision(lambda, call),
        "ListProvisionedConcurrencyConfigs" => function::provisioned(lambda, call),
        "DeleteProvisionedConcurrencyConfig" => function::unprovision(lambda, call),
        "PublishVersion" => function::publish(lambda, call),
        "ListVersionsByFunction" => function::versions(lambda, call),
        "CreateAlias" => function::create_alias(lambda, call),
        "ListAliases" => function::aliases(lambda, call),
        "ListTags" => function::tags(lambda, call),
        "TagResource" => function::tag(lambda, call),
        "Invoke" => return function::invoke(lambda, call),
        "AddPermission" => policy::add(lambda, rng, call),
        "RemovePermission" => policy::remove(lambda, rng, call),
        "GetPolicy" => policy::get(lambda, call),
        "CreateFunctionUrlConfig" => url::create(lambda, rng, call),
        "UpdateFunctionUrlConfig" => url::update(lambda, call),
        "GetFunctionUrlConfig" => url::get(lambda, call),
        "DeleteFunctionUrlConfig" => url::delete(lambda, call),
        "ListFunctionUrlConfigs" => url::list(lambda, call),
        "CreateEventSourceMapping" => mapping::create(lambda, rng, call),
        "UpdateEventSourceMapping" => mapping::update(lambda, call),
        "GetEventSourceMapping" => mapping::get(lambda, call),
        "DeleteEventSourceMapping" => mapping::delete(lambda, call),
        "ListEventSourceMappings" => mapping::list(lambda, call),
        _ => Err(call.unknown()),
    };
    answer.map(Body::Json)
}

/// A call of another account's function: its own policies have let the caller go, and the function's must let it in.
fn elsewhere(world: &mut World, call: &Call, account: &AccountId) -> Reply {
    let denied = || call.denied("because no resource-based policy allows the action");
    if call.operation != "Invoke" || Actor::of_arn(world, &call.principal.principal_arn).is_none() {
        return Err(denied());
    }
    let asked = call.params.json().get("FunctionName").and_then(Value::as_str).unwrap_or_default();
    let region = asked.split(':').nth(3).and_then(|region| Region::new(region).ok()).ok_or_else(|| not_found(asked))?;
    let state = world.accounts.get(account).and_then(|account| account.regions.get(&region)).ok_or_else(denied)?;
    let (_, qualifier) = name_and_qualifier(asked);
    let function = state.lambda.function(asked).map_err(|_| denied())?;
    if !function.lets_in(qualifier, &call.principal) {
        return Err(denied());
    }
    let lambda = &mut world.region_mut(account, &region).lambda;
    lambda.settle(call.now);
    function::invoke(lambda, call)
}

/// One part of a list.
fn part(name: &str, items: Vec<Value>, call: &Call) -> Result<Value, Refusal> {
    let params = call.params.json();
    let marker = params.get("Marker").and_then(Value::as_str);
    let most = params.get("MaxItems").and_then(Value::as_u64).map_or(50, |most| usize::try_from(most).unwrap_or(50));
    let unknown = || invalid("The marker is not one that was given.");
    let start = marker.map_or(Ok(0), str::parse::<usize>).map_err(|_| unknown())?;
    let end = start.saturating_add(most.clamp(1, 50)).min(items.len());
    let shown = items.get(start..end).ok_or_else(unknown)?;
    let mut answer = Map::new();
    answer.insert(name.to_owned(), Value::from(shown.to_vec()));
    if end < items.len() {
        answer.insert("NextMarker".to_owned(), Value::from(end.to_string()));
    }
    Ok(Value::Object(answer))
}
