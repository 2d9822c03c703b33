//! AWS Security Token Service.

use jiff::SignedDuration;
use serde::Deserialize;

use super::authorize;
use super::call::{Body, Call, Permission, Principal, Refusal, Reply};
use super::wire::xml::Xml;
use super::world::{Secret, Session, World};
use crate::model::{AccessKeyId, AccountId};
use crate::policy::{Document, Kind};

/// What the call needs to be allowed. `GetCallerIdentity` needs nothing, not even when a policy denies it; `GetSessionToken` is
/// only ever a user's own, and `AssumeRole` is decided by the role's trust policy together with the caller's own.
pub fn permissions(world: &World, call: &Call) -> Result<Vec<Permission>, Refusal> {
    match call.operation.as_str() {
        "GetCallerIdentity" | "GetSessionToken" | "AssumeRole" => Ok(Vec::new()),
        "AssumeRoot" => {
            let AssumeRoot { target_principal, task_policy_arn, .. } = call.params.read()?;
            let root = format!("arn:{}:iam::{}:root", world.partition, account_of(&target_principal));
            Ok(vec![Permission::new("sts:AssumeRoot", root).with("sts:TaskPolicyArn", task_policy_arn.arn)])
        }
        "GetAccessKeyInfo" => Ok(vec![Permission::new("sts:GetAccessKeyInfo", "*")]),
        "GetFederationToken" => {
            let GetFederationToken { name, .. } = call.params.read()?;
            let arn = federated_user(world, call, &name);
            Ok(vec![Permission::new("sts:GetFederationToken", arn)])
        }
        _ => Err(call.unknown()),
    }
}

/// Carries the call out.
pub fn handle(world: &mut World, call: &Call) -> Reply {
    match call.operation.as_str() {
        "GetCallerIdentity" => Ok(Body::Xml(vec![
            Xml::text("UserId", &call.principal.user_id),
            Xml::text("Account", &call.account),
            Xml::text("Arn", &call.principal.arn),
        ])),
        "GetAccessKeyInfo" => access_key_info(world, call),
        "AssumeRole" => assume_role(world, call),
        "AssumeRoot" => assume_root(world, call),
        "GetSessionToken" => session_token(world, call),
        "GetFederationToken" => federation_token(world, call),
        _ => Err(call.unknown()),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetAccessKeyInfo {
    access_key_id: String,
}

/// The account of any key of any account, active or not (API reference, "GetAccessKeyInfo").
fn access_key_info(world: &World, call: &Call) -> Reply {
    let asked: GetAccessKeyInfo = call.params.read()?;
    AccessKeyId::new(&asked.access_key_id)
        .map_err(|error| Refusal::new(400, "ValidationError", format!("Access key id: {error}")))?;
    let unknown = || Refusal::new(400, "ValidationError", format!("{} is not a valid access key", asked.access_key_id));
    let account = super::authenticate::account_of(world, &asked.access_key_id).ok_or_else(unknown)?;
    Ok(Body::Xml(vec![Xml::text("Account", account)]))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct AssumeRole {
    role_arn: String,
    role_session_name: String,
    policy: Option<String>,
    duration_seconds: Option<i64>,
    external_id: Option<String>,
    source_identity: Option<String>,
    serial_number: Option<String>,
    token_code: Option<String>,
}

const ROLE_CHAINING: SignedDuration = SignedDuration::from_hours(1);

fn assume_role(world: &mut World, call: &Call) -> Reply {
    let asked: AssumeRole = call.params.read()?;
    let mfa = proves_mfa(world, call, asked.serial_number.as_ref(), asked.token_code.as_ref())?;
    let held = world.sessions.get(&call.access_key).and_then(|session| session.source_identity.clone());
    if held.is_some() && asked.source_identity.is_some() && held != asked.source_identity {
        return Err(Refusal::new(403, "AccessDenied", "The source identity of a session cannot be changed"));
    }
    let source_identity = asked.source_identity.clone().or(held);
    let (account, name) = role_of(&asked.role_arn)?;
    let role = world.accounts.get(&account).and_then(|account| account.iam.as_seen(call.now).roles.get(&name));
    // AWS does not tell a role that is missing from one that does not trust the caller.
    let role = role.filter(|role| role.arn == asked.role_arn).ok_or_else(|| denied(call, &asked.role_arn))?;
    let mut permission =
        Permission::new("sts:AssumeRole", &role.arn).with("sts:RoleSessionName", &asked.role_session_name);
    if let Some(id) = &asked.external_id {
        permission = permission.with("sts:ExternalId", id);
    }
    if mfa {
        permission = permission.with("aws:MultiFactorAuthPresent", "true");
    }
    authorize::assume_role_allowed(world, call, &account, role, &permission)?;
    if let Some(identity) = &source_identity {
        // The trust policy and the caller's own must allow this as well; a session that has one passes it on.
        let mut set = Permission::new("sts:SetSourceIdentity", &role.arn).with("sts:SourceIdentity", identity);
        set.context.extend(permission.context.iter().filter(|(key, _)| key != "sts:RoleSessionName").cloned());
        authorize::assume_role_allowed(world, call, &account, role, &set)?;
    }
    let chained = call.principal.issued.is_some();
    let longest = if chained { ROLE_CHAINING } else { SignedDuration::from_secs(role.max_session.into()) };
    let duration = SignedDuration::from_secs(asked.duration_seconds.unwrap_or(3600));
    if duration < SignedDuration::from_mins(15) {
        return Err(invalid("DurationSeconds must be at least 900"));
    }
    if duration > longest {
        let limit = if chained {
            "the 1 hour session limit for roles assumed by role chaining"
        } else {
            "the MaxSessionDuration set for this role"
        };
        return Err(invalid(&format!("The requested DurationSeconds exceeds {limit}.")));
    }
    if let Some(policy) = &asked.policy {
        Document::parse("session policy", policy, Kind::Identity)
            .map_err(|error| Refusal::new(400, "MalformedPolicyDocument", error.to_string()))?;
    }
    let session_name = asked.role_session_name;
    let principal = Principal {
        arn: format!("arn:{}:sts::{account}:assumed-role/{name}/{session_name}", world.partition),
        principal_arn: role.arn.clone(),
        user_id: format!("{}:{session_name}", role.id),
        issued: Some(call.now),
    };
    let user = vec![Xml::text("AssumedRoleId", &principal.user_id), Xml::text("Arn", &principal.arn)];
    let session = Session {
        secret: Secret(world.secret()),
        token: Secret(world.rng.text(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", 180)),
        asked_with: call.access_key.clone(),
        account,
        role: Some(name),
        user: None,
        name: session_name,
        policy: asked.policy,
        mfa,
        source_identity: source_identity.clone(),
        issued: call.now,
        expires: call.now + duration,
        principal,
    };
    let mut answer = vec![credentials(world, session), Xml::node("AssumedRoleUser", user)];
    answer.extend(source_identity.map(|identity| Xml::text("SourceIdentity", identity)));
    Ok(Body::Xml(answer))
}

/// Whether a call proves that the user holds an MFA device, by a code that nobody used yet. Any six digits are right.
fn proves_mfa(world: &mut World, call: &Call, serial: Option<&String>, code: Option<&String>) -> Result<bool, Refusal> {
    let Some(serial) = serial else { return Ok(false) };
    let refused = |message: &str| Refusal::new(403, "AccessDenied", message);
    let name = call.principal.arn.rsplit('/').next().unwrap_or_default();
    let user = world.account(&call.account).iam.users.get(name).filter(|user| user.arn == call.principal.arn);
    if call.principal.issued.is_some() || user.is_none_or(|user| !user.credentials.mfa.contains_key(serial)) {
        return Err(refused(
            "MultiFactorAuthentication failed, unable to validate MFA code. Please verify your MFA serial number is valid and associated with this user.",
        ));
    }
    let code = code.filter(|code| code.len() == 6 && code.bytes().all(|digit| digit.is_ascii_digit()));
    let fresh = code.is_some_and(|code| world.used_codes.insert((serial.clone(), code.clone())));
    if fresh {
        Ok(true)
    } else {
        Err(refused("MultiFactorAuthentication failed with invalid MFA one time pass code. "))
    }
}

/// What credentials of GetSessionToken and GetFederationToken are not for, whatever policies say: IAM, unless an MFA device was
/// used, and most of STS (API reference of both, "Permissions").
pub fn check_use(world: &World, call: &Call) -> Result<(), Refusal> {
    let Some(session) = world.sessions.get(&call.access_key).filter(|session| session.role.is_none()) else {
        return Ok(());
    };
    let federated = session.principal.arn.contains(":federated-user/");
    let for_a_task = session.principal.arn.ends_with(":root") && session.policy.is_some();
    match call.service.as_str() {
        "iam" if for_a_task || (session.mfa && !federated) => Ok(()),
        "iam" => {
            let message = "The security token included in the request is invalid.";
            Err(Refusal::new(403, "InvalidClientTokenId", message))
        }
        "sts" if call.operation == "GetCallerIdentity" || (call.operation == "AssumeRole" && !federated) => Ok(()),
        "sts" => {
            let message = format!("Cannot call {} with session credentials", call.operation);
            Err(Refusal::new(403, "AccessDenied", message))
        }
        _ => Ok(()),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct AssumeRoot {
    target_principal: String,
    task_policy_arn: TaskPolicy,
    duration_seconds: Option<i64>,
    source_identity: Option<String>,
}

#[derive(Deserialize)]
struct TaskPolicy {
    arn: String,
}

/// What the task of deleting credentials is made of (IAM User Guide, "Perform a privileged task on a member account").
const DELETE_ROOT_CREDENTIALS: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Resource":"arn:aws:iam::*:root","Action":["iam:DeactivateMFADevice","iam:DeleteAccessKey","iam:DeleteLoginProfile","iam:DeleteSigningCertificate","iam:GetLoginProfile","iam:GetUser","iam:ListAccessKeys","iam:ListMFADevices","iam:ListSigningCertificates"]},{"Effect":"Allow","Action":["iam:GetAccessKeyLastUsed","iam:GetAccountSummary"],"Resource":"*"}]}"#;

/// The account that a target names: a number, or an ARN that ends in `:root`.
fn account_of(target: &str) -> &str {
    if target.starts_with("arn:") { target.split(':').nth(4).unwrap_or_default() } else { target }
}

/// A session as the root user of a member, for one task and at most 15 minutes. The account's service control policies bind
/// it as they bind every root user of a member.
fn assume_root(world: &mut World, call: &Call) -> Reply {
    let asked: AssumeRoot = call.params.read()?;
    let who = &call.principal.arn;
    let target = account_of(&asked.target_principal).to_owned();
    let refused = || {
        let message = format!("User: {who} is not authorized to perform: sts:AssumeRoot on account: {target}");
        Refusal::new(403, "AccessDenied", message)
    };
    if who.ends_with(":root") || !super::iam::may_enter_roots(world, call) {
        return Err(refused());
    }
    let account = AccountId::new(&target).map_err(|_| invalid("TargetPrincipal is not an account"))?;
    let is_member = world.organization.as_ref().is_some_and(|of| of.members.contains_key(&account));
    if !is_member || account == call.account {
        return Err(refused());
    }
    let task = asked.task_policy_arn.arn.split_once(":iam::aws:policy/root-task/").map(|(_, task)| task);
    if task != Some("IAMDeleteRootUserCredentials") {
        return Err(invalid("The simulated AWS knows the task policy IAMDeleteRootUserCredentials alone"));
    }
    let seconds = asked.duration_seconds.unwrap_or(900);
    if !(0..=900).contains(&seconds) {
        return Err(invalid("DurationSeconds must be at most 900"));
    }
    let arn = format!("arn:{}:iam::{account}:root", world.partition);
    let principal =
        Principal { arn: arn.clone(), principal_arn: arn, user_id: account.to_string(), issued: Some(call.now) };
    let session = Session {
        secret: Secret(world.secret()),
        token: Secret(world.rng.text(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", 180)),
        asked_with: call.access_key.clone(),
        account,
        role: None,
        user: None,
        name: "root".to_owned(),
        policy: Some(DELETE_ROOT_CREDENTIALS.to_owned()),
        mfa: false,
        source_identity: asked.source_identity.clone(),
        issued: call.now,
        expires: call.now + SignedDuration::from_secs(seconds),
        principal,
    };
    let mut answer = vec![credentials(world, session)];
    answer.extend(asked.source_identity.map(|identity| Xml::text("SourceIdentity", identity)));
    Ok(Body::Xml(answer))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetSessionToken {
    duration_seconds: Option<i64>,
    serial_number: Option<String>,
    token_code: Option<String>,
}

/// Credentials of the user itself, from 15 minutes to 36 hours, 12 hours unless asked for (API reference).
fn session_token(world: &mut World, call: &Call) -> Reply {
    if call.principal.issued.is_some() {
        return Err(Refusal::new(403, "AccessDenied", "Cannot call GetSessionToken with session credentials"));
    }
    let asked: GetSessionToken = call.params.read()?;
    let mfa = proves_mfa(world, call, asked.serial_number.as_ref(), asked.token_code.as_ref())?;
    let seconds = asked.duration_seconds.unwrap_or(43_200);
    if !(900..=129_600).contains(&seconds) {
        return Err(invalid("DurationSeconds must be from 900 to 129600"));
    }
    let name = call.principal.arn.rsplit('/').next().unwrap_or_default().to_owned();
    let is_user = call.principal.arn.contains(":user/");
    let session = Session {
        secret: Secret(world.secret()),
        token: Secret(world.rng.text(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", 180)),
        asked_with: call.access_key.clone(),
        account: call.account.clone(),
        role: None,
        user: is_user.then(|| name.clone()),
        name,
        policy: None,
        mfa,
        source_identity: None,
        issued: call.now,
        expires: call.now + SignedDuration::from_secs(seconds),
        principal: Principal { issued: Some(call.now), ..call.principal.clone() },
    };
    Ok(Body::Xml(vec![credentials(world, session)]))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetFederationToken {
    name: String,
    policy: Option<String>,
    duration_seconds: Option<i64>,
}

/// What a session has that was given no policy: nothing (API reference, "GetFederationToken", "Permissions").
const NOTHING: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","NotAction":"*","Resource":"*"}]}"#;

fn federated_user(world: &World, call: &Call, name: &str) -> String {
    format!("arn:{}:sts::{}:federated-user/{name}", world.partition, call.account)
}

/// Credentials under a name of the caller's choice. They may do what both the issuing user and the policy allow, so a deny on
/// that user binds them.
fn federation_token(world: &mut World, call: &Call) -> Reply {
    if call.principal.issued.is_some() {
        return Err(Refusal::new(403, "AccessDenied", "Cannot call GetFederationToken with session credentials"));
    }
    let asked: GetFederationToken = call.params.read()?;
    let seconds = asked.duration_seconds.unwrap_or(43_200);
    if !(900..=129_600).contains(&seconds) {
        return Err(invalid("DurationSeconds must be from 900 to 129600"));
    }
    if !(2..=32).contains(&asked.name.len()) {
        return Err(invalid("Name must have from 2 to 32 characters"));
    }
    let policy = asked.policy.unwrap_or_else(|| NOTHING.to_owned());
    Document::parse("session policy", &policy, Kind::Identity)
        .map_err(|error| Refusal::new(400, "MalformedPolicyDocument", error.to_string()))?;
    let issuer = call.principal.arn.rsplit('/').next().unwrap_or_default().to_owned();
    let is_user = call.principal.arn.contains(":user/");
    let principal = Principal {
        arn: federated_user(world, call, &asked.name),
        principal_arn: call.principal.principal_arn.clone(),
        user_id: format!("{}:{}", call.account, asked.name),
        issued: Some(call.now),
    };
    let user = vec![Xml::text("FederatedUserId", &principal.user_id), Xml::text("Arn", &principal.arn)];
    let session = Session {
        secret: Secret(world.secret()),
        token: Secret(world.rng.text(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", 180)),
        asked_with: call.access_key.clone(),
        account: call.account.clone(),
        role: None,
        user: is_user.then_some(issuer),
        name: asked.name,
        policy: Some(policy),
        mfa: false,
        source_identity: None,
        issued: call.now,
        expires: call.now + SignedDuration::from_secs(seconds),
        principal,
    };
    Ok(Body::Xml(vec![credentials(world, session), Xml::node("FederatedUser", user)]))
}

/// Keeps the session and answers its credentials.
fn credentials(world: &mut World, session: Session) -> Xml {
    let id = world.unique_id("ASIA");
    let members = vec![
        Xml::text("AccessKeyId", &id),
        Xml::text("SecretAccessKey", &session.secret.0),
        Xml::text("SessionToken", &session.token.0),
        Xml::text("Expiration", session.expires.strftime("%Y-%m-%dT%H:%M:%SZ")),
    ];
    world.sessions.insert(id, session);
    Xml::node("Credentials", members)
}

/// Account and name of a role's ARN.
fn role_of(arn: &str) -> Result<(AccountId, String), Refusal> {
    let mut parts = arn.splitn(6, ':').skip(4);
    let account = parts.next().and_then(|account| AccountId::new(account).ok());
    let name = parts.next().and_then(|resource| resource.strip_prefix("role/")?.rsplit('/').next());
    account.zip(name.map(str::to_owned)).ok_or_else(|| invalid(&format!("{arn} is not the ARN of a role")))
}

fn denied(call: &Call, role: &str) -> Refusal {
    let who = &call.principal.arn;
    let message = format!("User: {who} is not authorized to perform: sts:AssumeRole on resource: {role}");
    Refusal::new(403, "AccessDenied", message)
}

fn invalid(message: &str) -> Refusal {
    Refusal::new(400, "ValidationError", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::call::test_call;
    use crate::sim::iam;

    const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",
        "Principal":{"AWS":"arn:aws:iam::111122223333:user/admin"},
        "Condition":{"StringEquals":{"sts:ExternalId":"case"}}}]}"#;

    fn world() -> World {
        let mut world = World::new(1);
        let call = test_call("sts", "AssumeRole", "");
        world.add_account(call.account.clone(), "development");
        iam::create_user(&mut world, &call.account, "/", "admin", call.now).unwrap();
        iam::create_role(&mut world, &call.account, "/ir/", "Responder", TRUST, call.now).unwrap();
        world
    }

    fn assume(world: &mut World, further: &str) -> Reply {
        let role = "RoleArn=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Fir%2FResponder&RoleSessionName=x";
        handle(world, &test_call("sts", "AssumeRole", &format!("{role}{further}")))
    }

    #[test]
    fn a_role_is_assumed_under_the_conditions_of_its_trust_policy() {
        let mut world = world();
        assert_eq!(assume(&mut world, "").unwrap_err().code, "AccessDenied");
        assert!(assume(&mut world, "&ExternalId=case").is_ok());
        let session = world.sessions.values().next().unwrap();
        assert_eq!(session.principal.arn, "arn:aws:sts::111122223333:assumed-role/Responder/x");
        assert_eq!(session.role.as_deref(), Some("Responder"));
    }

    #[test]
    fn a_session_is_no_longer_than_its_role_allows() {
        let mut world = world();
        let refused = assume(&mut world, "&ExternalId=case&DurationSeconds=7200").unwrap_err();
        assert_eq!(refused.code, "ValidationError");
        assert!(refused.message.contains("MaxSessionDuration"), "{}", refused.message);
    }

    #[test]
    fn a_session_policy_must_be_a_policy() {
        let refused = assume(&mut world(), "&ExternalId=case&Policy=no").unwrap_err();
        assert_eq!(refused.code, "MalformedPolicyDocument");
    }

    #[test]
    fn a_federated_session_may_do_what_its_policy_says_and_nothing_without_one() {
        let mut world = world();
        let federate = |world: &mut World, further: &str| {
            handle(world, &test_call("sts", "GetFederationToken", &format!("Name=night{further}"))).unwrap();
            world.sessions.values().max_by_key(|session| session.policy.clone()).unwrap().clone()
        };
        let session = federate(&mut world, "");
        assert_eq!(session.principal.arn, "arn:aws:sts::111122223333:federated-user/night");
        assert_eq!(session.principal.principal_arn, "arn:aws:iam::111122223333:user/admin");
        assert_eq!(session.policy.as_deref(), Some(NOTHING));
        let mut again = test_call("sts", "GetFederationToken", "Name=night");
        again.principal = session.principal;
        assert_eq!(handle(&mut world, &again).unwrap_err().code, "AccessDenied");
    }

    #[test]
    fn an_unknown_key_has_no_account() {
        let call = test_call("sts", "GetAccessKeyInfo", "AccessKeyId=AKIAIOSFODNN7EXAMPLE");
        assert_eq!(handle(&mut world(), &call).unwrap_err().code, "ValidationError");
    }
}
