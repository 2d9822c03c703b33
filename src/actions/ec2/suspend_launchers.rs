//! `ec2.suspend-launchers`

mod fleet;

use std::collections::{BTreeMap, HashMap};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use fleet::{Fleet, Kind};

use crate::actions::autoscaling::{self, Group};
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, Resource, ResourceId, Tier, Undo, Verdict};

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
#[serde(rename_all = "kebab-case")]
pub enum Prior {
    /// The Auto Scaling group that it is in.
    Group(Group),
    /// The fleet that launched it.
    Fleet(Fleet),
    /// One that could not be looked at.
    Unseen(Unseen),
}

/// A group or a kind of fleet that could not be looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unseen {
    /// In words.
    what: String,
    /// Why not.
    error: ActionError,
}

impl Prior {
    fn unseen(what: String, error: &ActionError) -> Self {
        Self::Unseen(Unseen { what, error: error.clone() })
    }

    /// Whether it would launch another.
    fn launches(&self) -> bool {
        match self {
            Self::Group(group) => !group.running().is_empty(),
            Self::Fleet(fleet) => fleet.launches(),
            Self::Unseen(_) => true,
        }
    }

    /// In words.
    fn described(&self) -> String {
        match self {
            Self::Group(group) => format!("Auto Scaling group {}", group.name),
            Self::Fleet(fleet) => fleet.described(),
            Self::Unseen(unseen) => unseen.what.clone(),
        }
    }

    /// What tells it from everything else. The name of a group could be the id of a fleet.
    fn resource(&self) -> &str {
        match self {
            Self::Group(group) => &group.arn,
            Self::Fleet(fleet) => &fleet.id,
            Self::Unseen(unseen) => &unseen.what,
        }
    }
}

/// What was done about a launcher.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Done {
    /// The processes of a group that were suspended.
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

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        found(cx, members).await
    }

    fn plan(&self, _: &View, _: &Params, found: &Found<Prior>) -> Decision {
        if let Prior::Unseen(unseen) = &found.prior {
            return Decision::Unseen(unseen.error.clone());
        }
        if !found.prior.launches() {
            return Decision::Already;
        }
        let what = found.prior.described();
        let undo = Undo::by("let it launch again as before");
        let proposal = Proposal::new(format!("suspend the {what}"), "it replaces what ends", "suspended", undo);
        Decision::Change(proposal.noting("it stands still for all its instances: nothing is launched or replaced"))
    }

    fn drift(&self, _: &Prior, _: &Prior) -> Option<String> {
        // Whatever it has become under its id, suspending it is what was approved.
        None
    }

    async fn apply(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let mut effects = Vec::with_capacity(items.len());
        for Item { prior, .. } in items {
            let processes = match prior {
                Prior::Group(group) => group.suspend(&autoscaling::client(cx)).await?,
                Prior::Fleet(fleet) => {
                    fleet.suspend(&super::client(cx)).await?;
                    Vec::new()
                }
                Prior::Unseen(unseen) => return Err(unseen.error.clone()),
            };
            effects.push(json!(Done { processes }));
        }
        Ok(effects)
    }

    fn restored(&self, prior: &Prior, now: &Prior) -> Verdict {
        let is_as_before = match (prior, now) {
            (Prior::Group(prior), Prior::Group(now)) => prior.suspended == now.suspended,
            (prior, now) => prior == now,
        };
        if is_as_before {
            return Verdict::Proven;
        }
        Verdict::Unproven { why: "it is not as it was before".to_owned() }
    }

    async fn undo(&self, cx: &Ctx, _: &Params, item: &Item<Prior>, effect: &Effect) -> Result<(), ActionError> {
        match &item.prior {
            Prior::Group(group) => {
                let done: Option<Done> = serde_json::from_value(effect.clone()).ok();
                group.resume(cx, &done.map_or_else(|| group.running(), |done| done.processes)).await
            }
            Prior::Fleet(fleet) => super::unless_gone(fleet.resume(cx).await),
            Prior::Unseen(unseen) => Err(unseen.error.clone()),
        }
    }
}

/// What would replace each of these instances. What cannot be looked at keeps those only from being contained that come from
/// there.
async fn found(cx: &Ctx, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
    let origins = origins(cx, members).await?;
    let names = origins.values().filter_map(|tags| tags.get(OF_GROUP)).map(String::as_str);
    let groups = autoscaling::described(&autoscaling::client(cx), names).await;
    let groups = groups.map(|groups| -> HashMap<String, Group> {
        groups.iter().map(Group::of).map(|group| (group.name.clone(), group)).collect()
    });
    let fleets = fleets(cx, &origins).await;
    let of_member = |member: &Resource| {
        let tags = origins.get(member.id.as_str())?;
        let group = tags.get(OF_GROUP).and_then(|name| match &groups {
            Ok(groups) => groups.get(name).cloned().map(Prior::Group),
            Err(error) => Some(Prior::unseen(format!("Auto Scaling group {name}"), error)),
        });
        let fleet = fleets.iter().find_map(|(kind, fleets)| {
            let id = tags.get(kind.tag())?;
            match fleets {
                Ok(fleets) => fleets.get(id).cloned().map(Prior::Fleet),
                Err(error) => Some(Prior::unseen(kind.described(id), error)),
            }
        });
        let found = |prior: Prior| {
            let resource = ResourceId::new(prior.resource()).ok()?;
            Some(Found { member: member.id.clone(), resource, prior })
        };
        Some(group.into_iter().chain(fleet).filter_map(found).collect::<Vec<_>>())
    };
    Ok(members.iter().filter_map(of_member).flatten().collect())
}

/// The fleets of those kinds that any instance comes from.
async fn fleets(
    cx: &Ctx,
    origins: &HashMap<String, BTreeMap<String, String>>,
) -> Vec<(Kind, Result<BTreeMap<String, Fleet>, ActionError>)> {
    let client = super::client(cx);
    let mut fleets = Vec::new();
    for kind in KINDS.into_iter().filter(|kind| origins.values().any(|tags| tags.contains_key(kind.tag()))) {
        fleets.push((kind, fleet::all(&client, kind).await));
    }
    fleets
}

/// What would replace these instances, in words, by their ids.
pub(super) async fn launching(cx: &Ctx, members: &[Resource]) -> Result<HashMap<String, String>, ActionError> {
    let mut launching = HashMap::new();
    for Found { member, prior, .. } in found(cx, members).await? {
        if let Prior::Unseen(unseen) = prior {
            return Err(unseen.error);
        }
        if prior.launches() {
            launching.insert(member.to_string(), format!("{} is not suspended", prior.described()));
        }
    }
    Ok(launching)
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

    fn plan(prior: Prior) -> Decision {
        let resource = ResourceId::new(prior.resource()).unwrap();
        let member = ResourceId::new("i-1").unwrap();
        SuspendLaunchers.plan(&view(), &Params {}, &Found { member, resource, prior })
    }

    fn group(suspended: impl IntoIterator<Item = String>) -> Group {
        Group { name: "miners".into(), arn: "arn:a".into(), suspended: suspended.into_iter().collect() }
    }

    #[test]
    fn a_group_launches_again_until_every_process_of_it_is_suspended() {
        let Decision::Change(proposal) = plan(Prior::Group(group(["Launch".to_owned()]))) else { panic!("no change") };
        assert_eq!(proposal.summary, "suspend the Auto Scaling group miners");
        assert_eq!(plan(Prior::Group(group(group([]).running()))), Decision::Already);
    }

    #[test]
    fn a_fleet_launches_again_while_it_maintains_a_capacity() {
        let fleet = |maintains, total| {
            let (id, kind) = ("sfr-1".to_owned(), Kind::SpotFleet);
            plan(Prior::Fleet(Fleet { id, kind, maintains, total, on_demand: 0, excess: None }))
        };
        assert!(matches!(fleet(true, 3), Decision::Change(_)));
        assert_eq!(fleet(true, 0), Decision::Already);
        assert_eq!(fleet(false, 3), Decision::Already);
    }
}
