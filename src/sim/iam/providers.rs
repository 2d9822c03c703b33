//! Identity providers: SAML and OpenID Connect. Nobody can come in by one here: there is nobody who would sign its tokens.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::users::{Tag, tag_list};
use super::{DONE, already_exists, check_name, date, limit_exceeded, no_such_entity, read};
use crate::model::AccountId;
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;
use crate::sim::world::World;

/// How many providers of one kind an account may have (IAM User Guide, "IAM and AWS STS quotas").
const MOST: usize = 100;
/// How many thumbprints, and client ids, a provider may have.
const THUMBPRINTS: usize = 5;
const CLIENTS: usize = 100;
/// How long a SAML provider is valid.
const VALID: SignedDuration = SignedDuration::from_hours(24 * 365 * 100);

/// A provider, by what it speaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Speaks {
    /// SAML 2.0.
    Saml {
        /// The metadata document.
        metadata: String,
        /// The id that stands in encrypted assertions.
        uuid: String,
        /// `Required` or `Allowed`, where assertions may be encrypted.
        encryption: Option<String>,
        /// Ids of the private keys that open encrypted assertions. The keys themselves are given out to nobody.
        private_keys: BTreeMap<String, Timestamp>,
    },
    /// OpenID Connect.
    Oidc {
        /// Its address, without `https://`.
        url: String,
        /// The audiences.
        clients: Vec<String>,
        /// Digests of the certificates of its server.
        thumbprints: Vec<String>,
    },
}

/// An identity provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IdentityProvider {
    /// When it was made.
    pub created: Timestamp,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// What it speaks.
    pub speaks: Speaks,
}

/// The ARN that a provider of an account has or would have.
pub(super) fn saml_arn(world: &World, account: &AccountId, name: &str) -> String {
    format!("arn:{}:iam::{account}:saml-provider/{name}", world.partition)
}

pub(super) fn oidc_arn(world: &World, account: &AccountId, url: &str) -> String {
    format!("arn:{}:iam::{account}:oidc-provider/{}", world.partition, without_scheme(url))
}

fn without_scheme(url: &str) -> &str {
    url.strip_prefix("https://").unwrap_or(url)
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "InvalidInput", message.into())
}

fn tags(tags: Vec<Tag>) -> BTreeMap<String, String> {
    tags.into_iter().map(|tag| (tag.key, tag.value)).collect()
}

fn tagged(held: &IdentityProvider) -> Vec<Xml> {
    if held.tags.is_empty() { Vec::new() } else { vec![tag_list(&held.tags)] }
}

/// Adds a provider, unless there is one of that ARN or no room.
fn add(world: &mut World, call: &Call, arn: &str, made: IdentityProvider) -> Result<(), Refusal> {
    let providers = &mut world.account_mut(&call.account).iam.providers;
    if providers.contains_key(arn) {
        return Err(already_exists(format!("Provider {arn} already exists.")));
    }
    let kind = std::mem::discriminant(&made.speaks);
    if providers.values().filter(|held| std::mem::discriminant(&held.speaks) == kind).count() >= MOST {
        return Err(limit_exceeded(format!("Cannot exceed quota for identity providers per account: {MOST}")));
    }
    providers.insert(arn.to_owned(), made);
    Ok(())
}

fn found<'a>(world: &'a World, call: &Call, arn: &str) -> Result<&'a IdentityProvider, Refusal> {
    world.account(&call.account).iam.providers.get(arn).ok_or_else(|| missing(arn))
}

fn missing(arn: &str) -> Refusal {
    no_such_entity(format!("Manifest not found for arn {arn}"))
}

/// All providers of an account that a function reads, in the order of their ARNs.
fn listed<'a, T>(
    world: &'a World,
    call: &Call,
    read: impl Fn(&'a String, &'a IdentityProvider) -> Option<T> + 'a,
) -> Vec<T> {
    world.account(&call.account).iam.providers.iter().filter_map(|(arn, held)| read(arn, held)).collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreateSaml {
    #[serde(rename = "SAMLMetadataDocument")]
    metadata: String,
    name: String,
    #[serde(default)]
    tags: Vec<Tag>,
    assertion_encryption_mode: Option<String>,
    add_private_key: Option<String>,
}

pub(super) fn create_saml(world: &mut World, call: &Call) -> Reply {
    let asked: CreateSaml = read(call)?;
    check_name(&asked.name, 128)?;
    if !(1_000..=10_000_000).contains(&asked.metadata.len()) {
        let message = "Value at 'sAMLMetadataDocument' failed to satisfy constraint: Member must have length from 1000 to \
                       10000000";
        return Err(Refusal::new(400, "ValidationError", message));
    }
    if !asked.metadata.contains("EntityDescriptor") {
        return Err(invalid("Could not parse metadata"));
    }
    let uuid = world.unique_id("PUID").to_lowercase();
    let private_keys = match asked.add_private_key {
        Some(_) => BTreeMap::from([(world.unique_id("PKID"), call.now)]),
        None => BTreeMap::new(),
    };
    let encryption = asked.assertion_encryption_mode;
    if encryption.as_deref() == Some("Required") && private_keys.is_empty() {
        return Err(invalid("A private key is needed to decrypt assertions"));
    }
    let arn = saml_arn(world, &call.account, &asked.name);
    let speaks = Speaks::Saml { metadata: asked.metadata, uuid, encryption, private_keys };
    let made = IdentityProvider { created: call.now, tags: tags(asked.tags), speaks };
    let mut xml = vec![Xml::text("SAMLProviderArn", &arn)];
    xml.extend(tagged(&made));
    add(world, call, &arn, made)?;
    Ok(Body::Xml(xml))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OneSaml {
    #[serde(rename = "SAMLProviderArn")]
    arn: String,
}

pub(super) fn get_saml(world: &World, call: &Call) -> Reply {
    let OneSaml { arn } = read(call)?;
    let held = found(world, call, &arn)?;
    let Speaks::Saml { metadata, uuid, encryption, private_keys } = &held.speaks else { return Err(missing(&arn)) };
    let mut xml = vec![
        Xml::text("SAMLProviderUUID", uuid),
        Xml::text("SAMLMetadataDocument", metadata),
        Xml::text("CreateDate", date(held.created)),
        Xml::text("ValidUntil", date(held.created + VALID)),
    ];
    xml.extend(tagged(held));
    xml.extend(encryption.as_ref().map(|mode| Xml::text("AssertionEncryptionMode", mode)));
    if !private_keys.is_empty() {
        let key = |(id, at): (&String, &Timestamp)| vec![Xml::text("KeyId", id), Xml::text("Timestamp", date(*at))];
        xml.push(Xml::list("PrivateKeyList", "member", private_keys.iter().map(key)));
    }
    Ok(Body::Xml(xml))
}

/// In one piece: AWS does not page it.
#[expect(clippy::unnecessary_wraps, reason = "the form of all handlers")]
pub(super) fn list_saml(world: &World, call: &Call) -> Reply {
    let providers = listed(world, call, |arn, held| {
        matches!(held.speaks, Speaks::Saml { .. }).then(|| {
            vec![
                Xml::text("Arn", arn),
                Xml::text("ValidUntil", date(held.created + VALID)),
                Xml::text("CreateDate", date(held.created)),
            ]
        })
    });
    Ok(Body::Xml(vec![Xml::list("SAMLProviderList", "member", providers)]))
}

pub(super) fn delete_saml(world: &mut World, call: &Call) -> Reply {
    let OneSaml { arn } = read(call)?;
    let providers = &mut world.account_mut(&call.account).iam.providers;
    providers.remove(&arn).ok_or_else(|| missing(&arn))?;
    DONE
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreateOidc {
    url: String,
    #[serde(rename = "ClientIDList", default)]
    clients: Vec<String>,
    #[serde(default)]
    thumbprint_list: Vec<String>,
    #[serde(default)]
    tags: Vec<Tag>,
}

pub(super) fn create_oidc(world: &mut World, call: &Call) -> Reply {
    let asked: CreateOidc = read(call)?;
    if !asked.url.starts_with("https://") || without_scheme(&asked.url).is_empty() {
        return Err(Refusal::new(400, "ValidationError", "Invalid Open ID Connect Provider URL"));
    }
    if let Some(wrong) = asked.thumbprint_list.iter().find(|print| print.len() != 40) {
        let message =
            format!("Value '{wrong}' at 'thumbprintList' failed to satisfy constraint: Member must have length 40");
        return Err(Refusal::new(400, "ValidationError", message));
    }
    if asked.thumbprint_list.len() > THUMBPRINTS {
        return Err(invalid(format!("Thumbprint list must contain fewer than {THUMBPRINTS} entries.")));
    }
    if asked.clients.len() > CLIENTS {
        return Err(limit_exceeded(format!("Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: {CLIENTS}")));
    }
    let arn = oidc_arn(world, &call.account, &asked.url);
    let url = without_scheme(&asked.url).to_owned();
    let speaks = Speaks::Oidc { url, clients: asked.clients, thumbprints: asked.thumbprint_list };
    let made = IdentityProvider { created: call.now, tags: tags(asked.tags), speaks };
    let mut xml = vec![Xml::text("OpenIDConnectProviderArn", &arn)];
    xml.extend(tagged(&made));
    add(world, call, &arn, made)?;
    Ok(Body::Xml(xml))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OneOidc {
    #[serde(rename = "OpenIDConnectProviderArn")]
    arn: String,
}

pub(super) fn get_oidc(world: &World, call: &Call) -> Reply {
    let OneOidc { arn } = read(call)?;
    let held = found(world, call, &arn)?;
    let Speaks::Oidc { url, clients, thumbprints } = &held.speaks else { return Err(missing(&arn)) };
    let texts = |all: &[String]| all.iter().map(|text| Xml::text("member", text)).collect();
    let mut xml = vec![
        Xml::text("Url", url),
        Xml::node("ClientIDList", texts(clients)),
        Xml::node("ThumbprintList", texts(thumbprints)),
        Xml::text("CreateDate", date(held.created)),
    ];
    xml.extend(tagged(held));
    Ok(Body::Xml(xml))
}

/// In one piece: AWS does not page it.
#[expect(clippy::unnecessary_wraps, reason = "the form of all handlers")]
pub(super) fn list_oidc(world: &World, call: &Call) -> Reply {
    let providers = listed(world, call, |arn, held| {
        matches!(held.speaks, Speaks::Oidc { .. }).then(|| vec![Xml::text("Arn", arn)])
    });
    Ok(Body::Xml(vec![Xml::list("OpenIDConnectProviderList", "member", providers)]))
}

/// Deleting what is not there is no mistake.
pub(super) fn delete_oidc(world: &mut World, call: &Call) -> Reply {
    let OneOidc { arn } = read(call)?;
    world.account_mut(&call.account).iam.providers.remove(&arn);
    DONE
}
