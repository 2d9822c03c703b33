//! `ec2.protect`

use std::collections::{BTreeMap, HashMap};

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{
    AttributeValue, EbsInstanceBlockDeviceSpecification, Instance, InstanceBlockDeviceMappingSpecification,
};
use futures::future::{join_all, try_join_all};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Flag;
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, Finding, Resource, ResourceId, Tier, Undo, Verdict};

/// Protects instances and their volumes from being destroyed.
pub struct Protect;

/// The action has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// The protections of an instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// Whether it is gone, or going.
    pub terminated: bool,
    /// What AWS lets nobody set on a Spot instance.
    pub switches: Option<Switches>,
    /// By device: whether the volume is deleted together with the instance.
    pub deleted_with_it: BTreeMap<String, bool>,
}

/// The attributes of an instance that is not a Spot instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Switches {
    /// `disableApiTermination`.
    pub termination_protection: bool,
    /// `disableApiStop`.
    pub stop_protection: bool,
    /// `instanceInitiatedShutdownBehavior`: `stop` or `terminate`.
    pub shutdown: String,
}

impl Action for Protect {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "ec2.protect";
    const TIER: Tier = Tier::Reversible;
    const KINDS: &'static [&'static str] = &["ec2.instance"];
    const TITLE: &'static str = "Protect instances and their volumes from destruction";
    const DESCRIPTION: &'static str = "Sets termination protection, clears stop protection (it also forbids termination and \
        would stand in the way of the stop), lets volumes outlive their instance, and makes a shutdown from inside a stop \
        instead of a termination. AWS takes one attribute per call; only what differs is sent. Spot instances take \
        neither protection: only their volumes are kept.\n\nAWS pages: *Enable termination protection*, *Enable stop \
        protection*, *Preserve data when an instance is terminated*, *Change the instance initiated shutdown behavior*.";
    const UNDO: &'static str = "Sets each attribute back to what it was.";
    const PERMISSIONS: &'static [&'static str] =
        &["ec2:DescribeInstances", "ec2:DescribeInstanceAttribute", "ec2:ModifyInstanceAttribute"];
    const UNDO_PERMISSIONS: &'static [&'static str] = &[];
    const EXAMPLE: &'static str = "{ id: protect, uses: ec2.protect, on: rogue }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = super::client(cx);
        let instances = super::instances(&client, members).await?;
        try_join_all(instances.iter().map(|instance| found(&client, instance, Known::default()))).await
    }

    /// Asks for those attributes only that are about to be changed.
    async fn look_again(
        &self,
        cx: &Ctx,
        _: &Params,
        members: &[Resource],
        approved: &[Item<Prior>],
    ) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = super::client(cx);
        let approved: HashMap<&str, &Prior> =
            approved.iter().map(|item| (item.resource.as_str(), &item.prior)).collect();
        let instances = super::instances(&client, members).await?;
        let found = instances.iter().filter_map(|instance| {
            let before = approved.get(super::id(instance))?;
            Some(found(&client, instance, Known::unchanged(before)))
        });
        try_join_all(found).await
    }

    fn plan(&self, _: &View, _: &Params, found: &Found<Prior>) -> Decision {
        if found.prior.terminated {
            return Decision::Skip("it is terminated: nothing is left to protect".to_owned());
        }
        let changes = Changes::of(&found.prior);
        // Stop protection alone is no reason: whoever stops the machine clears it, and puts it back on the way back.
        if changes == (Changes { stop_protection: changes.stop_protection, ..Changes::default() }) {
            return Decision::Already;
        }
        let (before, after) = changes.described();
        let undo = Undo::by("set each attribute back");
        let proposal = Proposal::new(format!("protect {}", found.resource), before, after, undo);
        Decision::Change(match found.prior.switches {
            Some(_) => proposal,
            None => proposal.noting("a Spot instance: AWS allows no termination protection, only its volumes are kept"),
        })
    }

    /// Stop protection is left out: the step that stops the machine clears it too, maybe at the same time.
    fn drift(&self, approved: &Prior, now: &Prior) -> Option<String> {
        if now.terminated {
            return (!approved.terminated).then(|| "it is terminated".to_owned());
        }
        let changed = |what: &str| Some(format!("{what} was changed after that was approved"));
        let (then, seen) = (approved.switches.as_ref(), now.switches.as_ref());
        if then.map(|of| of.termination_protection) != seen.map(|of| of.termination_protection) {
            return changed("its termination protection");
        }
        if then.map(|of| &of.shutdown) != seen.map(|of| &of.shutdown) {
            return changed("what it does at a shutdown from inside");
        }
        let device = approved
            .deleted_with_it
            .iter()
            .find(|(device, deleted)| now.deleted_with_it.get(*device).is_some_and(|now| now != *deleted));
        device.and_then(|(device, _)| changed(&format!("whether the volume {device} dies with it")))
    }

    async fn preflight(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Vec<Finding> {
        let Some(item) = items.first() else { return Vec::new() };
        let behavior = AttributeValue::builder().value("stop").build();
        let request = super::client(cx).modify_instance_attribute().instance_id(item.resource.as_str());
        let answer = request.instance_initiated_shutdown_behavior(behavior).dry_run(true).send().await;
        super::asked(cx, "ec2:ModifyInstanceAttribute", answer).into_iter().collect()
    }

    async fn apply(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = super::client(cx);
        for item in items {
            Changes::of(&item.prior).send(&client, item.resource.as_str()).await?;
        }
        Ok(vec![Value::Null; items.len()])
    }

    /// What somebody terminated has nothing left that could be switched; whether its evidence is there, the step that took it
    /// says.
    fn verify(&self, view: &View, params: &Params, found: &Found<Prior>) -> Verdict {
        match self.plan(view, params, found) {
            Decision::Already | Decision::Skip(_) => Verdict::Proven,
            Decision::Change(proposal) => Verdict::Unproven { why: format!("still: {}", proposal.before) },
            Decision::Refuse(why) => Verdict::Unproven { why },
            Decision::ByHand(work) => Verdict::Unproven { why: work.what },
            Decision::Unseen(error) => Verdict::Unproven { why: error.to_string() },
        }
    }

    fn restored(&self, prior: &Prior, now: &Prior) -> Verdict {
        match self.drift(prior, now) {
            None => Verdict::Proven,
            Some(why) if now.terminated => Verdict::Unproven { why },
            Some(why) => Verdict::Pending { why },
        }
    }

    async fn undo(&self, cx: &Ctx, _: &Params, item: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        let client = super::client(cx);
        super::unless_gone(Changes::of(&item.prior).back(&item.prior).send(&client, item.resource.as_str()).await)
    }
}

async fn found(client: &Client, instance: &Instance, known: Known) -> Result<Found<Prior>, ActionError> {
    let resource = ResourceId::new(super::id(instance))
        .map_err(|error| ActionError::new(crate::model::ErrorKind::Unsupported, error.to_string()))?;
    let terminated = super::is_terminated(&super::state(instance));
    let switches =
        if terminated || super::is_spot(instance) { None } else { switches(client, resource.as_str(), known).await? };
    let devices = instance.block_device_mappings().iter().filter_map(|mapping| {
        let ebs = mapping.ebs()?;
        Some((mapping.device_name()?.to_owned(), ebs.delete_on_termination().unwrap_or_default()))
    });
    let prior = Prior { terminated, switches, deleted_with_it: devices.collect() };
    Ok(Found { member: resource.clone(), resource, prior })
}

/// What need not be asked for.
#[derive(Default)]
struct Known {
    termination_protection: Option<bool>,
    stop_protection: Option<bool>,
    shutdown: Option<String>,
}

impl Known {
    /// What was approved to stay as it is.
    fn unchanged(before: &Prior) -> Self {
        let Some(switches) = &before.switches else { return Self::default() };
        let changes = Changes::of(before);
        Self {
            termination_protection: changes.termination_protection.is_none().then_some(switches.termination_protection),
            stop_protection: changes.stop_protection.is_none().then_some(switches.stop_protection),
            shutdown: changes.shutdown.is_none().then(|| switches.shutdown.clone()),
        }
    }
}

async fn switches(client: &Client, id: &str, known: Known) -> Result<Option<Switches>, ActionError> {
    let flag = |flag, known: Option<bool>| async move {
        match known {
            Some(on) => Ok(Some(on)),
            None => super::flag(client, id, flag).await,
        }
    };
    let shutdown = async {
        match known.shutdown {
            Some(shutdown) => Ok(Some(shutdown)),
            None => super::shutdown_behavior(client, id).await,
        }
    };
    let flags =
        super::both(flag(Flag::Termination, known.termination_protection), flag(Flag::Stop, known.stop_protection));
    let ((termination, stop), shutdown) = super::both(flags, shutdown).await?;
    let switches = termination.zip(stop).map(|(termination_protection, stop_protection)| Switches {
        termination_protection,
        stop_protection,
        shutdown: shutdown.unwrap_or_else(|| "stop".to_owned()),
    });
    Ok(switches)
}

/// The attributes to set; those that are as wished already are absent.
#[derive(Debug, Clone, Default, PartialEq)]
struct Changes {
    termination_protection: Option<bool>,
    stop_protection: Option<bool>,
    shutdown: Option<String>,
    deleted_with_it: BTreeMap<String, bool>,
}

impl Changes {
    fn of(prior: &Prior) -> Self {
        let devices = prior.deleted_with_it.iter().filter(|(_, deleted)| **deleted);
        let deleted_with_it = devices.map(|(device, _)| (device.clone(), false)).collect();
        match &prior.switches {
            None => Self { deleted_with_it, ..Self::default() },
            Some(switches) => Self {
                termination_protection: (!switches.termination_protection).then_some(true),
                stop_protection: switches.stop_protection.then_some(false),
                shutdown: (switches.shutdown != "stop").then(|| "stop".to_owned()),
                deleted_with_it,
            },
        }
    }

    /// The same attributes as they were.
    fn back(self, prior: &Prior) -> Self {
        let switches = prior.switches.as_ref();
        Self {
            termination_protection: self.termination_protection.map(|on| !on),
            stop_protection: self.stop_protection.map(|on| !on),
            shutdown: self.shutdown.and_then(|_| switches.map(|switches| switches.shutdown.clone())),
            deleted_with_it: self.deleted_with_it.into_iter().map(|(device, deleted)| (device, !deleted)).collect(),
        }
    }

    /// Before and after, in words.
    fn described(&self) -> (String, String) {
        let mut words: Vec<(&str, &str)> = Vec::new();
        if self.termination_protection.is_some() {
            words.push(("can be terminated", "termination protection"));
        }
        if self.stop_protection.is_some() {
            words.push(("stop protection", "can be stopped"));
        }
        if self.shutdown.is_some() {
            words.push(("a shutdown from inside terminates", "a shutdown from inside stops"));
        }
        if !self.deleted_with_it.is_empty() {
            words.push(("volumes die with it", "volumes outlive it"));
        }
        let (before, after): (Vec<&str>, Vec<&str>) = words.into_iter().unzip();
        (before.join(", "), after.join(", "))
    }

    /// Sends one call per attribute, all at once.
    async fn send(&self, client: &Client, id: &str) -> Result<(), ActionError> {
        let flag = |flag, on: Option<bool>| async move {
            match on {
                Some(on) => super::set_flag(client, id, flag, on).await,
                None => Ok(()),
            }
        };
        let protections =
            join_all([flag(Flag::Termination, self.termination_protection), flag(Flag::Stop, self.stop_protection)]);
        let (protections, shutdown, devices) =
            futures::join!(protections, self.send_shutdown(client, id), self.send_devices(client, id));
        protections.into_iter().chain([shutdown, devices]).collect()
    }

    async fn send_shutdown(&self, client: &Client, id: &str) -> Result<(), ActionError> {
        let Some(shutdown) = &self.shutdown else { return Ok(()) };
        let value = AttributeValue::builder().value(shutdown).build();
        let request = client.modify_instance_attribute().instance_id(id);
        request.instance_initiated_shutdown_behavior(value).send().await?;
        Ok(())
    }

    async fn send_devices(&self, client: &Client, id: &str) -> Result<(), ActionError> {
        if self.deleted_with_it.is_empty() {
            return Ok(());
        }
        let mappings = self.deleted_with_it.iter().map(|(device, deleted)| {
            let ebs = EbsInstanceBlockDeviceSpecification::builder().delete_on_termination(*deleted).build();
            InstanceBlockDeviceMappingSpecification::builder().device_name(device).ebs(ebs).build()
        });
        let request = client.modify_instance_attribute().instance_id(id);
        request.set_block_device_mappings(Some(mappings.collect())).send().await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;

    fn prior() -> Prior {
        Prior {
            terminated: false,
            switches: Some(Switches {
                termination_protection: false,
                stop_protection: true,
                shutdown: "terminate".into(),
            }),
            deleted_with_it: BTreeMap::from([("/dev/sda1".into(), true), ("/dev/sdb".into(), false)]),
        }
    }

    fn plan(prior: Prior) -> Decision {
        let id = ResourceId::new("i-1").unwrap();
        Protect.plan(&view(), &Params {}, &Found { member: id.clone(), resource: id, prior })
    }

    #[test]
    fn what_somebody_else_set_meanwhile_is_drift() {
        let switched = |change: &dyn Fn(&mut Switches)| {
            let mut now = prior();
            change(now.switches.as_mut().unwrap());
            Protect.drift(&prior(), &now)
        };
        assert_eq!(switched(&|_| ()), None);
        assert_eq!(switched(&|now| now.stop_protection = false), None, "the stop clears it too");
        assert!(switched(&|now| now.termination_protection = true).unwrap().contains("termination protection"));
        assert!(switched(&|now| now.shutdown = "stop".into()).unwrap().contains("shutdown"));
        let mut now = prior();
        now.deleted_with_it.insert("/dev/sdb".into(), true);
        assert!(Protect.drift(&prior(), &now).unwrap().contains("/dev/sdb"));
        now.deleted_with_it.remove("/dev/sdb");
        assert_eq!(Protect.drift(&prior(), &now), None, "a volume that was detached has nothing to be asked about");
    }

    #[test]
    fn only_what_differs_is_sent_and_goes_back_to_what_it_was() {
        let changes = Changes::of(&prior());
        assert_eq!(changes.deleted_with_it, BTreeMap::from([("/dev/sda1".into(), false)]));
        let back = changes.back(&prior());
        assert_eq!((back.termination_protection, back.stop_protection), (Some(false), Some(true)));
        assert_eq!(back.shutdown.as_deref(), Some("terminate"));
        assert_eq!(back.deleted_with_it, BTreeMap::from([("/dev/sda1".into(), true)]));
    }

    #[test]
    fn only_what_is_about_to_change_is_asked_for_again() {
        let known = Known::unchanged(&prior());
        assert_eq!((known.termination_protection, known.stop_protection, known.shutdown), (None, None, None));
        let mut partly = prior();
        partly.switches.as_mut().unwrap().stop_protection = false;
        partly.switches.as_mut().unwrap().shutdown = "stop".into();
        let known = Known::unchanged(&partly);
        assert_eq!((known.termination_protection, known.stop_protection), (None, Some(false)));
        assert_eq!(known.shutdown.as_deref(), Some("stop"));
    }

    #[test]
    fn a_spot_instance_keeps_its_volumes_and_says_so() {
        let Decision::Change(proposal) = plan(Prior { switches: None, ..prior() }) else { panic!("no change") };
        assert_eq!(proposal.after, "volumes outlive it");
        assert_eq!(proposal.notes.len(), 1);
    }

    #[test]
    fn what_is_protected_or_gone_is_left_alone() {
        let switches = Switches { termination_protection: true, stop_protection: false, shutdown: "stop".into() };
        let done = Prior { switches: Some(switches), deleted_with_it: BTreeMap::new(), ..prior() };
        assert_eq!(plan(done), Decision::Already);
        assert!(matches!(plan(Prior { terminated: true, ..prior() }), Decision::Skip(_)));
    }
}
