//! Policies of the organisation that quell makes and attaches: to an account, or to a unit and all accounts below it.

use aws_sdk_organizations::Client;
use aws_sdk_organizations::types::{PolicySummary, PolicyType, PolicyTypeStatus, PolicyTypeSummary, Root, Tag};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine::action::Ctx;
use crate::model::{ActionError, ErrorKind};

/// A policy as it is wished.
#[derive(Debug, Clone)]
pub(super) struct Wished {
    /// What it binds.
    pub kind: PolicyType,
    /// Its name, by which it is found again.
    pub name: String,
    /// Its text; the same parameters always give the same.
    pub document: String,
    /// What it is for.
    pub about: &'static str,
}

/// A policy of the organisation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// `p-…`
    pub id: String,
    /// Whether its content is the one wished.
    pub same: bool,
    /// Whether it is attached to the target.
    pub attached: bool,
}

/// How policies of a type stand in the organisation and on one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Whether the organisation has the type switched on.
    pub enabled: bool,
    /// How many of the type are attached to the target itself.
    pub attachments: usize,
    /// The policy of the wished name, if there is one.
    pub policy: Option<Policy>,
}

/// How many characters a policy may have, white space included, and how many may be attached to one target
/// (Organizations User Guide, "Quotas and service limits").
pub(super) fn limits(kind: &PolicyType) -> (usize, usize) {
    if *kind == PolicyType::ResourceControlPolicy { (5_120, 5) } else { (10_240, 10) }
}

impl Wished {
    /// How it stands on a target.
    pub async fn standing(&self, client: &Client, target: &str) -> Result<Standing, ActionError> {
        let (enabled, attached, named) = futures::try_join!(
            Box::pin(self.enabled(client)),
            Box::pin(self.attached(client, target)),
            Box::pin(self.by_name(client)),
        )?;
        let policy = match named.and_then(|policy| policy.id) {
            None => None,
            Some(id) => {
                let same = self.is_content_of(client, &id).await?;
                let attached = attached.iter().any(|policy| policy.id() == Some(&id));
                Some(Policy { id, same, attached })
            }
        };
        Ok(Standing { enabled, attachments: attached.len(), policy })
    }

    /// Attaches it, and makes it first where `known` names none. Returns its id.
    pub async fn attach(
        &self,
        client: &Client,
        cx: &Ctx,
        known: Option<&Policy>,
        target: &str,
    ) -> Result<String, ActionError> {
        let id = match known {
            Some(policy) => policy.id.clone(),
            None => self.create(client, cx).await?,
        };
        let answer = client.attach_policy().policy_id(&id).target_id(target).send().await;
        let answer = answer.map_err(|error| {
            let violation = error.as_service_error().and_then(|error| match error {
                aws_sdk_organizations::operation::attach_policy::AttachPolicyError::ConstraintViolationException(
                    why,
                ) => why.reason().map(|reason| reason.as_str().to_owned()),
                _ => None,
            });
            explained(error.into(), violation.as_deref())
        });
        match answer {
            Err(error) if !error.is("DuplicatePolicyAttachmentException") => Err(error),
            _ => Ok(id),
        }
    }

    /// Detaches it, and deletes it where this run made it. `id` is known unless the run was cut off.
    pub async fn take_back(
        &self,
        client: &Client,
        id: Option<&str>,
        before: Option<&Policy>,
        target: &str,
    ) -> Result<(), ActionError> {
        if before.is_some_and(|policy| policy.attached) {
            return Ok(());
        }
        let id = match id {
            Some(id) => id.to_owned(),
            None => match self.by_name(client).await? {
                Some(policy) => policy.id.unwrap_or_default(),
                None => return Ok(()),
            },
        };
        let detach = client.detach_policy().policy_id(&id).target_id(target);
        match detach.send().await.map_err(ActionError::from) {
            Err(error) if error.kind != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        if before.is_some() {
            return Ok(());
        }
        match client.delete_policy().policy_id(&id).send().await.map_err(ActionError::from) {
            // Attached to another target still: that one's rollback deletes it.
            Err(error) if error.is("PolicyInUseException") || error.kind == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Ok(()),
        }
    }

    async fn enabled(&self, client: &Client) -> Result<bool, ActionError> {
        let mut pages = client.list_roots().into_paginator().send();
        let on = |policy: &PolicyTypeSummary| {
            policy.r#type() == Some(&self.kind) && policy.status() == Some(&PolicyTypeStatus::Enabled)
        };
        while let Some(page) = pages.next().await {
            if page?.roots().iter().flat_map(Root::policy_types).any(on) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn attached(&self, client: &Client, target: &str) -> Result<Vec<PolicySummary>, ActionError> {
        let request = client.list_policies_for_target().target_id(target).filter(self.kind.clone());
        let mut pages = request.into_paginator().send();
        let mut policies = Vec::new();
        while let Some(page) = pages.next().await {
            policies.extend(page?.policies.unwrap_or_default());
        }
        Ok(policies)
    }

    async fn by_name(&self, client: &Client) -> Result<Option<PolicySummary>, ActionError> {
        let mut pages = client.list_policies().filter(self.kind.clone()).into_paginator().send();
        while let Some(page) = pages.next().await {
            let policies = page?.policies.unwrap_or_default();
            if let Some(policy) = policies.into_iter().find(|policy| policy.name() == Some(&self.name)) {
                return Ok(Some(policy));
            }
        }
        Ok(None)
    }

    /// Whether a policy says the same, white space apart.
    async fn is_content_of(&self, client: &Client, id: &str) -> Result<bool, ActionError> {
        let policy = client.describe_policy().policy_id(id).send().await?.policy;
        let json = |text: &str| serde_json::from_str::<Value>(text).ok();
        Ok(policy.and_then(|policy| policy.content).and_then(|content| json(&content)) == json(&self.document))
    }

    /// Creates the policy, or finds the one that was created for another target just now.
    async fn create(&self, client: &Client, cx: &Ctx) -> Result<String, ActionError> {
        let tag = Tag::builder().key("quell:case").value(cx.view.case.as_str()).build();
        let tag = tag.map_err(|error| ActionError::new(ErrorKind::Other, error.to_string()))?;
        let request = client
            .create_policy()
            .name(&self.name)
            .description(format!("quell {}: {}", cx.view.case, self.about))
            .content(&self.document)
            .r#type(self.kind.clone())
            .tags(tag);
        let answer = request.send().await.map_err(|error| {
            let violation = error.as_service_error().and_then(|error| match error {
                aws_sdk_organizations::operation::create_policy::CreatePolicyError::ConstraintViolationException(
                    why,
                ) => why.reason().map(|reason| reason.as_str().to_owned()),
                _ => None,
            });
            explained(error.into(), violation.as_deref())
        });
        let known = match answer {
            Ok(answer) => answer.policy.and_then(|policy| policy.policy_summary).and_then(|policy| policy.id),
            Err(error) if error.is("DuplicatePolicyException") => match self.by_name(client).await? {
                Some(PolicySummary { id: Some(id), .. }) if self.is_content_of(client, &id).await? => Some(id),
                _ => return Err(error),
            },
            Err(error) => return Err(error),
        };
        known.ok_or_else(|| ActionError::new(ErrorKind::Unsupported, "organizations:CreatePolicy gave no policy id"))
    }
}

/// A broken limit with the way out: many limits share one code, and the reason tells them apart.
fn explained(error: ActionError, reason: Option<&str>) -> ActionError {
    let way_out = match reason {
        Some("POLICY_CONTENT_LIMIT_EXCEEDED") => {
            "the policy is longer than this organisation allows: exempt fewer, or by a wildcard"
        }
        Some("MAX_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED") => {
            "the target has as many policies of this type as it may: detach one, or attach to its unit (with.unit)"
        }
        Some("POLICY_NUMBER_LIMIT_EXCEEDED") => {
            "the organisation has as many policies as it may: delete one that is attached nowhere"
        }
        _ => return error,
    };
    let message = format!("{} ({}): {way_out}", error.message, reason.unwrap_or_default());
    ActionError { kind: ErrorKind::Quota, message, ..error }
}

/// The accounts of a unit and of all units below it.
pub(super) async fn accounts_below(client: &Client, unit: &str) -> Result<Vec<String>, ActionError> {
    let (mut accounts, mut units) = (Vec::new(), vec![unit.to_owned()]);
    while let Some(unit) = units.pop() {
        let mut pages = client.list_accounts_for_parent().parent_id(&unit).into_paginator().send();
        while let Some(page) = pages.next().await {
            accounts.extend(page?.accounts.unwrap_or_default().into_iter().filter_map(|account| account.id));
        }
        let mut below = client.list_organizational_units_for_parent().parent_id(&unit).into_paginator().send();
        while let Some(page) = below.next().await {
            units.extend(page?.organizational_units.unwrap_or_default().into_iter().filter_map(|unit| unit.id));
        }
    }
    Ok(accounts)
}

/// A unit's id, as Organizations gives it.
pub(super) fn is_unit(id: &str) -> bool {
    id.starts_with("ou-") && id.split('-').count() == 3
}
