//! The policies that have a say in what a principal does, read from its account and its organisation.

use aws_sdk_iam::types::AttachedPolicy;
use aws_sdk_organizations::types::PolicyType;

use super::retry;
use crate::engine::action::Ctx;
use crate::model::{ActionError, ErrorKind, Target};
use crate::policy::{Document, Kind, Layers, allow_all};

/// What was read.
#[derive(Debug)]
pub struct Policies {
    /// The ARN that policies see: for a session that of its role, with its path.
    pub arn: String,
    /// The policies.
    pub layers: Layers,
    /// What may bind the principal too and could not be read, a sentence each.
    pub unread: Vec<String>,
}

/// The services whose resources are bound by resource control policies (Organizations User Guide, "Resource control policies
/// (RCPs)": services that support them). AWS adds to them.
const RESOURCE_CONTROLLED: [&str; 15] = [
    "aoss",
    "autoscaling",
    "codebuild",
    "cognito-identity",
    "cognito-idp",
    "cognito-sync",
    "dynamodb",
    "ecr",
    "kms",
    "logs",
    "s3",
    "secretsmanager",
    "signin",
    "sqs",
    "sts",
];

/// Reads the identity policies and the boundary of a user or role (for a session: of its role), the service control policies
/// of its account and the resource control policies of the resource's account, where the caller may, and for a role to be
/// assumed in the same account its trust policy.
///
/// # Errors
/// Where IAM does not answer, or the principal is of no kind that has policies.
pub async fn of_request(cx: &Ctx, principal: &str, action: &str, asked: &str) -> Result<Policies, ActionError> {
    let resource = principal.splitn(6, ':').nth(5).unwrap_or_default();
    let mut parts = resource.split('/');
    let iam = Iam::new(cx);
    let (arn, identity, boundary) = match (parts.next(), resource.rsplit('/').next(), parts.next()) {
        (Some("root"), ..) => (principal.to_owned(), vec![allow_all()], None),
        (Some("user"), Some(name), _) => iam.user(name).await?,
        (Some("role"), Some(name), _) | (Some("assumed-role"), _, Some(name)) => iam.role(name).await?,
        _ => {
            let message = format!("{principal} is neither a user, a role, a session of one nor a root user");
            return Err(ActionError::new(ErrorKind::Refused, message));
        }
    };
    let mut policies = Policies { arn, layers: Layers { boundary, identity, ..Layers::default() }, unread: Vec::new() };
    let account = cx.target.account.as_str();
    match levels(cx, account, Kind::ServiceControl).await {
        Ok(levels) => policies.layers.scps = levels,
        Err(error) => policies.unread.push(format!("the service control policies could not be read: {error}")),
    }
    // An ARN without an account, such as that of a bucket, and `*` are taken for the principal's own.
    let owner = asked.split(':').nth(4).filter(|owner| !owner.is_empty()).unwrap_or(account);
    let service = action.split(':').next().unwrap_or_default().to_ascii_lowercase();
    if RESOURCE_CONTROLLED.contains(&service.as_str()) {
        match levels(cx, owner, Kind::ResourceControl).await {
            Ok(levels) => policies.layers.rcps = levels,
            Err(error) => policies.unread.push(format!("the resource control policies could not be read: {error}")),
        }
    }
    if service == "sts" && asked.contains(":role/") {
        match asked.rsplit('/').next().filter(|_| owner == account) {
            Some(role) => policies.layers.resource = Some(iam.trust(role).await?),
            None => policies.unread.push(format!("the trust policy of {asked} is in another account")),
        }
    }
    Ok(policies)
}

/// IAM in the account of a context.
struct Iam(aws_sdk_iam::Client);

type OfIdentity = (String, Vec<Document>, Option<Vec<Document>>);

impl Iam {
    fn new(cx: &Ctx) -> Self {
        let partition = retry::partition(&cx.target);
        let config = aws_sdk_iam::config::Builder::from(&cx.sdk)
            .retry_partition(partition)
            .retry_classifier(retry::WhenBusy)
            .build();
        Self(aws_sdk_iam::Client::from_conf(config))
    }

    async fn user(&self, name: &str) -> Result<OfIdentity, ActionError> {
        let iam = &self.0;
        let user = iam.get_user().user_name(name).send().await?.user;
        let user =
            user.ok_or_else(|| ActionError::new(ErrorKind::Other, format!("IAM told nothing of user {name}")))?;
        let mut documents = Vec::new();
        let mut names = iam.list_user_policies().user_name(name).into_paginator().items().send();
        while let Some(policy) = names.next().await {
            let policy = policy?;
            let text = iam.get_user_policy().user_name(name).policy_name(&policy).send().await?.policy_document;
            documents.push(document(&policy, &decoded(&text))?);
        }
        let mut attached = iam.list_attached_user_policies().user_name(name).into_paginator().items().send();
        while let Some(policy) = attached.next().await {
            documents.extend(self.attached(&policy?).await?);
        }
        let mut groups = iam.list_groups_for_user().user_name(name).into_paginator().items().send();
        while let Some(group) = groups.next().await {
            documents.extend(self.group(&group?.group_name).await?);
        }
        let boundary = user.permissions_boundary().and_then(|boundary| boundary.permissions_boundary_arn());
        Ok((user.arn.clone(), documents, self.boundary(boundary).await?))
    }

    async fn group(&self, name: &str) -> Result<Vec<Document>, ActionError> {
        let iam = &self.0;
        let mut documents = Vec::new();
        let mut names = iam.list_group_policies().group_name(name).into_paginator().items().send();
        while let Some(policy) = names.next().await {
            let policy = policy?;
            let text = iam.get_group_policy().group_name(name).policy_name(&policy).send().await?.policy_document;
            documents.push(document(&policy, &decoded(&text))?);
        }
        let mut attached = iam.list_attached_group_policies().group_name(name).into_paginator().items().send();
        while let Some(policy) = attached.next().await {
            documents.extend(self.attached(&policy?).await?);
        }
        Ok(documents)
    }

    async fn role(&self, name: &str) -> Result<OfIdentity, ActionError> {
        let iam = &self.0;
        let role = iam.get_role().role_name(name).send().await?.role;
        let role =
            role.ok_or_else(|| ActionError::new(ErrorKind::Other, format!("IAM told nothing of role {name}")))?;
        let mut documents = Vec::new();
        let mut names = iam.list_role_policies().role_name(name).into_paginator().items().send();
        while let Some(policy) = names.next().await {
            let policy = policy?;
            let text = iam.get_role_policy().role_name(name).policy_name(&policy).send().await?.policy_document;
            documents.push(document(&policy, &decoded(&text))?);
        }
        let mut attached = iam.list_attached_role_policies().role_name(name).into_paginator().items().send();
        while let Some(policy) = attached.next().await {
            documents.extend(self.attached(&policy?).await?);
        }
        let boundary = role.permissions_boundary().and_then(|boundary| boundary.permissions_boundary_arn());
        Ok((role.arn.clone(), documents, self.boundary(boundary).await?))
    }

    async fn trust(&self, role: &str) -> Result<Document, ActionError> {
        let role = self.0.get_role().role_name(role).send().await?.role;
        let text = role.and_then(|role| role.assume_role_policy_document).unwrap_or_default();
        read("trust policy", &decoded(&text), Kind::Trust)
    }

    async fn attached(&self, policy: &AttachedPolicy) -> Result<Option<Document>, ActionError> {
        match policy.policy_arn() {
            Some(arn) => self.managed(arn).await.map(Some),
            None => Ok(None),
        }
    }

    async fn boundary(&self, arn: Option<&str>) -> Result<Option<Vec<Document>>, ActionError> {
        match arn {
            Some(arn) => Ok(Some(vec![self.managed(arn).await?])),
            None => Ok(None),
        }
    }

    /// The default version of a managed policy.
    async fn managed(&self, arn: &str) -> Result<Document, ActionError> {
        let policy = self.0.get_policy().policy_arn(arn).send().await?.policy;
        let version = policy.and_then(|policy| policy.default_version_id).unwrap_or_else(|| "v1".to_owned());
        let version = self.0.get_policy_version().policy_arn(arn).version_id(version).send().await?.policy_version;
        let text = version.and_then(|version| version.document).unwrap_or_default();
        document(arn.rsplit('/').next().unwrap_or(arn), &decoded(&text))
    }
}

/// The policies of a kind that bind an account of the organisation, level by level from the root. None bind the management
/// account, an account without an organisation, or one whose organisation has switched the kind off.
async fn levels(cx: &Ctx, account: &str, kind: Kind) -> Result<Vec<Vec<Document>>, ActionError> {
    let caller = Target::global(cx.view.caller.account.clone());
    let config = aws_sdk_organizations::config::Builder::from(&cx.home)
        .retry_partition(retry::partition(&caller))
        .retry_classifier(retry::WhenBusy);
    let client = aws_sdk_organizations::Client::from_conf(config.build());
    let organization = match client.describe_organization().send().await.map_err(ActionError::from) {
        Ok(answer) => answer.organization,
        Err(error) if error.code.as_deref() == Some("AWSOrganizationsNotInUseException") => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    if organization.as_ref().and_then(|organization| organization.master_account_id()) == Some(account) {
        return Ok(Vec::new());
    }
    let mut path = vec![account.to_owned()];
    while let Some(parent) = parent_of(&client, path.last().map_or(account, String::as_str)).await? {
        path.push(parent);
    }
    let mut levels = Vec::new();
    for target in path.iter().rev() {
        let mut level = Vec::new();
        let policy_type = match kind {
            Kind::ResourceControl => PolicyType::ResourceControlPolicy,
            _ => PolicyType::ServiceControlPolicy,
        };
        let request = client.list_policies_for_target().target_id(target).filter(policy_type);
        let mut pages = request.into_paginator().send();
        while let Some(page) = pages.next().await {
            for policy in page?.policies.unwrap_or_default() {
                let id = policy.id.unwrap_or_default();
                let content = client.describe_policy().policy_id(&id).send().await?.policy.and_then(|of| of.content);
                let name = policy.name.unwrap_or(id);
                level.push(read(&name, &content.unwrap_or_default(), kind)?);
            }
        }
        levels.push(level);
    }
    // AWS's own full-access policy is on every level of a kind that is switched on.
    let is_off = levels.iter().all(Vec::is_empty);
    Ok(if is_off { Vec::new() } else { levels })
}

/// The organisational unit or root above; none above the root.
async fn parent_of(client: &aws_sdk_organizations::Client, child: &str) -> Result<Option<String>, ActionError> {
    if child.starts_with("r-") {
        return Ok(None);
    }
    let parents = client.list_parents().child_id(child).send().await?.parents.unwrap_or_default();
    Ok(parents.into_iter().find_map(|parent| parent.id))
}

fn document(name: &str, text: &str) -> Result<Document, ActionError> {
    read(name, text, Kind::Identity)
}

fn read(name: &str, text: &str, kind: Kind) -> Result<Document, ActionError> {
    Document::parse_as_far_as_known(name, text, kind)
        .map_err(|error| ActionError::new(ErrorKind::Other, format!("AWS's answer cannot be judged: {error}")))
}

/// IAM percent-encodes documents.
fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}
