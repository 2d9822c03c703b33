//! Tags: CreateTags, DeleteTags, DescribeTags, and tags given at creation.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Ec2;
use super::ids::{self, KINDS};
use super::listing::{Listed, Look, describe, one};
use super::shape::paged;
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;

/// The tags of a resource.
pub type Tags = BTreeMap<String, String>;

/// A tag as a parameter.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Tag {
    /// At most 127 characters.
    pub key: String,
    /// At most 255 characters. Without one, DeleteTags deletes whatever the value is.
    pub value: Option<String>,
}

/// Tags for what a call is about to make.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct TagSpecification {
    /// `instance`, `snapshot`, …
    pub resource_type: String,
    /// The tags.
    #[serde(default, rename = "Tag")]
    pub tags: Vec<Tag>,
}

/// The tags among `specifications` for a resource of this type.
pub fn specified(specifications: &[TagSpecification], resource_type: &str) -> Result<Tags, Refusal> {
    let mut tags = Tags::new();
    for specification in specifications.iter().filter(|s| s.resource_type == resource_type) {
        check(&specification.tags)?;
        for tag in &specification.tags {
            tags.insert(tag.key.clone(), tag.value.clone().unwrap_or_default());
        }
    }
    limit(&tags)?;
    Ok(tags)
}

/// Refuses specifications for types that the call does not make.
pub fn only_for(specifications: &[TagSpecification], types: &[&str]) -> Result<(), Refusal> {
    match specifications.iter().find(|s| !types.contains(&s.resource_type.as_str())) {
        None => Ok(()),
        Some(wrong) => {
            let message =
                format!("'{}' is not a valid taggable resource type for this operation.", wrong.resource_type);
            Err(Refusal::new(400, "InvalidParameterValue", message))
        }
    }
}

fn check(tags: &[Tag]) -> Result<(), Refusal> {
    let bad = |message: String| Err(Refusal::new(400, "InvalidParameterValue", message));
    for tag in tags {
        if tag.key.is_empty() || tag.key.chars().count() > 127 {
            return bad(format!("Tag key '{}' must have 1 to 127 characters.", tag.key));
        }
        if tag.key.to_ascii_lowercase().starts_with("aws:") {
            return bad("Tag keys starting with 'aws:' are reserved for internal use".to_owned());
        }
        if tag.value.as_ref().is_some_and(|value| value.chars().count() > 255) {
            return bad(format!("The value of tag '{}' exceeds the maximum length of 255 characters.", tag.key));
        }
    }
    Ok(())
}

/// 50 tags, those of AWS itself not counted.
fn limit(tags: &Tags) -> Result<(), Refusal> {
    let own = tags.keys().filter(|key| !key.starts_with("aws:")).count();
    if own <= 50 {
        return Ok(());
    }
    Err(Refusal::new(400, "TagLimitExceeded", "More than 50 tags specified for a resource"))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreateTags {
    resource_id: Vec<String>,
    tag: Vec<Tag>,
    _dry_run: Option<bool>,
}

/// CreateTags: values that exist are overwritten; one bad id spoils the batch.
pub fn create(ec2: &mut Ec2, call: &Call) -> Reply {
    let CreateTags { resource_id: resources, tag: tags, .. } = call.params.read()?;
    check(&tags)?;
    check_resources(ec2, &resources)?;
    for id in &resources {
        let mut after = ec2.tags(id).cloned().unwrap_or_default();
        after.extend(tags.iter().map(|tag| (tag.key.clone(), tag.value.clone().unwrap_or_default())));
        limit(&after)?;
    }
    for id in &resources {
        let Some(held) = ec2.tags_mut(id) else { continue };
        held.extend(tags.iter().map(|tag| (tag.key.clone(), tag.value.clone().unwrap_or_default())));
    }
    Ok(Body::ec2_true())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DeleteTags {
    resource_id: Vec<String>,
    #[serde(default)]
    tag: Vec<Tag>,
    _dry_run: Option<bool>,
}

/// DeleteTags: by key, by key and value, or (no tags given) all but AWS's own.
pub fn delete(ec2: &mut Ec2, call: &Call) -> Reply {
    let DeleteTags { resource_id: resources, tag: tags, .. } = call.params.read()?;
    check(&tags)?;
    check_resources(ec2, &resources)?;
    for id in &resources {
        let Some(held) = ec2.tags_mut(id) else { continue };
        held.retain(|key, value| {
            let named = |tag: &Tag| tag.key == *key && tag.value.as_ref().is_none_or(|expected| expected == value);
            key.starts_with("aws:") || !(tags.is_empty() || tags.iter().any(named))
        });
    }
    Ok(Body::ec2_true())
}

fn check_resources(ec2: &Ec2, resources: &[String]) -> Result<(), Refusal> {
    if resources.len() > 1000 {
        let message = "The maximum number of resources for one call is 1000";
        return Err(Refusal::new(400, "InvalidParameterValue", message));
    }
    for id in resources {
        let Some(kind) = kind(id) else {
            return Err(Refusal::new(400, "InvalidID", format!("The ID '{id}' is not valid")));
        };
        kind.check(id)?;
        if ec2.tags(id).is_none() {
            return Err(kind.not_found(&[id]));
        }
    }
    Ok(())
}

/// The kind of resource that an id speaks of.
pub fn kind(id: &str) -> Option<&'static ids::Kind> {
    KINDS.iter().find(|kind| id.starts_with(kind.prefix))
}

struct Row {
    id: String,
    resource: String,
    resource_type: &'static str,
    key: String,
    value: String,
    tags: Tags,
}

impl Listed for Row {
    const FILTERS: &'static [(&'static str, Look<Self>)] = &[
        ("key", |_, row| one(&row.key)),
        ("resource-id", |_, row| one(&row.resource)),
        ("resource-type", |_, row| one(row.resource_type)),
        ("value", |_, row| one(&row.value)),
    ];

    fn id(&self) -> &str {
        &self.id
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }
}

describe!(DescribeTags {});

/// DescribeTags.
pub fn describe(ec2: &Ec2, call: &Call) -> Reply {
    let params: DescribeTags = call.params.read()?;
    let mut rows = Vec::new();
    for resource in ec2.tagged() {
        let (Some(kind), Some(tags)) = (kind(&resource), ec2.tags(&resource)) else { continue };
        rows.extend(tags.iter().map(|(key, value)| Row {
            id: format!("{resource} {key}"),
            resource: resource.clone(),
            resource_type: kind.name,
            key: key.clone(),
            value: value.clone(),
            tags: Tags::from([(key.clone(), value.clone())]),
        }));
    }
    rows.sort_by(|a, b| a.id.cmp(&b.id));
    let (rows, next) = params.listing().of(ec2, &rows)?;
    let items = rows.into_iter().map(|row| {
        vec![
            Xml::text("resourceId", &row.resource),
            Xml::text("resourceType", row.resource_type),
            Xml::text("key", &row.key),
            Xml::text("value", &row.value),
        ]
    });
    Ok(Body::Xml(paged(vec![Xml::list("tagSet", "item", items)], next)))
}
