//! Event source mappings: what calls a function by itself.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::function::uuid;
use super::{Lambda, name_and_qualifier, part, read, refuse};
use crate::sim::call::{Call, Refusal};
use crate::sim::time::seconds;
use crate::sim::world::Rng;

/// How long a mapping takes to be created, enabled, disabled or deleted.
const CHANGES: SignedDuration = SignedDuration::from_secs(15);

/// A mapping.
#[derive(Debug, Clone, Serialize)]
pub struct Mapping {
    /// Its id.
    pub uuid: String,
    /// The queue or stream.
    pub source: String,
    /// The name of the function.
    pub function: String,
    /// The function as it was named: its ARN, with version or alias.
    pub target: String,
    /// Whether it is, or is to be, enabled.
    pub enabled: bool,
    /// What it is doing since [`Mapping::since`]: `Creating`, `Enabling`, `Disabling`, `Updating`, `Deleting`.
    #[serde(skip)]
    pub doing: String,
    /// Since when.
    #[serde(skip)]
    pub since: Timestamp,
    /// How many records at once.
    pub batch: u32,
}

impl Mapping {
    /// `Creating`, `Enabling`, `Enabled`, `Disabling`, `Disabled`, `Updating`, `Deleting`.
    pub fn state(&self, now: Timestamp) -> &str {
        match now < self.since + CHANGES {
            true => &self.doing,
            false if self.doing == "Deleting" => "Deleting",
            false if self.enabled => "Enabled",
            false => "Disabled",
        }
    }

    pub(super) fn is_gone(&self, now: Timestamp) -> bool {
        self.doing == "Deleting" && now >= self.since + CHANGES
    }

    fn shown(&self, call: &Call) -> Value {
        json!({
            "UUID": self.uuid,
            "BatchSize": self.batch,
            "MaximumBatchingWindowInSeconds": 0,
            "EventSourceArn": self.source,
            "FunctionArn": self.target,
            "LastModified": seconds(self.since),
            "State": self.state(call.now),
            "StateTransitionReason": "USER_INITIATED",
            "EventSourceMappingArn":
                format!("arn:aws:lambda:{}:{}:event-source-mapping:{}", call.region, call.account, self.uuid),
        })
    }
}

fn missing() -> Refusal {
    refuse(404, "ResourceNotFoundException", "The resource you requested does not exist.")
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Create {
    event_source_arn: String,
    function_name: String,
    enabled: Option<bool>,
    batch_size: Option<u32>,
    #[serde(rename = "StartingPosition")]
    _position: Option<String>,
}

/// CreateEventSourceMapping.
pub(super) fn create(lambda: &mut Lambda, rng: &mut Rng, call: &Call) -> Result<Value, Refusal> {
    let asked: Create = read(call)?;
    let function = lambda.function(&asked.function_name)?;
    let qualifier = name_and_qualifier(&asked.function_name).1;
    let target = qualifier.map_or_else(|| function.arn.clone(), |qualifier| format!("{}:{qualifier}", function.arn));
    let name = function.name.clone();
    let same = |mapping: &&Mapping| mapping.source == asked.event_source_arn && mapping.target == target;
    if let Some(held) = lambda.mappings.values().find(same) {
        let message = format!(
            "An event source mapping with event source arn (\" {} \") and function name (\" {name} \") already exists. \
             Please update or delete the existing mapping with UUID {}",
            held.source, held.uuid
        );
        return Err(refuse(409, "ResourceConflictException", message));
    }
    let mapping = Mapping {
        uuid: uuid(rng),
        source: asked.event_source_arn,
        function: name,
        target,
        enabled: asked.enabled.unwrap_or(true),
        doing: "Creating".to_owned(),
        since: call.now,
        batch: asked.batch_size.unwrap_or(10),
    };
    let shown = mapping.shown(call);
    lambda.mappings.insert(mapping.uuid.clone(), mapping);
    Ok(shown)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Update {
    #[serde(rename = "UUID")]
    uuid: String,
    enabled: Option<bool>,
    batch_size: Option<u32>,
}

/// What a call may change: a mapping that is not changing.
fn settled<'a>(lambda: &'a mut Lambda, uuid: &str, now: Timestamp) -> Result<&'a mut Mapping, Refusal> {
    let mapping = lambda.mappings.get_mut(uuid).ok_or_else(missing)?;
    let state = mapping.state(now).to_owned();
    if matches!(state.as_str(), "Enabled" | "Disabled") {
        return Ok(mapping);
    }
    let message = format!("Cannot update the event source mapping because it is in use: it is {state}.");
    Err(refuse(400, "ResourceInUseException", message))
}

/// UpdateEventSourceMapping.
pub(super) fn update(lambda: &mut Lambda, call: &Call) -> Result<Value, Refusal> {
    let asked: Update = read(call)?;
    let mapping = settled(lambda, &asked.uuid, call.now)?;
    let doing = match asked.enabled {
        Some(true) if !mapping.enabled => "Enabling",
        Some(false) if mapping.enabled => "Disabling",
        _ => "Updating",
    };
    doing.clone_into(&mut mapping.doing);
    mapping.enabled = asked.enabled.unwrap_or(mapping.enabled);
    mapping.batch = asked.batch_size.unwrap_or(mapping.batch);
    mapping.since = call.now;
    Ok(mapping.shown(call))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    #[serde(rename = "UUID")]
    uuid: String,
}

/// GetEventSourceMapping.
pub(super) fn get(lambda: &Lambda, call: &Call) -> Result<Value, Refusal> {
    let asked: Named = read(call)?;
    lambda.mappings.get(&asked.uuid).map(|mapping| mapping.shown(call)).ok_or_else(missing)
}

/// DeleteEventSourceMapping.
pub(super) fn delete(lambda: &mut Lambda, call: &Call) -> Result<Value, Refusal> {
    let asked: Named = read(call)?;
    let mapping = settled(lambda, &asked.uuid, call.now)?;
    "Deleting".clone_into(&mut mapping.doing);
    mapping.enabled = false;
    mapping.since = call.now;
    Ok(mapping.shown(call))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct List {
    function_name: Option<String>,
    event_source_arn: Option<String>,
    #[serde(rename = "Marker")]
    _marker: Option<String>,
    #[serde(rename = "MaxItems")]
    _max: Option<u32>,
}

/// ListEventSourceMappings.
pub(super) fn list(lambda: &Lambda, call: &Call) -> Result<Value, Refusal> {
    let asked: List = read(call)?;
    let name = asked.function_name.as_deref().map(|asked| name_and_qualifier(asked).0);
    let wanted = |mapping: &&Mapping| {
        name.is_none_or(|name| mapping.function == name)
            && asked.event_source_arn.as_ref().is_none_or(|arn| mapping.source == *arn)
    };
    let all = lambda.mappings.values().filter(wanted).map(|mapping| mapping.shown(call));
    part("EventSourceMappings", all.collect(), call)
}
