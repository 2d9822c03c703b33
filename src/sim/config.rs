//! AWS Config: whether a region's resources are recorded.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::call::{Body, Call, Permission, Refusal, Reply};
use super::pages::epoch;
use super::world::World;

/// What an account has in one region.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Config {
    /// The recorder; a region has one of the customer's at most.
    pub recorder: Option<Recorder>,
    /// The bucket that is delivered to, once there is a delivery channel.
    pub delivers_to: Option<String>,
}

/// A configuration recorder.
#[derive(Debug, Clone, Serialize)]
pub struct Recorder {
    /// Its name.
    pub name: String,
    /// The role that it reads with.
    pub role: String,
    /// What it records, as it was asked for.
    pub group: Value,
    /// When it was told last to record.
    pub started: Option<Timestamp>,
    /// When it was told last to stop.
    pub stopped: Option<Timestamp>,
}

impl Recorder {
    /// Whether it records now.
    pub fn is_recording(&self) -> bool {
        self.started > self.stopped
    }
}

/// What the call needs to be allowed.
pub fn permissions(_: &World, call: &Call) -> Result<Vec<Permission>, Refusal> {
    match call.operation.as_str() {
        "DescribeConfigurationRecorders"
        | "DescribeConfigurationRecorderStatus"
        | "PutConfigurationRecorder"
        | "PutDeliveryChannel"
        | "StartConfigurationRecorder"
        | "StopConfigurationRecorder" => Ok(vec![Permission::new(format!("config:{}", call.operation), "*")]),
        _ => Err(call.unknown()),
    }
}

/// Carries the call out.
pub fn handle(world: &mut World, call: &Call) -> Reply {
    let config = &mut world.region_mut(&call.account, &call.region).config;
    match call.operation.as_str() {
        "DescribeConfigurationRecorders" => describe(config, call),
        "DescribeConfigurationRecorderStatus" => status(config, call),
        "PutConfigurationRecorder" => put(config, call),
        "PutDeliveryChannel" => put_channel(config, call),
        "StartConfigurationRecorder" => start(config, call),
        "StopConfigurationRecorder" => stop(config, call),
        _ => Err(call.unknown()),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Describe {
    #[serde(default)]
    configuration_recorder_names: Vec<String>,
}

/// The recorder, where it is among those that are asked about.
fn asked<'a>(config: &'a Config, call: &Call) -> Result<Option<&'a Recorder>, Refusal> {
    let Describe { configuration_recorder_names: names } = call.params.read()?;
    match names.first() {
        None => Ok(config.recorder.as_ref()),
        Some(name) => named(config, name).map(Some),
    }
}

fn named<'a>(config: &'a Config, name: &str) -> Result<&'a Recorder, Refusal> {
    config.recorder.as_ref().filter(|recorder| recorder.name == name).ok_or_else(|| no_such(name))
}

fn no_such(name: &str) -> Refusal {
    let message = format!("Cannot find configuration recorder with the specified name '{name}'.");
    Refusal::new(400, "NoSuchConfigurationRecorderException", message)
}

fn describe(config: &Config, call: &Call) -> Reply {
    let shown = asked(config, call)?
        .map(|recorder| json!({ "name": recorder.name, "roleARN": recorder.role, "recordingGroup": recorder.group }));
    Ok(Body::Json(json!({ "ConfigurationRecorders": shown.into_iter().collect::<Vec<_>>() })))
}

fn status(config: &Config, call: &Call) -> Reply {
    let shown = asked(config, call)?.map(|recorder| {
        let last = if recorder.is_recording() { "SUCCESS" } else { "PENDING" };
        let mut shown = json!({ "name": recorder.name, "recording": recorder.is_recording(), "lastStatus": last });
        for (member, at) in [("lastStartTime", recorder.started), ("lastStopTime", recorder.stopped)] {
            if let Some(at) = at {
                shown[member] = epoch(at);
            }
        }
        shown
    });
    Ok(Body::Json(json!({ "ConfigurationRecordersStatus": shown.into_iter().collect::<Vec<_>>() })))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Put {
    configuration_recorder: Given,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Given {
    #[serde(default = "default_name")]
    name: String,
    #[serde(rename = "roleARN")]
    role: String,
    #[serde(default)]
    recording_group: Option<Value>,
}

fn default_name() -> String {
    "default".to_owned()
}

fn put(config: &mut Config, call: &Call) -> Reply {
    let Put { configuration_recorder: given } = call.params.read()?;
    if config.recorder.as_ref().is_some_and(|recorder| recorder.name != given.name) {
        let message = "Failed to put configuration recorder because the maximum number of recorders (1) is reached.";
        return Err(Refusal::new(400, "MaxNumberOfConfigurationRecordersExceededException", message));
    }
    let usual = || json!({ "allSupported": true, "includeGlobalResourceTypes": false, "resourceTypes": [] });
    let (started, stopped) = config.recorder.as_ref().map(|old| (old.started, old.stopped)).unwrap_or_default();
    let group = given.recording_group.unwrap_or_else(usual);
    config.recorder = Some(Recorder { name: given.name, role: given.role, group, started, stopped });
    Ok(Body::Json(json!({})))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PutChannel {
    delivery_channel: Channel,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Channel {
    #[serde(rename = "name")]
    _name: Option<String>,
    #[serde(rename = "s3BucketName")]
    bucket: String,
}

fn put_channel(config: &mut Config, call: &Call) -> Reply {
    let PutChannel { delivery_channel: channel } = call.params.read()?;
    if config.recorder.is_none() {
        let message = "Configuration recorder is not available to put delivery channel.";
        return Err(Refusal::new(400, "NoAvailableConfigurationRecorderException", message));
    }
    config.delivers_to = Some(channel.bucket);
    Ok(Body::Json(json!({})))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Named {
    configuration_recorder_name: String,
}

fn start(config: &mut Config, call: &Call) -> Reply {
    let Named { configuration_recorder_name: name } = call.params.read()?;
    named(config, &name)?;
    if config.delivers_to.is_none() {
        let message = "Delivery channel is not available to start configuration recorder.";
        return Err(Refusal::new(400, "NoAvailableDeliveryChannelException", message));
    }
    if let Some(recorder) = &mut config.recorder {
        recorder.started = Some(call.now);
    }
    Ok(Body::Json(json!({})))
}

fn stop(config: &mut Config, call: &Call) -> Reply {
    let Named { configuration_recorder_name: name } = call.params.read()?;
    named(config, &name)?;
    if let Some(recorder) = &mut config.recorder {
        recorder.stopped = Some(call.now);
    }
    Ok(Body::Json(json!({})))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::call::test_call;
    use crate::sim::wire::params::Params;

    fn ask(world: &mut World, operation: &str, with: Value) -> Result<Value, String> {
        let mut call = test_call("config", operation, "");
        call.params = Params::Json(with);
        match handle(world, &call).map_err(|refusal| refusal.code)? {
            Body::Json(json) => Ok(json),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_recorder_records_once_it_can_deliver() {
        let mut world = World::new(1);
        world.add_account(test_call("config", "", "").account, "development");
        let none = ask(&mut world, "DescribeConfigurationRecorders", json!({})).unwrap();
        assert_eq!(none, json!({ "ConfigurationRecorders": [] }));
        let recorder = json!({ "ConfigurationRecorder": { "roleARN": "arn:aws:iam::111122223333:role/config" } });
        ask(&mut world, "PutConfigurationRecorder", recorder).unwrap();
        let start = json!({ "ConfigurationRecorderName": "default" });
        let early = ask(&mut world, "StartConfigurationRecorder", start.clone()).unwrap_err();
        assert_eq!(early, "NoAvailableDeliveryChannelException");
        ask(&mut world, "PutDeliveryChannel", json!({ "DeliveryChannel": { "s3BucketName": "logs" } })).unwrap();
        ask(&mut world, "StartConfigurationRecorder", start.clone()).unwrap();
        let status = |world: &mut World| ask(world, "DescribeConfigurationRecorderStatus", json!({})).unwrap();
        assert_eq!(status(&mut world)["ConfigurationRecordersStatus"][0]["recording"], true);
        ask(&mut world, "StopConfigurationRecorder", start).unwrap();
        assert_eq!(status(&mut world)["ConfigurationRecordersStatus"][0]["recording"], false);
    }
}
