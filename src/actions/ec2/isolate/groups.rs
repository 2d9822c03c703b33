//! The security groups that quell makes: one that lets nothing through, and one that lets everything through.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{IpPermission, IpRange, Ipv6Range, ResourceType, SecurityGroup, TagSpecification};
use tokio::sync::OnceCell;
use tokio::time::{Duration, sleep};

use super::super::{PAGE, filter, tag_list, unless_gone};
use crate::engine::action::Ctx;
use crate::engine::ports::Boxed;
use crate::model::{ActionError, ErrorKind, RunId, Target};

/// What a group is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Lets nothing through.
    Isolation,
    /// Lets everything through, for the seconds before the isolation, so that no connection is tracked any more.
    Opening,
}

impl Purpose {
    /// What the names of such groups begin with; the case follows.
    fn prefix(self) -> &'static str {
        match self {
            Self::Isolation => "quell-isolation-",
            Self::Opening => "quell-opening-",
        }
    }

    /// Its name: unique in a VPC.
    pub fn name(self, case: &RunId) -> String {
        format!("{}{case}", self.prefix())
    }

    fn description(self) -> &'static str {
        match self {
            Self::Isolation => "quell: lets nothing in or out",
            Self::Opening => "quell: lets everything through for seconds before an isolation",
        }
    }

    /// The request that makes one.
    pub fn creation(self, client: &Client, case: &RunId, vpc: &str) -> Creation {
        let tags = BTreeMap::from([("quell:case".to_owned(), case.to_string())]);
        let tags =
            TagSpecification::builder().resource_type(ResourceType::SecurityGroup).set_tags(Some(tag_list(&tags)));
        let request = client.create_security_group().group_name(self.name(case)).description(self.description());
        request.vpc_id(vpc).tag_specifications(tags.build())
    }
}

type Creation = aws_sdk_ec2::operation::create_security_group::builders::CreateSecurityGroupFluentBuilder;

/// Whether quell made a group with this name.
pub fn is_ours(name: &str) -> bool {
    [Purpose::Isolation, Purpose::Opening].into_iter().any(|purpose| name.starts_with(purpose.prefix()))
}

/// The groups that this process made or found. Many machines of a VPC are isolated at the same time; the first makes the
/// group, and the others wait for it instead of asking AWS as well.
#[derive(Default)]
pub struct Groups {
    known: Mutex<HashMap<Place, Arc<OnceCell<String>>>>,
}

/// A VPC in a lane, for one case and purpose.
type Place = (Target, String, RunId, Purpose);

impl Groups {
    /// The id of such a group in `vpc`.
    pub async fn of(&self, client: &Client, cx: &Ctx, vpc: &str, purpose: Purpose) -> Result<String, ActionError> {
        let key = (cx.target.clone(), vpc.to_owned(), cx.view.case.clone(), purpose);
        let cell = self.known.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone();
        cell.get_or_try_init(|| ready(client, &cx.view.case, vpc, purpose)).await.cloned()
    }

    /// Deletes a group that nothing uses any more. The one that opened for it goes first: only by this one is it found, also by
    /// a way back that is gone once more.
    pub async fn delete(&self, client: &Client, group: &str) -> Result<(), ActionError> {
        let found = described(client, vec![filter("group-id", [group])]).await?.into_iter().next();
        let named = found.and_then(|found| Some((found.group_name?, found.vpc_id?)));
        let case = named
            .as_ref()
            .and_then(|(name, vpc)| Some((name.strip_prefix(Purpose::Isolation.prefix())?, vpc.as_str())));
        if let Some((case, vpc)) = case {
            let opening = format!("{}{case}", Purpose::Opening.prefix());
            for group in self::named(client, &opening, Some(vpc)).await? {
                self.delete_unused(client, group.group_id().unwrap_or_default()).await?;
            }
        }
        self.delete_unused(client, group).await
    }

    async fn delete_unused(&self, client: &Client, group: &str) -> Result<(), ActionError> {
        let answer = client.delete_security_group().group_id(group).send().await.map_err(ActionError::from);
        match answer {
            Err(error) if error.is("DependencyViolation") || error.is("InvalidGroup.InUse") => return Ok(()),
            Err(error) if error.kind != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.forget(group);
        Ok(())
    }

    /// Knows nothing of a group any more that is gone.
    pub fn forget(&self, group: &str) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, cell| cell.get().is_none_or(|known| known != group));
    }
}

/// Makes sure that such a group exists in a VPC and lets through what it should. A new group lets everything out.
async fn ready(client: &Client, case: &RunId, vpc: &str, purpose: Purpose) -> Result<String, ActionError> {
    match purpose.creation(client, case, vpc).send().await.map_err(ActionError::from) {
        Ok(_) => {}
        Err(error) if error.is("InvalidGroup.Duplicate") => {}
        Err(error) => return Err(error),
    }
    let name = purpose.name(case);
    let group = when_seen(|| Box::pin(the_one(client, &name, vpc))).await?;
    match purpose {
        Purpose::Isolation => when_seen(|| Box::pin(empty(client, &group))).await,
        Purpose::Opening => when_seen(|| Box::pin(open(client, &group))).await,
    }
}

/// The group of a name in a VPC.
async fn the_one(client: &Client, name: &str, vpc: &str) -> Result<SecurityGroup, ActionError> {
    named(client, name, Some(vpc)).await?.into_iter().next().ok_or_else(|| {
        let why = format!("the group {name} of {vpc} is not to be seen yet: run again");
        ActionError { code: Some(UNSEEN.to_owned()), ..ActionError::new(ErrorKind::NotFound, why) }
    })
}

/// What EC2 says of a group that is gone, or that not all of it knows yet.
pub const UNSEEN: &str = "InvalidGroup.NotFound";

/// How long a group that was just made is waited for between two attempts, in seconds (Amazon EC2 API Reference, "Eventual
/// consistency").
const WAITS: [u64; 4] = [1, 2, 4, 8];

/// What comes of asking about a group until EC2 knows it.
pub async fn when_seen<'a, T>(
    ask: impl Fn() -> Boxed<'a, Result<T, ActionError>> + Send + Sync,
) -> Result<T, ActionError> {
    for wait in WAITS {
        match ask().await {
            Err(error) if error.is(UNSEEN) => sleep(Duration::from_secs(wait)).await,
            answer => return answer,
        }
    }
    ask().await
}

/// Takes every rule out of a group.
async fn empty(client: &Client, group: &SecurityGroup) -> Result<String, ActionError> {
    let id = group.group_id().unwrap_or_default();
    let egress = group.ip_permissions_egress();
    if !egress.is_empty() {
        let request = client.revoke_security_group_egress().group_id(id).set_ip_permissions(Some(egress.to_vec()));
        unless_revoked(request.send().await.map(drop).map_err(Into::into))?;
    }
    let ingress = group.ip_permissions();
    if !ingress.is_empty() {
        let request = client.revoke_security_group_ingress().group_id(id).set_ip_permissions(Some(ingress.to_vec()));
        unless_revoked(request.send().await.map(drop).map_err(Into::into))?;
    }
    Ok(id.to_owned())
}

/// A rule that is not there any more is as good as revoked; a group that is not known yet still has its rules.
fn unless_revoked(answer: Result<(), ActionError>) -> Result<(), ActionError> {
    match answer {
        Err(error) if error.is(UNSEEN) => Err(error),
        answer => unless_gone(answer),
    }
}

/// Lets everything into a group. AWS itself lets everything out of a new one.
async fn open(client: &Client, group: &SecurityGroup) -> Result<String, ActionError> {
    let id = group.group_id().unwrap_or_default();
    let everything = IpPermission::builder()
        .ip_protocol("-1")
        .ip_ranges(IpRange::builder().cidr_ip("0.0.0.0/0").build())
        .ipv6_ranges(Ipv6Range::builder().cidr_ipv6("::/0").build())
        .build();
    let request = client.authorize_security_group_ingress().group_id(id).ip_permissions(everything);
    match request.send().await.map_err(ActionError::from) {
        Err(error) if error.kind != ErrorKind::Already => Err(error),
        _ => Ok(id.to_owned()),
    }
}

/// The groups of a name.
pub async fn named(client: &Client, name: &str, vpc: Option<&str>) -> Result<Vec<SecurityGroup>, ActionError> {
    let filters = std::iter::once(filter("group-name", [name])).chain(vpc.map(|vpc| filter("vpc-id", [vpc])));
    described(client, filters.collect()).await
}

async fn described(
    client: &Client,
    filters: Vec<aws_sdk_ec2::types::Filter>,
) -> Result<Vec<SecurityGroup>, ActionError> {
    let request = client.describe_security_groups().set_filters(Some(filters)).max_results(PAGE);
    let mut pages = request.into_paginator().items().send();
    let mut groups = Vec::new();
    while let Some(group) = pages.next().await {
        groups.push(group?);
    }
    Ok(groups)
}
