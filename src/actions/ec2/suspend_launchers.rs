//! `ec2.suspend-launchers`

use std::collections::{BTreeMap, HashMap};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::actions::autoscaling::{self, Group};
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, Resource, Tier, Undo, Verdict};

/// The tag that Auto Scaling gives to what it launches. Nobody else can set a tag that begins with `aws:`.
const OF_GROUP: &str = "aws:autoscaling:groupName";

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
        every process suspended that is not suspended yet. It comes before `ec2.isolate` and `ec2.stop-instances`: a group \
        that is not suspended terminates an instance that was stopped, or that its load balancer does not reach, and \
        launches another. The group stands still for all its instances, also those that are not in the set.\n\n\
        A Spot request of its own is not touched, so that its instance can still be stopped: a stop disables the request, \
        and it launches nothing until its instance is started or terminated.\n\n\
        AWS pages: *Suspend and resume Amazon EC2 Auto Scaling processes*, *Manage your Spot Instances*.";
    const UNDO: &'static str = "Resumes exactly the processes that it suspended, when no instance of the group is stopped any \
        more: a resumed group would terminate it.";
    const PERMISSIONS: &'static [&'static str] =
        &["autoscaling:DescribeAutoScalingGroups", "autoscaling:SuspendProcesses", "ec2:DescribeInstances"];
    const UNDO_PERMISSIONS: &'static [&'static str] = &["autoscaling:ResumeProcesses"];
    const EXAMPLE: &'static str = "{ id: launchers, uses: ec2.suspend-launchers, on: rogue }";
    const BATCH: usize = 50;

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        found(cx, members).await
    }

    fn plan(&self, _: &View, _: &Params, found: &Found<Prior>) -> Decision {
        let launching = found.prior.group.as_ref().filter(|group| !group.running().is_empty());
        let Some(group) = launching else { return Decision::Already };
        let undo = Undo::by("resume the processes that were suspended here");
        let summary = format!("suspend what launches {} again: Auto Scaling group {}", found.resource, group.name);
        let before = format!("{} of the group's processes run", group.running().len());
        let proposal = Proposal::new(summary, before, "all its processes suspended", undo);
        Decision::Change(proposal.noting(format!(
            "{} stands still for all its instances: nothing is launched, replaced or scaled",
            group.name
        )))
    }

    fn drift(&self, approved: &Prior, now: &Prior) -> Option<String> {
        let arn = |prior: &Prior| prior.group.as_ref().map(|group| group.arn.clone());
        (arn(now).is_some() && arn(approved) != arn(now)).then(|| "it belongs to another group by now".to_owned())
    }

    async fn apply(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = autoscaling::client(cx);
        // Many instances of one group are one request.
        let mut suspended: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for group in items.iter().filter_map(|item| item.prior.group.as_ref()) {
            if !suspended.contains_key(group.name.as_str()) {
                suspended.insert(&group.name, group.suspend(&client).await?);
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
        match (suspended(prior), suspended(now)) {
            (Some(then), Some(now)) if then != now => {
                Verdict::Unproven { why: "the group's suspended processes are not those from before".to_owned() }
            }
            _ => Verdict::Proven,
        }
    }

    async fn undo(&self, cx: &Ctx, _: &Params, item: &Item<Prior>, effect: &Effect) -> Result<(), ActionError> {
        let Some(group) = &item.prior.group else { return Ok(()) };
        let done: Option<Done> = serde_json::from_value(effect.clone()).ok();
        group.resume(cx, &done.map_or_else(|| group.running(), |done| done.processes)).await
    }
}

async fn found(cx: &Ctx, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
    let origins = origins(cx, members).await?;
    let names = origins.values().filter_map(|tags| tags.get(OF_GROUP)).map(String::as_str);
    let groups = autoscaling::described(&autoscaling::client(cx), names).await?;
    let groups: HashMap<String, Group> =
        groups.iter().map(Group::of).map(|group| (group.name.clone(), group)).collect();
    let found = members.iter().filter_map(|member| {
        let tags = origins.get(member.id.as_str())?;
        let group = tags.get(OF_GROUP).and_then(|name| groups.get(name)).cloned();
        Some(Found { member: member.id.clone(), resource: member.id.clone(), prior: Prior { group } })
    });
    Ok(found.collect())
}

/// What would replace these instances, in words, by their ids.
pub(super) async fn launching(cx: &Ctx, members: &[Resource]) -> Result<HashMap<String, String>, ActionError> {
    let launching = found(cx, members).await?.into_iter().filter_map(|found| {
        let group = found.prior.group.filter(|group| !group.suspended.contains("Launch"))?;
        Some((found.member.to_string(), format!("the Auto Scaling group {} is not suspended", group.name)))
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
        Found { member: id.clone(), resource: id, prior: Prior { group } }
    }

    #[test]
    fn an_instance_that_nothing_launches_again_is_fine() {
        assert_eq!(SuspendLaunchers.plan(&view(), &Params {}, &found(None)), Decision::Already);
        let Decision::Change(proposal) = SuspendLaunchers.plan(&view(), &Params {}, &found(Some(("a", &["Launch"]))))
        else {
            panic!("no change")
        };
        assert_eq!(proposal.before, "8 of the group's processes run");
    }

    #[test]
    fn leaving_the_group_is_no_drift_and_another_group_is() {
        let (a, b, none) = (found(Some(("a", &[]))).prior, found(Some(("b", &[]))).prior, found(None).prior);
        assert_eq!(SuspendLaunchers.drift(&a, &none), None);
        assert!(SuspendLaunchers.drift(&a, &b).is_some());
        assert!(SuspendLaunchers.drift(&none, &b).is_some());
    }
}
