//! Whether a call is allowed: service control policies, boundary, identity policies, session policy.

use jiff::Timestamp;

use super::call::{Call, Permission, Principal, Refusal};
use super::documents::Documents;
use super::iam::{Iam, Policies, Role, User};
use super::organizations::PolicyType;
use super::wire::protocol::Protocol;
use super::world::World;
use crate::model::AccountId;
use crate::policy::{Context, Document, Kind, Layer, Layers, Malformed, Request, Trust, Verdict, allow_all};
use crate::policy::{evaluate, trust};

/// Who acts, as its policies are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The account that it belongs to.
    pub account: AccountId,
    /// What it is.
    pub identity: Identity,
}

/// What acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The root user: bound by service control policies alone.
    Root,
    /// A user, by name.
    User(String),
    /// A role, by name.
    Role(String),
}

impl Actor {
    /// The actor that an ARN names: a root user, a user, a role. None for other ARNs, and for what does not exist.
    pub fn of_arn(world: &World, arn: &str) -> Option<Self> {
        let mut parts = arn.splitn(6, ':').skip(4);
        let (account, resource) = (AccountId::new(parts.next()?).ok()?, parts.next()?);
        let iam = &world.accounts.get(&account)?.iam;
        let name = resource.rsplit('/').next()?.to_owned();
        let identity = match resource.split('/').next()? {
            "root" => Identity::Root,
            "user" if iam.users.contains_key(&name) => Identity::User(name),
            "role" if iam.roles.contains_key(&name) => Identity::Role(name),
            _ => return None,
        };
        Some(Self { account, identity })
    }
}

/// Refuses what the policies do not allow, in the service's own words.
pub fn authorize(world: &World, call: &Call, permissions: &[Permission]) -> Result<(), Refusal> {
    authorize_in(world, call, permissions, &call.account)
}

/// The same for resources of another account than the caller's.
fn authorize_in(world: &World, call: &Call, permissions: &[Permission], owner: &AccountId) -> Result<(), Refusal> {
    let session = world.sessions.get(&call.access_key).and_then(|session| session.policy.as_deref());
    let Some(actor) = Actor::of_arn(world, &call.principal.principal_arn) else {
        // A session outlives the role or user that it was made for, but nothing allows it anything any more.
        return permissions.first().map_or(Ok(()), |permission| {
            Err(refusal(call, permission, &Verdict::ImplicitDeny { layer: Layer::Identity }))
        });
    };
    let rcps = rcps(world, call, owner)?;
    let layers = Layers { rcps, ..layers(world, &actor, session, call.now)? };
    let context = context(world, call, &actor);
    for permission in permissions {
        let verdict = evaluate(&request(&call.principal, permission, &context), &layers);
        if !verdict.is_allowed() {
            return Err(refusal(call, permission, &verdict));
        }
    }
    Ok(())
}

/// Whether `principal` may assume `role` of `account`. Within an account the trust policy alone suffices when it names the
/// principal itself; otherwise, and always across accounts, the principal's own policies must allow it too. The permission
/// is `sts:AssumeRole` on the role, with the condition keys of the call (`sts:ExternalId`).
pub fn assume_role_allowed(
    world: &World,
    call: &Call,
    account: &AccountId,
    role: &Role,
    permission: &Permission,
) -> Result<(), Refusal> {
    let denied = |layer| refusal(call, permission, &Verdict::ImplicitDeny { layer });
    let actor = Actor::of_arn(world, &call.principal.principal_arn).ok_or_else(|| denied(Layer::Identity))?;
    if actor.identity == Identity::Root {
        return Err(Refusal::new(403, "AccessDenied", "Roles may not be assumed by root accounts."));
    }
    let seen = world.accounts.get(account).and_then(|account| account.iam.as_seen(call.now).roles.get(&role.name));
    let text = &seen.ok_or_else(|| denied(Layer::Resource))?.trust;
    let document = world.documents.read(&role.name, text, Kind::Trust).map_err(unreadable)?;
    let context = context(world, call, &actor);
    // A trust policy names a session by its own ARN or by that of its role.
    let as_role = request(&call.principal, permission, &context);
    let as_session = Request { principal: call.principal.arn.clone(), ..as_role.clone() };
    let found = [trust(&document, &as_role), trust(&document, &as_session)];
    if found.contains(&Trust::Denied) || found == [Trust::None; 2] {
        return Err(denied(Layer::Resource));
    }
    if actor.account == *account && found.contains(&Trust::Principal) {
        let session = world.sessions.get(&call.access_key).and_then(|session| session.policy.as_deref());
        let rcps = rcps(world, call, account)?;
        let layers = Layers { resource: Some(allow_all()), rcps, ..layers(world, &actor, session, call.now)? };
        let verdict = evaluate(&as_role, &layers);
        return if verdict.is_allowed() { Ok(()) } else { Err(refusal(call, permission, &verdict)) };
    }
    authorize_in(world, call, std::slice::from_ref(permission), account)
}

/// Every policy that has a say over an actor, as services see them at `now`.
pub fn layers(world: &World, actor: &Actor, session: Option<&str>, now: Timestamp) -> Result<Layers, Refusal> {
    let iam = world.account(&actor.account).iam.as_seen(now);
    let mut layers = Layers { scps: scps(world, actor, iam, now).map_err(unreadable)?, ..Layers::default() };
    match &actor.identity {
        Identity::Root => layers.identity.push(allow_all()),
        Identity::User(name) => {
            if let Some(user) = iam.users.get(name) {
                layers.identity = user_documents(&world.documents, iam, user).map_err(unreadable)?;
                layers.boundary = boundary(&world.documents, iam, &user.policies).map_err(unreadable)?;
            }
        }
        Identity::Role(name) => {
            if let Some(role) = iam.roles.get(name) {
                layers.identity = documents(&world.documents, iam, &role.policies).map_err(unreadable)?;
                layers.boundary = boundary(&world.documents, iam, &role.policies).map_err(unreadable)?;
            }
        }
    }
    if let Some(text) = session {
        layers.session = Some(vec![world.documents.read("session", text, Kind::Identity).map_err(unreadable)?]);
    }
    Ok(layers)
}

/// None apply to the management account and to service-linked roles.
fn scps(world: &World, actor: &Actor, iam: &Iam, now: Timestamp) -> Result<Vec<Vec<Document>>, Malformed> {
    let service_linked = match &actor.identity {
        Identity::Role(name) => iam.roles.get(name).is_some_and(Role::is_service_linked),
        _ => false,
    };
    let Some(organization) = world.organization.as_ref().filter(|_| !service_linked) else { return Ok(Vec::new()) };
    let levels = organization.as_seen(now).levels(&actor.account, PolicyType::ServiceControl).into_iter();
    let read = |(name, text): (&str, &str)| world.documents.read(name, text, Kind::ServiceControl);
    levels.map(|level| level.into_iter().map(read).collect()).collect()
}

/// The services whose resources they bind, of those that are simulated (Organizations User Guide, "Resource control policies").
const RESOURCE_CONTROLLED: [&str; 2] = ["s3", "sts"];

/// The resource control policies that bind the resources of an account; whoever asks.
fn rcps(world: &World, call: &Call, owner: &AccountId) -> Result<Vec<Vec<Document>>, Refusal> {
    let bound = RESOURCE_CONTROLLED.contains(&call.service.as_str());
    let Some(organization) = world.organization.as_ref().filter(|_| bound) else { return Ok(Vec::new()) };
    let levels = organization.as_seen(call.now).levels(owner, PolicyType::ResourceControl).into_iter();
    let read = |(name, text): (&str, &str)| world.documents.read(name, text, Kind::ResourceControl);
    let levels = levels.map(|level| level.into_iter().map(read).collect());
    levels.collect::<Result<_, _>>().map_err(unreadable)
}

fn user_documents(known: &Documents, iam: &Iam, user: &User) -> Result<Vec<Document>, Malformed> {
    let mut all = documents(known, iam, &user.policies)?;
    for group in user.groups.iter().filter_map(|name| iam.groups.get(name)) {
        all.extend(documents(known, iam, &group.policies)?);
    }
    Ok(all)
}

fn documents(known: &Documents, iam: &Iam, policies: &Policies) -> Result<Vec<Document>, Malformed> {
    let inline = policies.inline.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    let managed = policies.managed.iter().filter_map(|arn| Some((policy_name(arn), iam.managed_document(arn)?)));
    inline.chain(managed).map(|(name, text)| known.read(name, text, Kind::Identity)).collect()
}

/// A boundary whose policy is gone allows nothing.
fn boundary(known: &Documents, iam: &Iam, policies: &Policies) -> Result<Option<Vec<Document>>, Malformed> {
    let Some(arn) = &policies.boundary else { return Ok(None) };
    let text = iam.managed_document(arn);
    let documents = text.map(|text| known.read(policy_name(arn), text, Kind::Identity));
    documents.into_iter().collect::<Result<_, _>>().map(Some)
}

fn policy_name(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

fn request(principal: &Principal, permission: &Permission, context: &Context) -> Request {
    let context = permission.context.iter().fold(context.clone(), |context, (key, value)| context.with(key, value));
    Request {
        principal: principal.principal_arn.clone(),
        action: permission.action.clone(),
        resource: permission.resource.clone(),
        context,
    }
}

/// The global condition keys.
fn context(world: &World, call: &Call, actor: &Actor) -> Context {
    let kind = match (&actor.identity, call.principal.arn == call.principal.principal_arn) {
        (Identity::Root, _) => "Account",
        (Identity::User(_), _) => "User",
        (Identity::Role(_), _) => "AssumedRole",
    };
    let mut context = Context::default()
        .with("aws:PrincipalArn", &call.principal.principal_arn)
        .with("aws:PrincipalAccount", call.account.as_str())
        .with("aws:PrincipalType", kind)
        .with("aws:RequestedRegion", call.region.as_str())
        .with("aws:userid", &call.principal.user_id)
        .with("aws:CurrentTime", call.now.to_string())
        .with("aws:EpochTime", call.now.as_second().to_string())
        .with("aws:SecureTransport", "true");
    if let Identity::User(name) = &actor.identity {
        context.add("aws:username", name);
    }
    if let Some(issued) = call.principal.issued {
        context.add("aws:TokenIssueTime", issued.to_string());
    }
    if let Some(session) = world.sessions.get(&call.access_key) {
        context.add("aws:MultiFactorAuthPresent", session.mfa.to_string());
        if let Some(identity) = &session.source_identity {
            context.add("aws:SourceIdentity", identity);
        }
    }
    if let Some(organization) = world.organization.as_ref().filter(|of| of.members.contains_key(&call.account)) {
        context.add("aws:PrincipalOrgID", &organization.id);
    }
    context
}

fn unreadable(error: Malformed) -> Refusal {
    Refusal::new(500, "InternalFailure", format!("the world holds a policy that cannot be read: {error}"))
}

/// The refusal as each service codes it, worded as AWS words it.
fn refusal(call: &Call, permission: &Permission, verdict: &Verdict) -> Refusal {
    let because = match verdict {
        Verdict::Allowed => String::new(),
        Verdict::ExplicitDeny { layer, .. } => format!("with an explicit deny in {}", article(*layer)),
        Verdict::ImplicitDeny { layer } => {
            format!("because no {} allows the {} action", layer.as_str(), permission.action)
        }
        Verdict::Unknown { because } => format!("because it cannot be decided: {}", because.join("; ")),
    };
    let Permission { action, resource, .. } = permission;
    let who = &call.principal.arn;
    let message = match resource.as_str() {
        "*" => format!("User: {who} is not authorized to perform: {action} {because}"),
        _ => format!("User: {who} is not authorized to perform: {action} on resource: {resource} {because}"),
    };
    match Protocol::of(&call.service) {
        Some(Protocol::Ec2) => Refusal::new(
            403,
            "UnauthorizedOperation",
            format!("You are not authorized to perform this operation. {message}"),
        ),
        Some(Protocol::Json) => Refusal::new(400, "AccessDeniedException", message),
        Some(Protocol::RestJson) => Refusal::new(403, "AccessDeniedException", message),
        _ => Refusal::new(403, "AccessDenied", message),
    }
}

fn article(layer: Layer) -> String {
    match layer {
        Layer::Identity => format!("an {}", layer.as_str()),
        _ => format!("a {}", layer.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::sim::call::test_call;
    use crate::sim::iam;
    use crate::sim::organizations::{Organization, Policy};

    const QUARANTINE: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/ir/IRResponder"}}}]}"#;

    fn account() -> AccountId {
        AccountId::new("111122223333").unwrap()
    }

    /// An administrator in a member account.
    fn world() -> World {
        let mut world = World::new(1);
        let management = AccountId::new("999999999999").unwrap();
        let now = Timestamp::UNIX_EPOCH;
        world.add_account(management.clone(), "management");
        world.add_account(account(), "development");
        let members = [(account(), "development", Some("workloads"))];
        let organization =
            Organization::new(&mut world.rng, (&management, "management"), &members, &["workloads"], now);
        world.organization = Some(organization);
        let admin = iam::create_user(&mut world, &account(), "/", "admin", now).unwrap();
        admin.policies.managed.insert("arn:aws:iam::aws:policy/AdministratorAccess".to_owned());
        let trust = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}}"#;
        let role = iam::create_role(&mut world, &account(), "/ir/", "IRResponder", trust, now).unwrap();
        role.policies.managed.insert("arn:aws:iam::aws:policy/AdministratorAccess".to_owned());
        world
    }

    fn as_responder(mut call: Call) -> Call {
        call.principal = Principal {
            arn: "arn:aws:sts::111122223333:assumed-role/IRResponder/ada".to_owned(),
            principal_arn: "arn:aws:iam::111122223333:role/ir/IRResponder".to_owned(),
            user_id: "AROA:ada".to_owned(),
            issued: Some(call.now),
        };
        call
    }

    fn decide(world: &World, call: &Call) -> Result<(), (u16, String)> {
        let permission = Permission::new(format!("{}:{}", call.service, call.operation), "*");
        authorize(world, call, &[permission]).map_err(|refusal| (refusal.status, refusal.code))
    }

    fn stop() -> Call {
        test_call("ec2", "StopInstances", "")
    }

    #[test]
    fn a_quarantine_beside_full_access_spares_the_exempt_role_and_the_management_account() {
        let mut world = world();
        let organization = world.organization.as_mut().unwrap();
        let policy = Policy {
            name: "quarantine".to_owned(),
            description: String::new(),
            kind: PolicyType::ServiceControl,
            content: QUARANTINE.to_owned(),
            aws_managed: false,
            tags: std::collections::BTreeMap::new(),
        };
        organization.policies.insert("p-12345678".to_owned(), policy);
        assert_eq!(decide(&world, &stop()), Ok(()));
        world.organization.as_mut().unwrap().attach("111122223333", "p-12345678");
        assert_eq!(decide(&world, &stop()), Err((403, "UnauthorizedOperation".to_owned())));
        assert_eq!(decide(&world, &as_responder(stop())), Ok(()));
        let message = authorize(&world, &stop(), &[Permission::new("ec2:StopInstances", "*")]).unwrap_err().message;
        assert!(message.contains("user/admin") && message.contains("explicit deny in a service control policy"));
        let mut root = stop();
        root.principal.principal_arn = "arn:aws:iam::111122223333:root".to_owned();
        assert!(decide(&world, &root).is_err(), "SCPs bind the root user of a member");
        root.principal.principal_arn = "arn:aws:iam::999999999999:root".to_owned();
        world.organization.as_mut().unwrap().attach("999999999999", "p-12345678");
        assert_eq!(decide(&world, &root), Ok(()));
    }

    #[test]
    fn a_level_without_an_allowing_policy_denies() {
        let mut world = world();
        world.organization.as_mut().unwrap().attachments.remove("111122223333");
        assert!(decide(&world, &stop()).is_err());
    }

    #[test]
    fn each_service_has_its_own_code() {
        let mut world = world();
        world.account_mut(&account()).iam.users.get_mut("admin").unwrap().policies.managed.clear();
        let code = |service: &str| decide(&world, &test_call(service, "X", "")).unwrap_err();
        assert_eq!(code("ec2"), (403, "UnauthorizedOperation".to_owned()));
        assert_eq!(code("iam"), (403, "AccessDenied".to_owned()));
        assert_eq!(code("s3"), (403, "AccessDenied".to_owned()));
        assert_eq!(code("organizations"), (400, "AccessDeniedException".to_owned()));
    }

    #[test]
    fn a_deny_takes_effect_after_the_lag_and_boundaries_bind() {
        let mut world = world();
        let put = test_call(
            "iam",
            "PutUserPermissionsBoundary",
            "UserName=admin&PermissionsBoundary=arn:aws:iam::aws:policy/AWSDenyAll",
        );
        iam::handle(&mut world, &put).unwrap();
        let after = |seconds| Call { now: put.now + SignedDuration::from_secs(seconds), ..stop() };
        assert_eq!(decide(&world, &after(3)), Ok(()));
        assert!(decide(&world, &after(4)).is_err());
    }

    #[test]
    fn revoked_sessions_are_refused_and_newer_ones_are_not() {
        let mut world = world();
        let call = as_responder(stop());
        let revoke = crate::policy::revoke_older_sessions(call.now + SignedDuration::from_secs(30));
        let role = world.account_mut(&account()).iam.roles.get_mut("IRResponder").unwrap();
        role.policies.inline.insert("AWSRevokeOlderSessions".to_owned(), revoke);
        assert!(decide(&world, &call).is_err());
        let mut newer = call;
        newer.principal.issued = Some(newer.now + SignedDuration::from_secs(31));
        assert_eq!(decide(&world, &newer), Ok(()));
    }

    #[test]
    fn a_role_is_assumed_by_whom_it_trusts() {
        let mut world = world();
        let role = world.account(&account()).iam.roles["IRResponder"].clone();
        let call = test_call("sts", "AssumeRole", "");
        let asked = Permission::new("sts:AssumeRole", &role.arn);
        assert_eq!(assume_role_allowed(&world, &call, &account(), &role, &asked), Ok(()));
        world.account_mut(&account()).iam.users.get_mut("admin").unwrap().policies.managed.clear();
        assert!(
            assume_role_allowed(&world, &call, &account(), &role, &asked).is_err(),
            "trusting the account is not enough"
        );
        let named = role.trust.replace("\"111122223333\"", "\"arn:aws:iam::111122223333:user/admin\"");
        world.account_mut(&account()).iam.roles.get_mut("IRResponder").unwrap().trust = named;
        assert_eq!(assume_role_allowed(&world, &call, &account(), &role, &asked), Ok(()));
    }
}
