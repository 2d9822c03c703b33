//! What a user signs in with beside access keys and a password: signing certificates, SSH keys, credentials of single
//! services, MFA devices.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::keys::KeyStatus;
use super::paging::Paging;
use super::root::is_meant;
use super::users::name_or_caller;
use super::{DONE, Iam, already_exists, date, limit_exceeded, no_such_entity, read};
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;
use crate::sim::world::{Secret, World};

/// The credentials of a user beside access keys and the password, by their ids.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Credentials {
    /// X.509 certificates.
    pub certificates: BTreeMap<String, PublicKey>,
    /// SSH keys for CodeCommit.
    pub ssh_keys: BTreeMap<String, PublicKey>,
    /// Credentials of single services: CodeCommit, Amazon Keyspaces, and the API keys of Amazon Bedrock.
    pub service: BTreeMap<String, ServiceCredential>,
    /// MFA devices: when each was enabled, by serial number.
    pub mfa: BTreeMap<String, Timestamp>,
}

impl Credentials {
    /// What has to be deleted before the user can be.
    pub(super) fn in_the_way(&self) -> Option<&'static str> {
        let kinds = [
            (self.certificates.is_empty(), "delete signing certificates"),
            (self.ssh_keys.is_empty(), "delete SSH public keys"),
            (self.service.is_empty(), "delete service specific credentials"),
            (self.mfa.is_empty(), "deactivate MFA devices"),
        ];
        kinds.into_iter().find(|(none, _)| !none).map(|(_, what)| what)
    }
}

/// A certificate or an SSH key.
#[derive(Debug, Clone, Serialize)]
pub struct PublicKey {
    /// Its text.
    pub body: String,
    /// Whether it can be used.
    pub status: KeyStatus,
    /// When it was uploaded.
    pub uploaded: Timestamp,
}

/// A credential of one service.
#[derive(Debug, Clone, Serialize)]
pub struct ServiceCredential {
    /// `bedrock.amazonaws.com`.
    pub service: String,
    /// The name it is used with.
    pub name: String,
    /// Whether it can be used.
    pub status: KeyStatus,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends, if it does.
    pub expires: Option<Timestamp>,
}

/// How many certificates, and SSH keys, a user may have (IAM User Guide, "IAM and AWS STS quotas").
const CERTIFICATES: usize = 2;
const SSH_KEYS: usize = 5;
/// How many credentials of one service.
const OF_ONE_SERVICE: usize = 2;
const MFA_DEVICES: usize = 8;

/// Parameters of all operations here.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Asked {
    user_name: Option<String>,
    #[serde(
        rename = "CertificateId",
        alias = "SSHPublicKeyId",
        alias = "ServiceSpecificCredentialId",
        alias = "SerialNumber"
    )]
    id: Option<String>,
    #[serde(rename = "CertificateBody", alias = "SSHPublicKeyBody")]
    body: Option<String>,
    status: Option<KeyStatus>,
    service_name: Option<String>,
    credential_age_days: Option<i32>,
    #[serde(default)]
    all_users: bool,
    authentication_code1: Option<String>,
    authentication_code2: Option<String>,
    marker: Option<String>,
    max_items: Option<usize>,
}

impl Asked {
    fn user(&self, iam: &Iam, call: &Call) -> Result<String, Refusal> {
        let name = name_or_caller(iam, call, self.user_name.clone())?;
        iam.user(&name)?;
        Ok(name)
    }

    /// The credentials that the call is about, and whose they are.
    fn held<'a>(&self, iam: &'a Iam, call: &Call) -> Result<(String, &'a Credentials), Refusal> {
        if is_meant(call, self.user_name.as_ref()) {
            return Ok(("root".to_owned(), &iam.root.credentials));
        }
        let name = self.user(iam, call)?;
        let held = &iam.user(&name)?.credentials;
        Ok((name, held))
    }

    fn paging(&self) -> Paging {
        Paging { marker: self.marker.clone(), max_items: self.max_items }
    }

    fn id(&self) -> Result<&str, Refusal> {
        self.id.as_deref().ok_or_else(|| missing("the id"))
    }

    fn body(&self) -> Result<String, Refusal> {
        self.body.clone().ok_or_else(|| missing("the body"))
    }

    fn status(&self) -> Result<KeyStatus, Refusal> {
        self.status.ok_or_else(|| missing("Status"))
    }
}

fn missing(what: &str) -> Refusal {
    Refusal::new(400, "ValidationError", format!("{what} is missing"))
}

fn unknown(what: &str, id: &str) -> Refusal {
    no_such_entity(format!("The {what} with id {id} cannot be found."))
}

/// The credentials of the user that the call means, or of root, to be changed.
fn of_user<'a>(world: &'a mut World, call: &Call, asked: &Asked) -> Result<(String, &'a mut Credentials), Refusal> {
    if is_meant(call, asked.user_name.as_ref()) {
        return Ok(("root".to_owned(), &mut world.account_mut(&call.account).iam.root.credentials));
    }
    let name = asked.user(&world.account(&call.account).iam, call)?;
    let user = world.account_mut(&call.account).iam.user_mut(&name)?;
    Ok((name, &mut user.credentials))
}

fn certificate(user: &str, id: &str, held: &PublicKey) -> Vec<Xml> {
    vec![
        Xml::text("UserName", user),
        Xml::text("CertificateId", id),
        Xml::text("CertificateBody", &held.body),
        Xml::text("Status", held.status.as_str()),
        Xml::text("UploadDate", date(held.uploaded)),
    ]
}

pub(super) fn upload_certificate(world: &mut World, call: &Call) -> Reply {
    let asked: Asked = read(call)?;
    let body = asked.body()?;
    if !body.contains("BEGIN CERTIFICATE") {
        return Err(Refusal::new(400, "MalformedCertificate", "The certificate is not PEM-encoded."));
    }
    let id = world.rng.text(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 32);
    let (user, held) = of_user(world, call, &asked)?;
    if held.certificates.len() >= CERTIFICATES {
        return Err(limit_exceeded(format!("Cannot exceed quota for CertificatesPerUser: {CERTIFICATES}")));
    }
    let made = PublicKey { body, status: KeyStatus::Active, uploaded: call.now };
    let xml = certificate(&user, &id, &made);
    held.certificates.insert(id, made);
    Ok(Body::Xml(vec![Xml::node("Certificate", xml)]))
}

pub(super) fn list_certificates(world: &World, call: &Call) -> Reply {
    let asked: Asked = read(call)?;
    let iam = &world.account(&call.account).iam;
    let (user, held) = asked.held(iam, call)?;
    let held = held.certificates.iter().map(|(id, held)| (id.clone(), (id, held)));
    Ok(asked.paging().part(held)?.structures("Certificates", |(id, held)| certificate(&user, id, held)))
}

pub(super) fn update_certificate(world: &mut World, call: &Call) -> Reply {
    let asked: Asked = read(call)?;
    let (id, status) = (asked.id()?, asked.status()?);
    let (_, held) = of_user(world, call, &asked)?;
    held.certificates.get_mut(id).ok_or_else(|| unknown("Certificate", id))?.status = status;
    DONE
}

pub(super) fn delete_certificate(world: &mut World, call: &Call) -> Reply {
    let asked: Asked = read(call)?;
    let id = asked.id()?;
    let (_, held) = of_user(world, call, &asked)?;
    held.certificates.remove(id).ok_or_else(|| unknown("Certificate", id))?;
    DONE
}

fn ssh_key(user: &str, id: &str, held: &PublicKey) -> Vec<Xml> {
    vec![
        Xml::text("UserName", user),
        Xml::text("SSHPublicKeyId", id),
        Xml::text("Status", held.status.as_str()),
        Xml::text("UploadDate", date(held.uploaded)),
    ]
}

pub(super) fn upload_ssh_key(world: &mut World, call: &Call) -> Reply {
    let asked: Asked = read(call)?;
    let body = asked.body()?;
    if !body.starts_with("ssh-rsa ") && !body.contains("BEGIN PUBLIC KEY") {
        return Err(Refusal::new(400, "InvalidPublicKey", "The public key is neither an ssh-rsa nor a PEM key."));
    }
    let id = world.unique_id("APKA");
    let (user, held) = of_user(world, call, &asked)?;
    if held.ssh_keys.len() >= SSH_KEYS {
        return Err(limit_exceeded(format!("Cannot exceed quota for SSHPublicKeysPerUser: {SSH_KEYS}")));
    }
    let made = PublicKey { body, status: KeyStatus::Active, uploaded: call.now };
    let mut xml = ssh_key(&user, &id, &made);
    xml.push(Xml::text("SSHPublicKeyBody", &made.body));
    held.ssh_keys.insert(id, made);
    Ok(Body::Xml(vec![Xml::node("SSHPublicKey", xml)]))
}

pub(super) fn list_ssh_keys(world: &World, call: &Call) -> Reply {
    let asked: Asked = read(call)?;
    let iam = &world.account(&call.account).iam;
    let user = asked.user(iam, call)?;
    let held = iam.user(&user)?.credentials.ssh_keys.iter().map(|(id, held)| (id.clone(), (id, held)));
    Ok(asked.paging().part(held)?.structures("SSHPublicKeys", |(id, held)| ssh_key(&user, id, held)))
}

pub(super) fn update_ssh_key(world: &mut World, call: &Call) -> Reply {
    let asked: Asked = read(call)?;
    let (id, status) = (asked.id()?, asked.status()?);
    let (_, held) = of_user(world, call, &asked)?;
    held.ssh_keys.get_mut(id).ok_or_else(|| unknown("Public Key", id))?.status = status;
    DONE
}

fn of_service(user: &str, id: &str, held: &ServiceCredential) -> Vec<Xml> {
    let mut xml = vec![
        Xml::text("UserName", user),
        Xml::text("Status", held.status.as_str()),
        Xml::text("CreateDate", date(held.created)),
        Xml::text("ServiceSpecificCredentialId", id),
        Xml::text("ServiceName", &held.service),
    ];
    // Bedrock has an alias and a secret where the others have a user name and a password.
    let name = if held.service.starts_with("bedrock") { "ServiceCredentialAlias" } else { "ServiceUserName" };
    xml.push(Xml::text(name, &held.name));
    xml.extend(held.expires.map(|at| Xml::text("ExpirationDate", date(at))));
    xml
}

pub(super) fn create_service_credential(world: &mut World, call: &Call) -> Reply {
    let asked: Asked = read(call)?;
    let service = asked.service_name.clone().ok_or_else(|| missing("ServiceName"))?;
    if !["bedrock.amazonaws.com", "cassandra.amazonaws.com", "codecommit.amazonaws.com"].contains(&service.as_str()) {
        let message = format!("The service {service} has no service specific credentials.");
        return Err(Refusal::new(404, "NotSupportedService", message));
    }
    let (id, Secret(secret)) = (world.unique_id("ACCA"), Secret(world.secret()));
    let (user, held) = of_user(world, call, &asked)?;
    if held.service.values().filter(|held| held.service == service).count() >= OF_ONE_SERVICE {
        let message = format!("Cannot exceed quota for ServiceSpecificCredentialsPerUser: {OF_ONE_SERVICE}");
        return Err(limit_exceeded(message));
    }
    let expires = asked.credential_age_days.map(|days| call.now + SignedDuration::from_hours(24 * i64::from(days)));
    let name = format!("{user}-at-{}", call.account);
    let made = ServiceCredential { service, name, status: KeyStatus::Active, created: call.now, expires };
    let mut xml = of_service(&user, &id, &made);
    let bedrock = made.service.starts_with("bedrock");
    xml.push(Xml::text(if bedrock { "ServiceCredentialSecret" } else { "ServicePassword" }, secret));
    held.service.insert(id, made);
    Ok(Body::Xml(vec![Xml::node("ServiceSpecificCredential", xml)]))
}

pub(super) fn list_service_credentials(world: &World, call: &Call) -> Reply {
    let asked: Asked = read(call)?;
    let iam = &world.account(&call.account).iam;
    let users: Vec<&str> = if asked.all_users {
        iam.users.keys().map(String::as_str).collect()
    } else {
        vec![iam.user(&asked.user(iam, call)?)?.name.as_str()]
    };
    let wanted = |held: &ServiceCredential| asked.service_name.as_ref().is_none_or(|service| *service == held.service);
    let mut found = Vec::new();
    for user in users {
        let held = iam.user(user)?.credentials.service.iter().filter(|(_, held)| wanted(held));
        found.extend(held.map(|(id, held)| (format!("{user}/{id}"), (user, id, held))));
    }
    let part = asked.paging().part(found)?;
    Ok(part.structures("ServiceSpecificCredentials", |(user, id, held)| of_service(user, id, held)))
}

pub(super) fn update_service_credential(world: &mut World, call: &Call) -> Reply {
    let asked: Asked = read(call)?;
    let (id, status) = (asked.id()?, asked.status()?);
    let (_, held) = of_user(world, call, &asked)?;
    held.service.get_mut(id).ok_or_else(|| unknown("service specific credential", id))?.status = status;
    DONE
}

/// The codes are not checked: the simulator has no devices that would make them.
pub(super) fn enable_mfa(world: &mut World, call: &Call) -> Reply {
    let asked: Asked = read(call)?;
    let is_code = |code: &Option<String>| {
        code.as_ref().is_some_and(|code| code.len() == 6 && code.bytes().all(|digit| digit.is_ascii_digit()))
    };
    if !is_code(&asked.authentication_code1) || !is_code(&asked.authentication_code2) {
        return Err(Refusal::new(403, "InvalidAuthenticationCode", "Authentication code for device is not valid."));
    }
    let id = asked.id()?.to_owned();
    let taken = world.account(&call.account).iam.users.values().any(|user| user.credentials.mfa.contains_key(&id));
    let (_, held) = of_user(world, call, &asked)?;
    if taken {
        return Err(already_exists(format!("MFA device with SerialNumber {id} is already in use.")));
    }
    if held.mfa.len() >= MFA_DEVICES {
        return Err(limit_exceeded(format!("Cannot exceed quota for MFADevicesPerUser: {MFA_DEVICES}")));
    }
    held.mfa.insert(id, call.now);
    DONE
}

pub(super) fn deactivate_mfa(world: &mut World, call: &Call) -> Reply {
    let asked: Asked = read(call)?;
    let id = asked.id()?;
    let (_, held) = of_user(world, call, &asked)?;
    let unknown = || no_such_entity(format!("MFA Device {id} is not enabled for the user."));
    held.mfa.remove(id).ok_or_else(unknown)?;
    DONE
}

pub(super) fn list_mfa(world: &World, call: &Call) -> Reply {
    let asked: Asked = read(call)?;
    let iam = &world.account(&call.account).iam;
    let (user, held) = asked.held(iam, call)?;
    let held = held.mfa.iter().map(|(serial, at)| (serial.clone(), (serial, at)));
    let device = |(serial, at): (&String, &Timestamp)| {
        vec![Xml::text("UserName", &user), Xml::text("SerialNumber", serial), Xml::text("EnableDate", date(*at))]
    };
    Ok(asked.paging().part(held)?.structures("MFADevices", device))
}
