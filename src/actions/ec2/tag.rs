//! `ec2.tag`

use std::collections::BTreeMap;

use aws_sdk_ec2::types::Tag as Ec2Tag;
use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{PAGE, filter};
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, Finding, Resource, ResourceId, Tier, Undo};

/// How many tags a resource may carry.
const TAG_LIMIT: usize = 50;

/// The key of the tag that names the run.
const CASE: &str = "quell:case";

/// Tags instances and volumes.
pub struct Tag;

/// What to tag with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Tags beside `quell:case`, which every resource gets.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

impl Params {
    fn wished(&self, view: &View) -> BTreeMap<String, String> {
        let case = (CASE.to_owned(), view.case.to_string());
        self.tags.clone().into_iter().chain([case]).collect()
    }
}

/// The tags that a resource carries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// Those of the wished keys.
    pub tags: BTreeMap<String, String>,
    /// How many others there are, AWS's own apart: they do not count against the limit.
    pub others: usize,
}

impl Prior {
    fn of(tags: BTreeMap<String, String>, wished: &BTreeMap<String, String>) -> Self {
        let (tags, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
            tags.into_iter().partition(|(key, _)| wished.contains_key(key));
        Self { tags, others: others.keys().filter(|key| !key.starts_with("aws:")).count() }
    }
}

impl Action for Tag {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "ec2.tag";
    const TIER: Tier = Tier::Reversible;
    const KINDS: &'static [&'static str] = &["ec2.instance", "ec2.volume"];
    const TITLE: &'static str = "Tag instances and volumes";
    const DESCRIPTION: &'static str = "Tags resources with the case, and with the tags given, in batches. Values that it \
        overwrites are saved. A resource holds 50 tags; one without room is skipped.\n\n\
        AWS pages: *Tag your Amazon EC2 resources*, *CreateTags*.";
    const UNDO: &'static str = "Takes the tags away that were not there, and puts overwritten values back.";
    const PERMISSIONS: &'static [&'static str] = &["ec2:DescribeInstances", "ec2:DescribeVolumes", "ec2:CreateTags"];
    const UNDO_PERMISSIONS: &'static [&'static str] = &["ec2:DeleteTags"];
    const ONLY_ON: &'static [(&'static str, &'static [&'static str])] =
        &[("ec2.instance", &["ec2:DescribeInstances"]), ("ec2.volume", &["ec2:DescribeVolumes"])];
    const EXAMPLE: &'static str = "{ id: mark, uses: ec2.tag, on: rogue, with: { tags: { \"ir:state\": contained } } }";
    const BATCH: usize = 200;

    async fn discover(
        &self,
        cx: &Ctx,
        params: &Params,
        members: &[Resource],
    ) -> Result<Vec<Found<Prior>>, ActionError> {
        // A survey has just listed its members with their tags.
        let (listed, members): (Vec<_>, Vec<_>) =
            members.iter().cloned().partition(|member| member.fields.contains_key("tags"));
        let (volumes, instances): (Vec<_>, Vec<_>) =
            members.into_iter().partition(|member| member.kind.0 == "ec2.volume");
        let (client, wished) = (super::client(cx), params.wished(&cx.view));
        let instances = async {
            let found = super::instances(&client, &instances).await?;
            let tags = found.iter().map(|instance| (super::id(instance).to_owned(), super::tags(instance.tags())));
            Ok(tags.collect::<Vec<_>>())
        };
        let volumes = async {
            let portions = super::portions(&volumes).map(|ids| {
                let request = client.describe_volumes().include_managed_resources(true).max_results(PAGE);
                request.filters(filter("volume-id", ids)).send()
            });
            let answers = try_join_all(portions).await?;
            let volumes = answers.into_iter().flat_map(|answer| answer.volumes.unwrap_or_default());
            let tags =
                volumes.map(|volume| (volume.volume_id().unwrap_or_default().to_owned(), super::tags(volume.tags())));
            Ok(tags.collect::<Vec<_>>())
        };
        let (instances, volumes) = super::both(instances, volumes).await?;
        let listed = listed.into_iter().map(|member| {
            let tags = member.fields.get("tags").and_then(|tags| BTreeMap::deserialize(tags).ok());
            (member.id.to_string(), tags.unwrap_or_default())
        });
        let found = listed.chain(instances).chain(volumes).filter_map(|(id, tags)| {
            let id = ResourceId::new(id).ok()?;
            Some(Found { member: id.clone(), resource: id, prior: Prior::of(tags, &wished) })
        });
        Ok(found.collect())
    }

    fn plan(&self, view: &View, params: &Params, found: &Found<Prior>) -> Decision {
        let wished = params.wished(view);
        let carried = &found.prior.tags;
        if wished.iter().all(|(key, value)| carried.get(key) == Some(value)) {
            return Decision::Already;
        }
        let count = found.prior.others + wished.len();
        if count > TAG_LIMIT {
            return Decision::Skip(format!("it would carry {count} tags, and AWS allows {TAG_LIMIT}"));
        }
        let shown = |tags: &BTreeMap<String, String>| {
            let tags: Vec<String> = wished.keys().map(|key| format!("{key}={}", value_or_none(tags, key))).collect();
            tags.join(", ")
        };
        let undo = Undo::by("take the tags away, put overwritten values back");
        Decision::Change(Proposal::new(format!("tag {}", found.resource), shown(carried), shown(&wished), undo))
    }

    /// The case itself may have come from an earlier step.
    fn drift(&self, approved: &Prior, now: &Prior) -> Option<String> {
        let keys = approved.tags.keys().chain(now.tags.keys()).filter(|key| *key != CASE);
        let key = keys.into_iter().find(|key| approved.tags.get(*key) != now.tags.get(*key))?;
        let (then, now) = (value_or_none(&approved.tags, key), value_or_none(&now.tags, key));
        Some(format!("its tag {key} is {now}, and was {then} when that was approved"))
    }

    async fn preflight(&self, cx: &Ctx, params: &Params, items: &[Item<Prior>]) -> Vec<Finding> {
        let Some(item) = items.first() else { return Vec::new() };
        let tags = super::tag_list(&params.wished(&cx.view));
        let request = super::client(cx).create_tags().resources(item.resource.as_str()).set_tags(Some(tags));
        super::asked(cx, "ec2:CreateTags", request.dry_run(true).send().await).into_iter().collect()
    }

    async fn apply(&self, cx: &Ctx, params: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let wished = params.wished(&cx.view);
        let ids = items.iter().map(|item| item.resource.to_string()).collect();
        let request = super::client(cx).create_tags().set_resources(Some(ids));
        request.set_tags(Some(super::tag_list(&wished))).send().await?;
        // What another step had set already is that step's to take away.
        let set = |item: &Item<Prior>| {
            let tags = wished.iter().filter(|(key, value)| item.prior.tags.get(*key) != Some(value));
            json!({ "tags": tags.collect::<BTreeMap<_, _>>() })
        };
        Ok(items.iter().map(set).collect())
    }

    async fn undo(&self, cx: &Ctx, params: &Params, item: &Item<Prior>, effect: &Effect) -> Result<(), ActionError> {
        let client = super::client(cx);
        let (overwritten, added) = way_back(&item.prior.tags, params, effect);
        if !overwritten.is_empty() {
            let request = client.create_tags().resources(item.resource.as_str());
            let answer = request.set_tags(Some(super::tag_list(&overwritten))).send().await;
            super::unless_gone(answer.map(drop).map_err(Into::into))?;
        }
        if !added.is_empty() {
            let tags = added.into_iter().map(|(key, value)| Ec2Tag::builder().key(key).set_value(value).build());
            let request = client.delete_tags().resources(item.resource.as_str()).set_tags(Some(tags.collect()));
            super::unless_gone(request.send().await.map(drop).map_err(Into::into))?;
        }
        Ok(())
    }
}

fn value_or_none<'a>(tags: &'a BTreeMap<String, String>, key: &str) -> &'a str {
    tags.get(key).map_or("(none)", String::as_str)
}

/// The values to put back, and the tags to take away (with the value that quell gave them, so that nobody else's goes).
/// A run that was cut off has left no effect: then the parameters say what it may have set.
fn way_back(
    before: &BTreeMap<String, String>,
    params: &Params,
    effect: &Value,
) -> (BTreeMap<String, String>, BTreeMap<String, Option<String>>) {
    let set: BTreeMap<String, Option<String>> = if let Some(tags) = effect.get("tags").and_then(Value::as_object) {
        tags.iter().map(|(key, value)| (key.clone(), value.as_str().map(str::to_owned))).collect()
    } else {
        let given = params.tags.iter().map(|(key, value)| (key.clone(), Some(value.clone())));
        given.chain([(CASE.to_owned(), None)]).collect()
    };
    let overwritten = before.iter().filter(|(key, _)| set.contains_key(*key));
    let overwritten = overwritten.map(|(key, value)| (key.clone(), value.clone())).collect();
    let added = set.into_iter().filter(|(key, _)| !before.contains_key(key)).collect();
    (overwritten, added)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;

    fn params() -> Params {
        Params { tags: BTreeMap::from([("owner".into(), "ir".into())]) }
    }

    fn plan(tags: BTreeMap<String, String>) -> Decision {
        let id = ResourceId::new("i-1").unwrap();
        let prior = Prior::of(tags, &params().wished(&view()));
        Tag.plan(&view(), &params(), &Found { member: id.clone(), resource: id, prior })
    }

    #[test]
    fn tags_that_are_there_stay_and_fifty_are_enough() {
        assert!(matches!(plan(BTreeMap::new()), Decision::Change(_)));
        assert_eq!(plan(params().wished(&view())), Decision::Already);
        assert!(matches!(plan((0..50).map(|n| (n.to_string(), String::new())).collect()), Decision::Skip(_)));
    }

    #[test]
    fn a_value_that_somebody_else_changed_is_not_overwritten() {
        let prior = |owner: &str, more: &[(&str, &str)]| {
            let tags = [("owner", owner)].into_iter().chain(more.iter().copied());
            let tags = tags.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
            Prior::of(tags, &params().wished(&view()))
        };
        let approved = prior("anna", &[]);
        assert_eq!(Tag.drift(&approved, &prior("anna", &[("Name", "web")])), None, "not a tag of this step");
        assert_eq!(Tag.drift(&approved, &prior("anna", &[(CASE, "r-1")])), None, "an earlier step's case");
        let why = Tag.drift(&approved, &prior("bob", &[])).unwrap();
        assert_eq!(why, "its tag owner is bob, and was anna when that was approved");
    }

    #[test]
    fn the_way_back_restores_what_was_overwritten_and_removes_the_rest() {
        let before = BTreeMap::from([("owner".to_owned(), "anna".to_owned()), ("other".to_owned(), "x".to_owned())]);
        let effect = json!({ "tags": { "owner": "ir", "quell:case": "r-1" } });
        let (overwritten, added) = way_back(&before, &params(), &effect);
        assert_eq!(overwritten, BTreeMap::from([("owner".to_owned(), "anna".to_owned())]));
        assert_eq!(added, BTreeMap::from([("quell:case".to_owned(), Some("r-1".to_owned()))]));
        let (_, cut_off) = way_back(&before, &params(), &Value::Null);
        assert_eq!(cut_off, BTreeMap::from([("quell:case".to_owned(), None)]));
    }
}
