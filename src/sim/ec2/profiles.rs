//! Instance profiles on instances. These calls have no `DryRun` parameter.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Ec2;
use super::ids::{INSTANCE, PROFILE_ASSOCIATION};
use super::listing::{Filter, Listed, Listing, Look, one};
use super::shape::{date, paged};
use super::tags::Tags;
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;

/// A profile as a parameter: by ARN or by name.
#[derive(Debug, Clone, Default, Deserialize, PartialEq, Eq)]
#[serde(default, rename_all = "PascalCase", deny_unknown_fields)]
pub struct ProfileReference {
    /// Its ARN.
    pub arn: Option<String>,
    /// Its name.
    pub name: Option<String>,
}

/// A profile as instances show it.
#[derive(Debug, Clone, Serialize)]
pub struct Profile {
    /// `arn:aws:iam::111122223333:instance-profile/web`.
    pub arn: String,
    /// `AIPA…`.
    pub id: String,
}

impl Profile {
    /// `<iamInstanceProfile>`.
    pub fn xml(&self) -> Xml {
        Xml::node("iamInstanceProfile", vec![Xml::text("arn", &self.arn), Xml::text("id", &self.id)])
    }
}

/// That an instance has a profile.
#[derive(Debug, Clone, Serialize)]
pub struct Association {
    /// `iip-assoc-…`.
    pub id: String,
    /// The instance.
    pub instance_id: String,
    /// The profile.
    pub profile: Profile,
    /// Since when.
    pub since: Timestamp,
    /// It has none; filters want them.
    #[serde(skip)]
    pub tags: Tags,
}

impl Association {
    fn xml(&self, state: &str) -> Vec<Xml> {
        vec![
            Xml::text("associationId", &self.id),
            Xml::text("instanceId", &self.instance_id),
            self.profile.xml(),
            Xml::text("state", state),
            Xml::text("timestamp", date(self.since)),
        ]
    }

    fn answer(&self, state: &str) -> Body {
        Body::Xml(vec![Xml::node("iamInstanceProfileAssociation", self.xml(state))])
    }
}

impl Listed for Association {
    const FILTERS: &'static [(&'static str, Look<Self>)] =
        &[("instance-id", |_, a| one(&a.instance_id)), ("state", |_, _| one("associated"))];

    fn id(&self) -> &str {
        &self.id
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DescribeAssociations {
    #[serde(default, rename = "AssociationId")]
    ids: Vec<String>,
    #[serde(default, rename = "Filter")]
    filters: Vec<Filter>,
    max_results: Option<u32>,
    next_token: Option<String>,
}

/// DescribeIamInstanceProfileAssociations.
pub fn describe(ec2: &Ec2, call: &Call) -> Reply {
    let params: DescribeAssociations = call.params.read()?;
    let listing =
        Listing { filters: &params.filters, max_results: params.max_results, next_token: params.next_token.as_deref() };
    let associations = PROFILE_ASSOCIATION.select(&ec2.profile_associations, &params.ids)?;
    let (page, next) = listing.of(ec2, associations)?;
    let items = page.into_iter().map(|association| association.xml("associated"));
    Ok(Body::Xml(paged(vec![Xml::list("iamInstanceProfileAssociationSet", "item", items)], next)))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Associate {
    instance_id: String,
    iam_instance_profile: ProfileReference,
}

/// AssociateIamInstanceProfile: an instance has at most one.
pub fn associate(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: Associate = call.params.read()?;
    let instance = INSTANCE.get(&ec2.instances, &params.instance_id)?;
    if instance.state.is_ending() {
        let message = format!("The instance '{}' is not in the 'running' or 'stopped' states.", instance.id);
        return Err(Refusal::new(400, "IncorrectInstanceState", message));
    }
    if ec2.profile_of(&params.instance_id).is_some() {
        let message = format!("There is an existing association for instance {}", params.instance_id);
        return Err(Refusal::new(400, "IncorrectState", message));
    }
    check(&params.iam_instance_profile)?;
    let id = ec2.associate_profile(&params.instance_id, &params.iam_instance_profile, call.now);
    Ok(ec2.profile_associations[&id].answer("associating"))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Disassociate {
    association_id: String,
}

/// DisassociateIamInstanceProfile.
pub fn disassociate(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: Disassociate = call.params.read()?;
    PROFILE_ASSOCIATION.check(&params.association_id)?;
    let removed = ec2.profile_associations.remove(&params.association_id);
    let removed = removed.ok_or_else(|| PROFILE_ASSOCIATION.not_found(&[&params.association_id]))?;
    Ok(removed.answer("disassociating"))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Replace {
    association_id: String,
    iam_instance_profile: ProfileReference,
}

/// ReplaceIamInstanceProfileAssociation: the association gets a new id.
pub fn replace(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: Replace = call.params.read()?;
    let instance = PROFILE_ASSOCIATION.get(&ec2.profile_associations, &params.association_id)?.instance_id.clone();
    check(&params.iam_instance_profile)?;
    ec2.profile_associations.remove(&params.association_id);
    let id = ec2.associate_profile(&instance, &params.iam_instance_profile, call.now);
    Ok(ec2.profile_associations[&id].answer("associating"))
}

fn check(profile: &ProfileReference) -> Result<(), Refusal> {
    if profile.arn.is_some() != profile.name.is_some() {
        return Ok(());
    }
    let message = "Exactly one of the ARN and the name of the instance profile must be given";
    Err(Refusal::new(400, "InvalidParameterCombination", message))
}

impl Ec2 {
    /// The association of an instance.
    pub fn profile_of(&self, instance: &str) -> Option<&Association> {
        self.profile_associations.values().find(|association| association.instance_id == instance)
    }

    /// Gives an instance a profile and returns the association's id.
    pub fn associate_profile(&mut self, instance: &str, profile: &ProfileReference, now: Timestamp) -> String {
        let arn = profile.arn.clone().unwrap_or_else(|| {
            format!("arn:aws:iam::{}:instance-profile/{}", self.account, profile.name.as_deref().unwrap_or_default())
        });
        let digest = crate::model::Digest::of(&arn).as_str()[..17].to_ascii_uppercase();
        let association = Association {
            id: self.ids.next(PROFILE_ASSOCIATION.prefix),
            instance_id: instance.to_owned(),
            profile: Profile { arn, id: format!("AIPA{digest}") },
            since: now,
            tags: Tags::new(),
        };
        let id = association.id.clone();
        self.profile_associations.insert(id.clone(), association);
        id
    }
}
