//! EBS volumes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Ec2;
use super::ids::{SNAPSHOT, VOLUME};
use super::listing::{Listed, Look, describe, one, some};
use super::shape::{date, maybe, paged, tag_set};
use super::tags::{self, TagSpecification, Tags};
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;

/// A volume to be made, as a parameter.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase", deny_unknown_fields)]
pub struct EbsBlock {
    /// GiB.
    pub volume_size: Option<u32>,
    /// `gp3` when none.
    pub volume_type: Option<String>,
    /// True for a root device when none, false for others.
    pub delete_on_termination: Option<bool>,
    /// The account's default when none.
    pub encrypted: Option<bool>,
    /// What it is filled from.
    pub snapshot_id: Option<String>,
    /// Operations per second.
    pub iops: Option<u32>,
    /// MiB per second.
    pub throughput: Option<u32>,
    /// The key it is encrypted with.
    pub kms_key_id: Option<String>,
}

impl EbsBlock {
    /// What is not given is taken from `other`.
    #[must_use]
    pub fn over(self, other: Self) -> Self {
        Self {
            volume_size: self.volume_size.or(other.volume_size),
            volume_type: self.volume_type.or(other.volume_type),
            delete_on_termination: self.delete_on_termination.or(other.delete_on_termination),
            encrypted: self.encrypted.or(other.encrypted),
            snapshot_id: self.snapshot_id.or(other.snapshot_id),
            iops: self.iops.or(other.iops),
            throughput: self.throughput.or(other.throughput),
            kms_key_id: self.kms_key_id.or(other.kms_key_id),
        }
    }
}

/// A volume.
#[derive(Debug, Clone, Serialize)]
pub struct Volume {
    /// `vol-…`.
    pub id: String,
    /// GiB.
    pub size: u32,
    /// `gp3`.
    pub volume_type: String,
    /// `eu-west-3a`.
    pub availability_zone: String,
    /// Since when.
    pub created: Timestamp,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// With which key.
    pub kms_key_id: Option<String>,
    /// What it was filled from.
    pub snapshot_id: Option<String>,
    /// Operations per second.
    pub iops: u32,
    /// MiB per second.
    pub throughput: Option<u32>,
    /// The instance that holds it.
    pub attached_to: Option<String>,
    /// Tags.
    pub tags: Tags,
}

impl Volume {
    /// A volume as `ebs` describes it.
    pub fn new(id: &str, ebs: &EbsBlock, encrypted: bool, zone: &str, now: Timestamp) -> Self {
        let volume_type = ebs.volume_type.clone().unwrap_or_else(|| "gp3".to_owned());
        Self {
            id: id.to_owned(),
            size: ebs.volume_size.unwrap_or(8),
            availability_zone: zone.to_owned(),
            created: now,
            encrypted,
            kms_key_id: ebs.kms_key_id.clone(),
            snapshot_id: ebs.snapshot_id.clone(),
            iops: ebs.iops.unwrap_or(3000),
            throughput: ebs.throughput.or((volume_type == "gp3").then_some(125)),
            volume_type,
            attached_to: None,
            tags: Tags::new(),
        }
    }

    fn status(&self) -> &'static str {
        if self.attached_to.is_some() { "in-use" } else { "available" }
    }

    /// How many snapshots of it may be pending at once.
    pub fn concurrent_snapshots(&self) -> usize {
        if ["st1", "sc1"].contains(&self.volume_type.as_str()) { 1 } else { 5 }
    }
}

impl Listed for Volume {
    const FILTERS: &'static [(&'static str, Look<Self>)] = &[
        ("attachment.attach-time", |ec2, v| some(ec2.device_of(v).map(|(_, d)| date(d.attached)).as_ref())),
        ("attachment.delete-on-termination", |ec2, v| {
            some(ec2.device_of(v).map(|(_, d)| d.delete_on_termination).as_ref())
        }),
        ("attachment.device", |ec2, v| some(ec2.device_of(v).map(|(_, d)| &d.device_name))),
        ("attachment.instance-id", |_, v| some(v.attached_to.as_ref())),
        ("attachment.status", |_, v| some(v.attached_to.as_ref().map(|_| "attached").as_ref())),
        ("availability-zone", |_, v| one(&v.availability_zone)),
        ("create-time", |_, v| one(date(v.created))),
        ("encrypted", |_, v| one(v.encrypted)),
        ("size", |_, v| one(v.size)),
        ("snapshot-id", |_, v| some(v.snapshot_id.as_ref())),
        ("status", |_, v| one(v.status())),
        ("volume-id", |_, v| one(&v.id)),
        ("volume-type", |_, v| one(&v.volume_type)),
    ];

    fn id(&self) -> &str {
        &self.id
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }
}

describe!(DescribeVolumes {
    ids: Vec<String> = "VolumeId",
    include_managed_resources: bool = "IncludeManagedResources",
});

/// DescribeVolumes.
pub fn describe(ec2: &Ec2, call: &Call) -> Reply {
    let params: DescribeVolumes = call.params.read()?;
    let listing = params.listing();
    listing.refuse_ids_with_pages(&params.ids, "volumeSet")?;
    let mut volumes = VOLUME.select(&ec2.volumes, &params.ids)?;
    volumes.retain(|volume| params.include_managed_resources || !ec2.hides(volume.attached_to.as_deref()));
    let (page, next) = listing.of(ec2, volumes)?;
    let items = page.into_iter().map(|volume| shown(ec2, volume));
    Ok(Body::Xml(paged(vec![Xml::list("volumeSet", "item", items)], next)))
}

fn shown(ec2: &Ec2, v: &Volume) -> Vec<Xml> {
    let attachment = ec2.device_of(v).map(|(instance, device)| {
        vec![
            Xml::text("volumeId", &v.id),
            Xml::text("instanceId", instance),
            Xml::text("device", &device.device_name),
            Xml::text("status", "attached"),
            Xml::text("attachTime", date(device.attached)),
            Xml::text("deleteOnTermination", device.delete_on_termination),
        ]
    });
    let mut xml = vec![
        Xml::text("volumeId", &v.id),
        Xml::text("size", v.size),
        Xml::text("snapshotId", v.snapshot_id.as_deref().unwrap_or_default()),
        Xml::text("availabilityZone", &v.availability_zone),
        Xml::text("status", v.status()),
        Xml::text("createTime", date(v.created)),
        Xml::list("attachmentSet", "item", attachment),
        Xml::text("volumeType", &v.volume_type),
        Xml::text("iops", v.iops),
        Xml::text("encrypted", v.encrypted),
        Xml::text("multiAttachEnabled", false),
        tag_set(&v.tags),
    ];
    xml.extend(maybe("throughput", v.throughput));
    xml.extend(maybe("kmsKeyId", v.kms_key_id.as_ref()));
    xml
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreateVolume {
    availability_zone: String,
    size: Option<u32>,
    snapshot_id: Option<String>,
    volume_type: Option<String>,
    encrypted: Option<bool>,
    kms_key_id: Option<String>,
    iops: Option<u32>,
    throughput: Option<u32>,
    client_token: Option<String>,
    #[serde(default, rename = "TagSpecification")]
    tag_specifications: Vec<TagSpecification>,
    _multi_attach_enabled: Option<bool>,
    _dry_run: Option<bool>,
}

/// CreateVolume.
pub fn create(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: CreateVolume = call.params.read()?;
    if let Some(made) = ec2.made_before(params.client_token.as_deref(), call)? {
        return Ok(Body::Xml(shown(ec2, VOLUME.get(&ec2.volumes, &made.concat())?)));
    }
    if !ec2.zones().any(|zone| zone == params.availability_zone) {
        let message = format!("The zone '{}' does not exist.", params.availability_zone);
        return Err(Refusal::new(400, "InvalidZone.NotFound", message));
    }
    let from = params.snapshot_id.as_ref().map(|id| SNAPSHOT.get(&ec2.snapshots, id)).transpose()?;
    let Some(size) = params.size.or(from.map(|snapshot| snapshot.volume_size)) else {
        return Err(Refusal::new(400, "MissingParameter", "The request must contain the parameter size/snapshot"));
    };
    let encrypted =
        params.encrypted.or(from.map(|snapshot| snapshot.encrypted)).unwrap_or(ec2.ebs_encryption_by_default);
    tags::only_for(&params.tag_specifications, &["volume"])?;
    let ebs = EbsBlock {
        volume_size: Some(size),
        volume_type: Some(params.volume_type.unwrap_or_else(|| "gp2".to_owned())),
        snapshot_id: params.snapshot_id,
        iops: params.iops,
        throughput: params.throughput,
        kms_key_id: params.kms_key_id,
        ..EbsBlock::default()
    };
    let id = ec2.ids.next(VOLUME.prefix);
    let mut volume = Volume::new(&id, &ebs, encrypted, &params.availability_zone, call.now);
    volume.tags = tags::specified(&params.tag_specifications, "volume")?;
    let body = Body::Xml(shown(ec2, &volume));
    ec2.volumes.insert(id.clone(), volume);
    ec2.remember_made(params.client_token.as_deref(), call, &[id]);
    Ok(body)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DeleteVolume {
    volume_id: String,
    _dry_run: Option<bool>,
}

/// DeleteVolume.
pub fn delete(ec2: &mut Ec2, call: &Call) -> Reply {
    let DeleteVolume { volume_id: id, .. } = call.params.read()?;
    if let Some(instance) = &VOLUME.get(&ec2.volumes, &id)?.attached_to {
        let message = format!("Volume {id} is currently attached to {instance}");
        return Err(Refusal::new(400, "VolumeInUse", message));
    }
    ec2.volumes.remove(&id);
    Ok(Body::ec2_true())
}
