//! `ec2.suspend-launchers`

mod fleet;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use fleet::{Fleet, Kind};

use crate::actions::autoscaling::{self, Group};
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, Resource, Tier, Undo, Verdict};

/// The tag that Auto Scaling gives to what it launches. Nobody else can set a tag that begins with `aws:`.
const OF_GROUP: &str = "aws:autoscaling:groupName";

/// Both kinds of fleet.
const KINDS: [Kind; 2] = [Kind::Ec2Fleet, Kind::SpotFleet];

/// Suspends what would launch instances again.
pub struct SuspendLaunchers;

/// The action has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// What would replace an instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// The Auto Scaling group that it is in.
    pub group: Option<Group>,
    /// The fleet that launched it.
    pub fleet: Option<Fleet>,
}

impl Prior {
    /// What launches, in words.
    fn launching(&self) -> Vec<String> {
        let group = self.group.as_ref().filter(|group| !group.running().is_empty());
        let group = group.map(|group| format!("Auto Scaling group {}", group.name));
        let fleet = self.fleet.as_ref().filter(|fleet| fleet.launches()).map(Fleet::described);
        group.into_iter().chain(fleet).collect()
    }
}

/// What was done about one instance's launchers.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Done {
    /// The processes of its group that were suspended.
    processes: Vec<String>,
}

impl Action for SuspendLaunchers {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "ec2.suspend-launchers";
    const TIER: Tier = Tier::Reversible;
    const KINDS: &'static [&'static str] = &["ec2.instance"];
    const TITLE: &'static str = "Suspend what would launch the instances again";
    const DESCRIPTION: &'static str = "Finds what launched each instance and makes it stand still: an Auto Scaling group has \
        every process suspended that is not suspended yet; a fleet that maintains its capacity has that set to zero, with a \
        policy that lets its machines go on. It comes before `ec2.isolate` and `ec2.stop-instances`: a group \
        that is not suspended terminates an instance that was stopped, or that its load balancer does not reach, and \
        launches another. A group or fleet stands still for all its instances, also those that are not in the set. Machines \
        of a Spot Fleet cannot be stopped, only isolated or terminated.\n\n\
        A Spot request of its own is not touched, so that its instance can still be stopped: a stop disables the request, \
        and it launches nothing until its instance is started or terminated.\n\n\
        AWS pages: *Suspend and resume Amazon EC2 Auto Scaling processes*, *ModifyFleet*, \
        *ModifySpotFleetRequest*, *Manage your Spot Instances*.";
    const UNDO: &'static str = "Resumes exactly the processes that it suspended, and sets the fleet's capacity and policy \
        back, when no instance of the group or fleet is stopped any more: it would be replaced.";
    const PERMISSIONS: &'static [&'static str] = &[
        "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:SuspendProcesses",
        "ec2:DescribeFleets",
        "ec2:DescribeInstances",
        "ec2:DescribeSpotFleetRequests",
        "ec2:ModifyFleet",
        "ec2:ModifySpotFleetRequest",
    ];
    const UNDO_PERMISSIONS: &'static [&'static str] = &["autoscaling:ResumeProcesses"];
    const EXAMPLE: &'static str = "{ id: launchers, uses: ec2.suspend-launchers, on: rogue }";
    const BATCH: usize = 50;

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        found(cx, members).await
    }

    fn plan(&self, _: &View, _: &Params, found: &Found<Prior>) -> Decision {
        let launching = found.prior.launching();
        if launching.is_empty() {
            return Decision::Already;
        }
        let what = launching.join(" and ");
        let undo = Undo::by("let them launch again as before");
        let summary = format!("suspend what launches {} again: {what}", found.resource);
        let proposal = Proposal::new(summary, "it would be replaced", "suspended", undo);
        Decision::Change(
            proposal.noting(format!("{what} stands still for all its instances: nothing is launched or replaced")),
        )
    }

    fn drift(&self, approved: &Prior, now: &Prior) -> Option<String> {
        let group = |prior: &Prior| prior.group.as_ref().map(|group| group.arn.clone());
        (group(now).is_some() && group(approved) != group(now)).then(|| "it belongs to another group by now".to_owned())
    }

    async fn apply(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = autoscaling::client(cx);
        let ec2 = super::client(cx);
        // Many instances of one group or fleet are one request.
        let mut suspended: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let mut emptied: BTreeSet<&str> = BTreeSet::new();
        for Item { prior, .. } in items {
            if let Some(group) = prior.group.as_ref().filter(|group| !suspended.contains_key(group.name.as_str())) {
                suspended.insert(&group.name, group.suspend(&client).await?);
            }
            if let Some(fleet) = prior.fleet.as_ref().filter(|fleet| fleet.launches())
                && emptied.insert(&fleet.id)
            {
                fleet.suspend(&ec2).await?;
            }
        }
        let effect = |item: &Item<Prior>| {
            let group = item.prior.group.as_ref().and_then(|group| suspended.get(group.name.as_str()));
            json!(Done { processes: group.cloned().unwrap_or_default() })
        };
        Ok(items.iter().map(effect).collect())
    }

    fn restored(&self, prior: &Prior, now: &Prior) -> Verdict {
        let suspended = |prior: &Prior| prior.group.as_ref().map(|group| group.suspended.clone());
        let differs = match (suspended(prior), suspended(now)) {
            (Some(then), Some(now)) => then != now,
            _ => false,
        };
        if differs || (now.fleet.is_some() && prior.fleet != now.fleet) {
            return Verdict::Unproven { why: "what launches it is not as it was before".to_owned() };
        }
        Verdict::Proven
    }

    async fn undo(&self, cx: &Ctx, _: &Params, item: &Item<Prior>, effect: &Effect) -> Result<(), ActionError> {
        let done: Option<Done> = serde_json::from_value(effect.clone()).ok();
        if let Some(group) = &item.prior.group {
            group.resume(cx, &done.map_or_else(|| group.running(), |done| done.processes)).await?;
        }
        match &item.prior.fleet {
            Some(fleet) => super::unless_gone(fleet.resume(cx).await),
            None => Ok(()),
        }
    }
}

async fn found(cx: &Ctx, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
    let origins = origins(cx, members).await?;
    let names = origins.values().filter_map(|tags| tags.get(OF_GROUP)).map(String::as_str);
    let groups = autoscaling::described(&autoscaling::client(cx), names).await?;
    let groups: HashMap<String, Group> =
        groups.iter().map(Group::of).map(|group| (group.name.clone(), group)).collect();
    let fleets = fleets(cx, &origins).await?;
    let found = members.iter().filter_map(|member| {
        let tags = origins.get(member.id.as_str())?;
        let group = tags.get(OF_GROUP).and_then(|name| groups.get(name)).cloned();
        let fleet = KINDS.iter().find_map(|kind| fleets.get(tags.get(kind.tag())?)).cloned();
        Some(Found { member: member.id.clone(), resource: member.id.clone(), prior: Prior { group, fleet } })
    });
    Ok(found.collect())
}

/// The fleets of those kinds that any instance comes from.
async fn fleets(
    cx: &Ctx,
    origins: &HashMap<String, BTreeMap<String, String>>,
) -> Result<BTreeMap<String, Fleet>, ActionError> {
    let client = super::client(cx);
    let mut fleets = BTreeMap::new();
    for kind in KINDS.into_iter().filter(|kind| origins.values().any(|tags| tags.contains_key(kind.tag()))) {
        fleets.extend(fleet::all(&client, kind).await?);
    }
    Ok(fleets)
}

/// What would replace these instances, in words, by their ids.
pub(super) async fn launching(cx: &Ctx, members: &[Resource]) -> Result<HashMap<String, String>, ActionError> {
    let launching = found(cx, members).await?.into_iter().filter_map(|found| {
        let launching = found.prior.launching();
        (!launching.is_empty())
            .then(|| (found.member.to_string(), format!("{} is not suspended", launching.join(" and "))))
    });
    Ok(launching.collect())
}

/// Which tags of AWS each instance carries, by id. A survey knows them already; without, they are asked for.
async fn origins(cx: &Ctx, members: &[Resource]) -> Result<HashMap<String, BTreeMap<String, String>>, ActionError> {
    let listed: Option<HashMap<String, BTreeMap<String, String>>> =
        members.iter().map(|member| Some((member.id.to_string(), listed(&member.fields)?))).collect();
    if let Some(listed) = listed {
        return Ok(listed);
    }
    let instances = super::instances(&super::client(cx), members).await?;
    Ok(instances.iter().map(|instance| (super::id(instance).to_owned(), super::tags(instance.tags()))).collect())
}

fn listed(fields: &Map<String, Value>) -> Option<BTreeMap<String, String>> {
    let tags = fields.get("tags")?.as_object()?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Some(tags.iter().map(|(key, value)| (key.clone(), text(value))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;
    use crate::model::ResourceId;

    fn found(group: Option<(&str, &[&str])>) -> Found<Prior> {
        let id = ResourceId::new("i-1").unwrap();
        let group = group.map(|(arn, suspended)| Group {
            name: "miners".into(),
            arn: arn.into(),
            suspended: suspended.iter().map(|name| (*name).to_owned()).collect(),
        });
        Found { member: id.clone(), resource: id, prior: Prior { group, fleet: None } }
    }

    #[test]
    fn an_instance_that_nothing_launches_again_is_fine() {
        assert_eq!(SuspendLaunchers.plan(&view(), &Params {}, &found(None)), Decision::Already);
        let Decision::Change(proposal) = SuspendLaunchers.plan(&view(), &Params {}, &found(Some(("a", &["Launch"]))))
        else {
            panic!("no change")
        };
        assert!(proposal.summary.ends_with("Auto Scaling group miners"), "{}", proposal.summary);
    }

    #[test]
    fn a_fleet_launches_again_while_it_maintains_a_capacity() {
        let fleet = |maintains, total| {
            let mut found = found(None);
            let (id, kind) = ("sfr-1".to_owned(), Kind::SpotFleet);
            found.prior.fleet = Some(Fleet { id, kind, maintains, total, on_demand: 0, excess: None });
            SuspendLaunchers.plan(&view(), &Params {}, &found)
        };
        assert!(matches!(fleet(true, 3), Decision::Change(_)));
        assert_eq!(fleet(true, 0), Decision::Already);
        assert_eq!(fleet(false, 3), Decision::Already);
    }

    #[test]
    fn leaving_the_group_is_no_drift_and_another_group_is() {
        let (a, b, none) = (found(Some(("a", &[]))).prior, found(Some(("b", &[]))).prior, found(None).prior);
        assert_eq!(SuspendLaunchers.drift(&a, &none), None);
        assert!(SuspendLaunchers.drift(&a, &b).is_some());
        assert!(SuspendLaunchers.drift(&none, &b).is_some());
    }
}
