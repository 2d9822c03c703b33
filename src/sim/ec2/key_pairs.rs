//! Key pairs.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Ec2;
use super::ids::KEY_PAIR;
use super::listing::{Filter, Listed, Look, keep, one};
use super::shape::{date, tag_set};
use super::tags::{self, TagSpecification, Tags};
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;

/// A key pair; its private half is kept nowhere.
#[derive(Debug, Clone, Serialize)]
pub struct KeyPair {
    /// `key-…`.
    pub id: String,
    /// Unique in the region.
    pub name: String,
    /// `rsa` or `ed25519`.
    pub key_type: String,
    /// Of the public half.
    pub fingerprint: String,
    /// Since when.
    pub created: Timestamp,
    /// Tags.
    pub tags: Tags,
}

impl Listed for KeyPair {
    const FILTERS: &'static [(&'static str, Look<Self>)] = &[
        ("fingerprint", |_, k| one(&k.fingerprint)),
        ("key-name", |_, k| one(&k.name)),
        ("key-pair-id", |_, k| one(&k.id)),
    ];

    fn id(&self) -> &str {
        &self.id
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreateKeyPair {
    key_name: String,
    key_type: Option<String>,
    public_key_material: Option<String>,
    _key_format: Option<String>,
    #[serde(default, rename = "TagSpecification")]
    tag_specifications: Vec<TagSpecification>,
    _dry_run: Option<bool>,
}

fn add(ec2: &mut Ec2, params: &CreateKeyPair, now: Timestamp) -> Result<Vec<Xml>, Refusal> {
    if ec2.key_pairs.values().any(|pair| pair.name == params.key_name) {
        let message = format!("The keypair '{}' already exists.", params.key_name);
        return Err(Refusal::new(400, "InvalidKeyPair.Duplicate", message));
    }
    let tags = tags::specified(&params.tag_specifications, "key-pair")?;
    let id = ec2.add_key_pair(&params.key_name, params.key_type.as_deref().unwrap_or("rsa"), now);
    let pair = KEY_PAIR.get_mut(&mut ec2.key_pairs, &id)?;
    pair.tags = tags;
    Ok(vec![
        Xml::text("keyPairId", &pair.id),
        Xml::text("keyName", &pair.name),
        Xml::text("keyFingerprint", &pair.fingerprint),
        tag_set(&pair.tags),
    ])
}

/// CreateKeyPair: the private half in the answer is made up and opens nothing.
pub fn create(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: CreateKeyPair = call.params.read()?;
    let mut xml = add(ec2, &params, call.now)?;
    let material = "-----BEGIN SIMULATED PRIVATE KEY-----\nbm8gbG9jaw==\n-----END SIMULATED PRIVATE KEY-----";
    xml.push(Xml::text("keyMaterial", material));
    Ok(Body::Xml(xml))
}

/// ImportKeyPair.
pub fn import(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: CreateKeyPair = call.params.read()?;
    if params.public_key_material.is_none() {
        return Err(Refusal::new(400, "MissingParameter", "The request must contain the parameter PublicKeyMaterial"));
    }
    Ok(Body::Xml(add(ec2, &params, call.now)?))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DescribeKeyPairs {
    #[serde(default, rename = "KeyName")]
    names: Vec<String>,
    #[serde(default, rename = "KeyPairId")]
    ids: Vec<String>,
    #[serde(default, rename = "Filter")]
    filters: Vec<Filter>,
    _include_public_key: Option<bool>,
    _dry_run: Option<bool>,
}

/// DescribeKeyPairs.
pub fn describe(ec2: &Ec2, call: &Call) -> Reply {
    let params: DescribeKeyPairs = call.params.read()?;
    let mut pairs = KEY_PAIR.select(&ec2.key_pairs, &params.ids)?;
    if let Some(unknown) = params.names.iter().find(|name| !pairs.iter().any(|pair| pair.name == **name)) {
        return Err(Refusal::new(400, "InvalidKeyPair.NotFound", format!("The key pair '{unknown}' does not exist")));
    }
    pairs.retain(|pair| params.names.is_empty() || params.names.contains(&pair.name));
    let items = keep(ec2, pairs, &params.filters)?.into_iter().map(|pair| {
        vec![
            Xml::text("keyPairId", &pair.id),
            Xml::text("keyName", &pair.name),
            Xml::text("keyType", &pair.key_type),
            Xml::text("keyFingerprint", &pair.fingerprint),
            Xml::text("createTime", date(pair.created)),
            tag_set(&pair.tags),
        ]
    });
    Ok(Body::Xml(vec![Xml::list("keySet", "item", items)]))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DeleteKeyPair {
    key_name: Option<String>,
    key_pair_id: Option<String>,
    _dry_run: Option<bool>,
}

/// DeleteKeyPair: succeeds for a name that nobody has.
pub fn delete(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: DeleteKeyPair = call.params.read()?;
    if let Some(id) = &params.key_pair_id {
        KEY_PAIR.get(&ec2.key_pairs, id)?;
    }
    ec2.key_pairs
        .retain(|id, pair| params.key_pair_id.as_ref() != Some(id) && params.key_name.as_ref() != Some(&pair.name));
    Ok(Body::ec2_true())
}

impl Ec2 {
    /// Adds a key pair and returns its id.
    pub fn add_key_pair(&mut self, name: &str, key_type: &str, created: Timestamp) -> String {
        let id = self.ids.next(KEY_PAIR.prefix);
        let fingerprint = (0..20).map(|_| format!("{:02x}", self.ids.below(256))).collect::<Vec<_>>().join(":");
        let pair = KeyPair {
            id: id.clone(),
            name: name.to_owned(),
            key_type: key_type.to_owned(),
            fingerprint,
            created,
            tags: Tags::new(),
        };
        self.key_pairs.insert(id.clone(), pair);
        id
    }
}
