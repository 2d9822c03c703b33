//! StartInstances, StopInstances, RebootInstances, TerminateInstances, and what time does to instances.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::Ec2;
use super::ids::INSTANCE;
use super::instances::{Instance, State};
use super::spot::SpotType;
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;

/// How long a terminated instance is shown.
const SHOWN_AFTER_TERMINATION: SignedDuration = SignedDuration::from_hours(1);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Start {
    #[serde(rename = "InstanceId")]
    ids: Vec<String>,
    _additional_info: Option<String>,
    _dry_run: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Stop {
    #[serde(rename = "InstanceId")]
    ids: Vec<String>,
    #[serde(default)]
    force: bool,
    #[serde(default)]
    hibernate: bool,
    _skip_os_shutdown: Option<bool>,
    _dry_run: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Reboot {
    #[serde(rename = "InstanceId")]
    ids: Vec<String>,
    _dry_run: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Terminate {
    #[serde(rename = "InstanceId")]
    ids: Vec<String>,
    _force: Option<bool>,
    _skip_os_shutdown: Option<bool>,
    _dry_run: Option<bool>,
}

fn wrong_state(instance: &Instance, wanted: &str) -> Refusal {
    let message = format!(
        "The instance '{}' is in the state '{}', from which it cannot be {wanted}.",
        instance.id,
        instance.state.name()
    );
    Refusal::new(400, "IncorrectInstanceState", message)
}

fn unsupported(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "UnsupportedOperation", message)
}

fn protected(id: &str, deed: &str, attribute: &str) -> Refusal {
    let message =
        format!("The instance '{id}' may not be {deed}. Modify its '{attribute}' instance attribute and try again.");
    Refusal::new(400, "OperationNotPermitted", message)
}

/// The change of state of each instance, as Start, Stop and Terminate answer it.
fn changes(ec2: &Ec2, before: &[(String, State)]) -> Body {
    let items = before.iter().filter_map(|(id, previous)| {
        let current = ec2.instances.get(id)?.state;
        Some(vec![Xml::text("instanceId", id), current.xml("currentState"), previous.xml("previousState")])
    });
    Body::Xml(vec![Xml::list("instancesSet", "item", items)])
}

fn states(ec2: &Ec2, ids: &[String]) -> Result<Vec<(String, State)>, Refusal> {
    if ids.is_empty() {
        return Err(Refusal::new(400, "MissingParameter", "The request must contain the parameter InstanceId"));
    }
    INSTANCE.check_all(&ec2.instances, ids)?;
    let unique: BTreeSet<&String> = ids.iter().collect();
    Ok(unique.into_iter().map(|id| (id.clone(), ec2.instances[id].state)).collect())
}

/// StartInstances: resets the launch time, and an auto-assigned public address is a new one.
pub fn start(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: Start = call.params.read()?;
    let before = states(ec2, &params.ids)?;
    for (id, state) in &before {
        if matches!(state, State::Stopping { .. }) || state.is_ending() {
            return Err(wrong_state(&ec2.instances[id], "started"));
        }
    }
    for (id, state) in &before {
        if *state == State::Stopped {
            ec2.start_instance(id, call.now);
        }
    }
    Ok(changes(ec2, &before))
}

/// StopInstances: one that cannot be stopped spoils the batch. One that fails to hibernate is stopped in the ordinary way.
pub fn stop(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: Stop = call.params.read()?;
    let before = states(ec2, &params.ids)?;
    for (id, _) in &before {
        ec2.check_stop(&ec2.instances[id], &params)?;
    }
    let until = call.now + ec2.settings.stop;
    for (id, state) in &before {
        let Some(instance) = ec2.instances.get_mut(id) else { continue };
        if matches!(state, State::Running | State::Pending { .. }) {
            instance.state = State::Stopping { until };
            let (code, message) = if params.hibernate && !instance.hibernation_fails {
                ("Client.UserInitiatedHibernate", "User initiated hibernate")
            } else {
                ("Client.UserInitiatedShutdown", "User initiated shutdown")
            };
            instance.user_initiated(call.now, code, message);
            instance.public_ip = None;
        }
    }
    Ok(changes(ec2, &before))
}

/// RebootInstances.
pub fn reboot(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: Reboot = call.params.read()?;
    for (id, state) in states(ec2, &params.ids)? {
        if state != State::Running {
            return Err(wrong_state(&ec2.instances[&id], "rebooted"));
        }
    }
    Ok(Body::ec2_true())
}

/// TerminateInstances. A protected instance saves all that share its zone in the same call; other zones go ahead, and the
/// answer is the error all the same.
pub fn terminate(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: Terminate = call.params.read()?;
    let before = states(ec2, &params.ids)?;
    let mut saved_zones = BTreeSet::new();
    let mut refusal = None;
    for (id, state) in &before {
        let instance = &ec2.instances[id];
        let attribute = match instance {
            i if state.is_ending() || !(i.disable_api_termination || i.disable_api_stop) => continue,
            i if i.disable_api_termination => "disableApiTermination",
            _ => "disableApiStop",
        };
        saved_zones.insert(instance.availability_zone.clone());
        refusal.get_or_insert_with(|| protected(id, "terminated", attribute));
    }
    for (id, _) in &before {
        if !saved_zones.contains(&ec2.instances[id].availability_zone) {
            ec2.terminate_instance(id, call.now, "Client.UserInitiatedShutdown", "User initiated shutdown");
        }
    }
    match refusal {
        Some(refusal) => Err(refusal),
        None => Ok(changes(ec2, &before)),
    }
}

impl Instance {
    fn user_initiated(&mut self, now: Timestamp, code: &str, message: &str) {
        self.transition_reason = format!("User initiated ({})", now.strftime("%Y-%m-%d %H:%M:%S GMT"));
        self.state_reason = Some((code.to_owned(), format!("{code}: {message}")));
    }
}

impl Ec2 {
    fn check_stop(&self, instance: &Instance, stop: &Stop) -> Result<(), Refusal> {
        let id = &instance.id;
        if instance.state.is_ending() {
            return Err(wrong_state(instance, "stopped"));
        }
        if matches!(instance.state, State::Stopped | State::Stopping { .. }) {
            return Ok(());
        }
        if instance.disable_api_stop {
            return Err(protected(id, "stopped", "disableApiStop"));
        }
        if instance.root_device_type != "ebs" {
            return Err(unsupported(format!(
                "The instance '{id}' does not have an 'ebs' root device type and cannot be stopped."
            )));
        }
        if let Some(request) = instance.spot_request_id.as_ref().and_then(|request| self.spot_requests.get(request)) {
            if request.spot_type == SpotType::OneTime {
                return Err(unsupported(format!(
                    "You can't stop the Spot Instance '{id}' because it is associated with a one-time Spot Instance request. You can only stop Spot Instances associated with persistent Spot Instance requests."
                )));
            }
            if request.state == "cancelled" {
                return Err(unsupported(format!(
                    "You can't stop the Spot Instance '{id}' because its Spot Instance request was cancelled."
                )));
            }
        }
        if stop.hibernate && !instance.hibernation {
            return Err(Refusal::new(
                400,
                "UnsupportedHibernationConfiguration",
                format!("The instance '{id}' was not launched with hibernation enabled."),
            ));
        }
        if matches!(instance.state, State::Pending { .. }) && !stop.force {
            return Err(wrong_state(instance, "stopped"));
        }
        Ok(())
    }

    /// Starts a stopped instance.
    pub(super) fn start_instance(&mut self, id: &str, now: Timestamp) {
        let address = self.new_public_ip();
        let until = now + self.settings.start;
        let Some(instance) = self.instances.get_mut(id) else { return };
        instance.state = State::Pending { until };
        instance.launch_time = now;
        instance.state_reason = None;
        instance.transition_reason = String::new();
        instance.public_ip = instance.assigns_public_ip.then_some(address);
        if let Some(request) = instance.spot_request_id.as_ref().and_then(|request| self.spot_requests.get_mut(request))
        {
            request.enable(now);
        }
    }

    /// Begins to terminate an instance, whatever protects it: the caller has looked.
    pub fn terminate_instance(&mut self, id: &str, now: Timestamp, code: &str, message: &str) {
        let until = now + self.settings.terminate;
        let Some(instance) = self.instances.get_mut(id) else { return };
        if instance.state.is_ending() {
            return;
        }
        instance.state = State::ShuttingDown { until };
        instance.user_initiated(now, code, message);
        instance.public_ip = None;
    }

    /// Lets time do its work on the instances.
    pub(super) fn settle_instances(&mut self, now: Timestamp) {
        let mut gone = Vec::new();
        for instance in self.instances.values_mut() {
            match instance.state {
                State::Pending { until } if until <= now => instance.state = State::Running,
                State::Stopping { until } if until <= now => {
                    instance.state = State::Stopped;
                    let request =
                        instance.spot_request_id.as_ref().and_then(|request| self.spot_requests.get_mut(request));
                    if let Some(request) = request {
                        request.disable(until);
                    }
                }
                State::ShuttingDown { until } if until <= now => {
                    instance.state = State::Terminated { since: until };
                    gone.push((instance.id.clone(), until));
                }
                _ => {}
            }
        }
        for (id, since) in gone {
            self.take_apart(&id, since);
        }
        self.instances.retain(|_, instance| match instance.state {
            State::Terminated { since } => now.duration_since(since) < SHOWN_AFTER_TERMINATION,
            _ => true,
        });
    }

    /// What a terminated instance leaves behind: volumes and interfaces that are not deleted with it.
    fn take_apart(&mut self, id: &str, since: Timestamp) {
        let Some(instance) = self.instances.get_mut(id) else { return };
        for device in std::mem::take(&mut instance.block_devices) {
            if device.delete_on_termination {
                self.volumes.remove(&device.volume_id);
            } else if let Some(volume) = self.volumes.get_mut(&device.volume_id) {
                volume.attached_to = None;
            }
        }
        self.network_interfaces.retain(|_, eni| {
            !eni.attachment.as_ref().is_some_and(|a| a.instance_id.as_deref() == Some(id) && a.delete_on_termination)
        });
        for eni in self.network_interfaces.values_mut() {
            if eni.attachment.as_ref().is_some_and(|a| a.instance_id.as_deref() == Some(id)) {
                eni.attachment = None;
            }
        }
        self.profile_associations.retain(|_, association| association.instance_id != id);
        for address in self.addresses.values_mut().filter(|address| address.instance_id.as_deref() == Some(id)) {
            address.instance_id = None;
        }
        let request = instance.spot_request_id.clone();
        if let Some(request) = request {
            self.spot_instance_terminated(&request, since);
        }
    }
}
