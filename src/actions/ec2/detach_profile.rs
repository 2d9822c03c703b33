//! `ec2.detach-profile`

use std::collections::HashMap;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{
    IamInstanceProfileAssociation, IamInstanceProfileAssociationState as State, IamInstanceProfileSpecification,
};
use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Duration, sleep};

use super::{PAGE, filter};
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, ErrorKind, Resource, Tier, Undo};

/// How long AWS may take to finish a detachment before something can be attached again.
const SETTLING: Duration = Duration::from_secs(3);
/// How often an attachment is tried.
const TRIES: u32 = 10;

/// Takes the instance profile away from instances.
pub struct DetachProfile;

/// The action has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// The profile of an instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// The association and the profile's ARN.
    pub attached: Option<Attached>,
}

/// A profile that is attached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attached {
    /// `iip-assoc-…`; another one after every attachment.
    pub association: String,
    /// The profile.
    pub arn: String,
}

impl Action for DetachProfile {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "ec2.detach-profile";
    const TIER: Tier = Tier::Disruptive;
    const KINDS: &'static [&'static str] = &["ec2.instance"];
    const TITLE: &'static str = "Take the instance profile away";
    const DESCRIPTION: &'static str = "Takes the IAM role away from instances, so that the metadata service hands out no \
        fresh credentials. Those already issued live on for hours: revoke the role's sessions afterwards. EC2 offers no \
        DryRun for it.\n\nAWS pages: *IAM roles for Amazon EC2*, *DisassociateIamInstanceProfile*.";
    const UNDO: &'static str = "Attaches the same profile again; the association gets a new id.";
    const PERMISSIONS: &'static [&'static str] =
        &["ec2:DescribeIamInstanceProfileAssociations", "ec2:DisassociateIamInstanceProfile"];
    const UNDO_PERMISSIONS: &'static [&'static str] = &["ec2:AssociateIamInstanceProfile", "iam:PassRole"];
    const EXAMPLE: &'static str = "{ id: profile, uses: ec2.detach-profile, on: rogue }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = super::client(cx);
        let attached = try_join_all(super::portions(members).map(|ids| associations(&client, ids))).await?;
        let mut attached: HashMap<String, Attached> = attached.into_iter().flatten().filter_map(attachment).collect();
        let found = members.iter().map(|member| Found {
            member: member.id.clone(),
            resource: member.id.clone(),
            prior: Prior { attached: attached.remove(member.id.as_str()) },
        });
        Ok(found.collect())
    }

    fn plan(&self, _: &View, _: &Params, found: &Found<Prior>) -> Decision {
        let Some(attached) = &found.prior.attached else { return Decision::Already };
        let undo = Undo::by("attach the profile again");
        let summary = format!("take the profile away from {}", found.resource);
        let proposal = Proposal::new(summary, &attached.arn, "no profile", undo);
        Decision::Change(
            proposal.noting("credentials that the machine holds already stay valid for hours: revoke the role"),
        )
    }

    fn drift(&self, approved: &Prior, now: &Prior) -> Option<String> {
        let arn = |prior: &Prior| prior.attached.as_ref().map(|attached| attached.arn.clone());
        (arn(approved) != arn(now)).then(|| "another profile is attached than the one approved".to_owned())
    }

    async fn apply(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = super::client(cx);
        for attached in items.iter().filter_map(|item| item.prior.attached.as_ref()) {
            let request = client.disassociate_iam_instance_profile().association_id(&attached.association);
            super::unless_gone(request.send().await.map(drop).map_err(Into::into))?;
        }
        Ok(vec![Value::Null; items.len()])
    }

    async fn undo(&self, cx: &Ctx, _: &Params, item: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        let Some(before) = &item.prior.attached else { return Ok(()) };
        let client = super::client(cx);
        let instance = item.resource.as_str();
        let now = associations(&client, vec![instance.to_owned()]).await?.into_iter().find_map(attachment);
        match now {
            Some((_, attached)) if attached.arn == before.arn => Ok(()),
            Some((_, attached)) => {
                let message = format!("{instance} has another profile by now ({}): left as it is", attached.arn);
                Err(ActionError::new(ErrorKind::WrongState, message))
            }
            None => attach(&client, instance, &before.arn).await,
        }
    }
}

async fn associations(client: &Client, ids: Vec<String>) -> Result<Vec<IamInstanceProfileAssociation>, ActionError> {
    let request = client.describe_iam_instance_profile_associations().filters(filter("instance-id", ids));
    let mut pages = request.max_results(PAGE).into_paginator().items().send();
    let mut associations = Vec::new();
    while let Some(association) = pages.next().await {
        associations.push(association?);
    }
    Ok(associations)
}

/// The instance and what is attached to it, if that is not on its way off.
fn attachment(association: IamInstanceProfileAssociation) -> Option<(String, Attached)> {
    if matches!(association.state(), Some(State::Disassociated | State::Disassociating)) {
        return None;
    }
    let arn = association.iam_instance_profile.and_then(|profile| profile.arn)?;
    Some((association.instance_id?, Attached { association: association.association_id?, arn }))
}

/// Attaches a profile, and waits while an earlier one is still on its way off.
async fn attach(client: &Client, instance: &str, arn: &str) -> Result<(), ActionError> {
    let profile = IamInstanceProfileSpecification::builder().arn(arn).build();
    let request = client.associate_iam_instance_profile().instance_id(instance).iam_instance_profile(profile);
    for _ in 1..TRIES {
        match request.clone().send().await.map_err(ActionError::from) {
            Ok(_) => return Ok(()),
            Err(error) if error.is("IncorrectState") => sleep(SETTLING).await,
            Err(error) => return Err(error),
        }
    }
    request.send().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;
    use crate::model::ResourceId;

    fn prior(association: &str, arn: &str) -> Prior {
        Prior { attached: Some(Attached { association: association.into(), arn: arn.into() }) }
    }

    #[test]
    fn a_profile_is_taken_away_and_none_is_fine() {
        let id = ResourceId::new("i-1").unwrap();
        let found = |prior| Found { member: id.clone(), resource: id.clone(), prior };
        let with = DetachProfile.plan(&view(), &Params {}, &found(prior("a-1", "arn:p")));
        assert!(matches!(with, Decision::Change(proposal) if proposal.before == "arn:p"));
        assert_eq!(DetachProfile.plan(&view(), &Params {}, &found(Prior { attached: None })), Decision::Already);
    }

    #[test]
    fn another_profile_voids_the_approval_and_another_association_does_not() {
        assert_eq!(DetachProfile.drift(&prior("a-1", "arn:p"), &prior("a-2", "arn:p")), None);
        assert!(DetachProfile.drift(&prior("a-1", "arn:p"), &prior("a-1", "arn:q")).is_some());
    }
}
