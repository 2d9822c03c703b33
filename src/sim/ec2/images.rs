//! Machine images.

use std::ops::RangeInclusive;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Ec2;
use super::ids::IMAGE;
use super::listing::{Listed, Look, describe, many, one, some};
use super::run::BlockDeviceMapping;
use super::shape::{date, maybe, paged, tag_set};
use super::tags::{self, TagSpecification, Tags};
use super::volumes::EbsBlock;
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;

/// A machine image.
#[derive(Debug, Clone, Serialize)]
pub struct Image {
    /// `ami-…`; [`Ec2::register_image`] makes one when it is empty.
    pub id: String,
    /// Its name.
    pub name: String,
    /// In words.
    pub description: String,
    /// An account; the region's own when empty.
    pub owner: String,
    /// `amazon`, for Amazon's.
    pub owner_alias: Option<String>,
    /// `pending`, `available`.
    pub state: String,
    /// Since when.
    pub created: Timestamp,
    /// When a copy will be available.
    pub ready: Timestamp,
    /// `x86_64`.
    pub architecture: String,
    /// `windows`, or nothing.
    pub platform: Option<String>,
    /// `Windows`, `Linux/UNIX`.
    pub platform_details: String,
    /// `RunInstances:0002`.
    pub usage_operation: String,
    /// `ebs` or `instance-store`.
    pub root_device_type: String,
    /// `/dev/sda1`.
    pub root_device_name: String,
    /// The devices, the root device first.
    #[serde(skip)]
    pub block_devices: Vec<BlockDeviceMapping>,
    /// Whether everybody may launch it.
    pub public: bool,
    /// Accounts that may launch it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shared_with: Vec<String>,
    /// What it was copied from.
    pub source_image_id: Option<String>,
    /// And where.
    pub source_image_region: Option<String>,
    /// Tags.
    pub tags: Tags,
}

impl Default for Image {
    fn default() -> Self {
        let root = EbsBlock { volume_size: Some(8), delete_on_termination: Some(true), ..EbsBlock::default() };
        let root = BlockDeviceMapping {
            device_name: "/dev/xvda".to_owned(),
            ebs: Some(root),
            ..BlockDeviceMapping::default()
        };
        Self {
            id: String::new(),
            name: String::new(),
            description: String::new(),
            owner: String::new(),
            owner_alias: None,
            state: "available".to_owned(),
            created: Timestamp::UNIX_EPOCH,
            ready: Timestamp::UNIX_EPOCH,
            architecture: "x86_64".to_owned(),
            platform: None,
            platform_details: "Linux/UNIX".to_owned(),
            usage_operation: "RunInstances".to_owned(),
            root_device_type: "ebs".to_owned(),
            root_device_name: root.device_name.clone(),
            block_devices: vec![root],
            public: false,
            shared_with: Vec::new(),
            source_image_id: None,
            source_image_region: None,
            tags: Tags::new(),
        }
    }
}

impl Image {
    /// An image of Windows with a root volume of so many GiB.
    pub fn windows(name: impl Into<String>, created: Timestamp, root_gib: u32) -> Self {
        let mut image = Self {
            name: name.into(),
            created,
            platform: Some("windows".to_owned()),
            platform_details: "Windows".to_owned(),
            usage_operation: "RunInstances:0002".to_owned(),
            ..Self::default()
        };
        image.root("/dev/sda1", root_gib);
        image
    }

    /// An image of Linux with a root volume of so many GiB.
    pub fn linux(name: impl Into<String>, created: Timestamp, root_gib: u32) -> Self {
        let mut image = Self { name: name.into(), created, ..Self::default() };
        image.root("/dev/xvda", root_gib);
        image
    }

    fn root(&mut self, device: &str, gib: u32) {
        device.clone_into(&mut self.root_device_name);
        for root in &mut self.block_devices {
            device.clone_into(&mut root.device_name);
            root.ebs.get_or_insert_default().volume_size = Some(gib);
        }
    }
}

impl Listed for Image {
    const PAGE: RangeInclusive<u32> = 1..=1000;
    const FILTERS: &'static [(&'static str, Look<Self>)] = &[
        ("architecture", |_, i| one(&i.architecture)),
        ("creation-date", |_, i| one(date(i.created))),
        ("description", |_, i| one(&i.description)),
        ("image-id", |_, i| one(&i.id)),
        ("image-type", |_, _| one("machine")),
        ("is-public", |_, i| one(i.public)),
        ("name", |_, i| one(&i.name)),
        ("owner-alias", |_, i| some(i.owner_alias.as_ref())),
        ("owner-id", |_, i| one(&i.owner)),
        ("platform", |_, i| some(i.platform.as_ref())),
        ("root-device-name", |_, i| one(&i.root_device_name)),
        ("root-device-type", |_, i| one(&i.root_device_type)),
        ("source-image-id", |_, i| some(i.source_image_id.as_ref())),
        ("source-image-region", |_, i| some(i.source_image_region.as_ref())),
        ("state", |_, i| one(&i.state)),
        ("virtualization-type", |_, _| one("hvm")),
        ("block-device-mapping.snapshot-id", |_, i| {
            many(i.block_devices.iter().filter_map(|d| d.ebs.as_ref()?.snapshot_id.as_ref()))
        }),
    ];

    fn id(&self) -> &str {
        &self.id
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }
}

describe!(DescribeImages {
    ids: Vec<String> = "ImageId",
    owners: Vec<String> = "Owner",
    executable_by: Vec<String> = "ExecutableBy",
    _include_deprecated: Option<bool> = "IncludeDeprecated",
    _include_disabled: Option<bool> = "IncludeDisabled",
});

/// DescribeImages.
pub fn describe(ec2: &Ec2, call: &Call) -> Reply {
    let params: DescribeImages = call.params.read()?;
    let mut images = IMAGE.select(&ec2.images, &params.ids)?;
    images.retain(|image| {
        let owned = |who: &String| match who.as_str() {
            "self" => image.owner == ec2.account,
            who => image.owner == who || image.owner_alias.as_deref() == Some(who),
        };
        let executable = |who: &String| match who.as_str() {
            "all" => image.public,
            _ => image.owner == ec2.account,
        };
        (params.owners.is_empty() || params.owners.iter().any(owned))
            && (params.executable_by.is_empty() || params.executable_by.iter().any(executable))
    });
    let (page, next) = params.listing().of(ec2, images)?;
    Ok(Body::Xml(paged(vec![Xml::list("imagesSet", "item", page.into_iter().map(shown))], next)))
}

fn shown(i: &Image) -> Vec<Xml> {
    let devices = i.block_devices.iter().map(|device| {
        let mut xml = vec![Xml::text("deviceName", &device.device_name)];
        xml.extend(maybe("virtualName", device.virtual_name.as_ref()));
        if let Some(ebs) = &device.ebs {
            xml.push(Xml::node("ebs", ebs_xml(ebs)));
        }
        xml
    });
    let mut xml = vec![
        Xml::text("imageId", &i.id),
        Xml::text("imageLocation", format!("{}/{}", i.owner_alias.as_ref().unwrap_or(&i.owner), i.name)),
        Xml::text("imageState", &i.state),
        Xml::text("imageOwnerId", &i.owner),
        Xml::text("creationDate", date(i.created)),
        Xml::text("isPublic", i.public),
        Xml::text("architecture", &i.architecture),
        Xml::text("imageType", "machine"),
        Xml::text("name", &i.name),
        Xml::text("description", &i.description),
        Xml::text("rootDeviceType", &i.root_device_type),
        Xml::text("rootDeviceName", &i.root_device_name),
        Xml::text("virtualizationType", "hvm"),
        Xml::text("hypervisor", "xen"),
        Xml::text("enaSupport", true),
        Xml::text("platformDetails", &i.platform_details),
        Xml::text("usageOperation", &i.usage_operation),
        Xml::list("blockDeviceMapping", "item", devices),
        tag_set(&i.tags),
    ];
    xml.extend(maybe("imageOwnerAlias", i.owner_alias.as_ref()));
    xml.extend(maybe("platform", i.platform.as_ref()));
    xml.extend(maybe("sourceImageId", i.source_image_id.as_ref()));
    xml.extend(maybe("sourceImageRegion", i.source_image_region.as_ref()));
    xml
}

fn ebs_xml(ebs: &EbsBlock) -> Vec<Xml> {
    let mut xml = vec![
        Xml::text("volumeType", ebs.volume_type.as_deref().unwrap_or("gp3")),
        Xml::text("encrypted", ebs.encrypted.unwrap_or_default()),
    ];
    xml.extend(maybe("volumeSize", ebs.volume_size));
    xml.extend(maybe("deleteOnTermination", ebs.delete_on_termination));
    xml.extend(maybe("snapshotId", ebs.snapshot_id.as_ref()));
    xml
}

/// CopyImage's parameters.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "AWS's own names")]
pub struct CopyImage {
    /// From where.
    pub source_region: String,
    source_image_id: String,
    name: String,
    #[serde(default)]
    description: String,
    client_token: Option<String>,
    #[serde(default)]
    copy_image_tags: bool,
    _encrypted: Option<bool>,
    _kms_key_id: Option<String>,
    #[serde(default, rename = "TagSpecification")]
    tag_specifications: Vec<TagSpecification>,
    _dry_run: Option<bool>,
}

/// The image that is to be copied: the caller's own, or a public one of another account.
pub fn source<'w>(caller: &str, regions: &[&'w Ec2], params: &CopyImage) -> Result<&'w Image, Refusal> {
    let id = &params.source_image_id;
    IMAGE.check(id)?;
    let mut found = regions.iter().filter_map(|ec2| ec2.images.get(id));
    found
        .find(|image| {
            image.owner == caller || image.public || image.shared_with.iter().any(|account| account == caller)
        })
        .ok_or_else(|| IMAGE.not_found(&[id]))
}

/// CopyImage: the same client token copies once.
pub fn copy(ec2: &mut Ec2, original: Image, params: CopyImage, call: &Call) -> Reply {
    let (token, now) = (params.client_token, call.now);
    if let Some(made) = ec2.made_before(token.as_deref(), call)? {
        return Ok(Body::Xml(vec![Xml::text("imageId", made.concat())]));
    }
    let mut tags = if params.copy_image_tags { original.tags.clone() } else { Tags::new() };
    tags.extend(tags::specified(&params.tag_specifications, "image")?);
    let copy = Image {
        id: String::new(),
        owner: String::new(),
        owner_alias: None,
        name: params.name,
        description: params.description,
        state: "pending".to_owned(),
        created: now,
        ready: now + ec2.settings.image,
        public: false,
        shared_with: Vec::new(),
        source_image_id: Some(original.id.clone()),
        source_image_region: Some(params.source_region),
        tags,
        ..original
    };
    let id = ec2.register_image(copy);
    ec2.remember_made(token.as_deref(), call, std::slice::from_ref(&id));
    Ok(Body::Xml(vec![Xml::text("imageId", id)]))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DeregisterImage {
    image_id: String,
    _delete_associated_snapshots: Option<bool>,
    _dry_run: Option<bool>,
}

/// DeregisterImage: one's own only.
pub fn deregister(ec2: &mut Ec2, call: &Call) -> Reply {
    let DeregisterImage { image_id: id, .. } = call.params.read()?;
    if IMAGE.get(&ec2.images, &id)?.owner != ec2.account {
        return Err(Refusal::new(403, "AuthFailure", format!("Not authorized for image:{id}")));
    }
    ec2.images.remove(&id);
    Ok(Body::ec2_true())
}

impl Ec2 {
    /// Adds an image and returns its id; what is empty in it (id, owner) is filled in.
    pub fn register_image(&mut self, mut image: Image) -> String {
        if image.id.is_empty() {
            image.id = self.ids.next(IMAGE.prefix);
        }
        if image.owner.is_empty() {
            image.owner.clone_from(&self.account);
        }
        let id = image.id.clone();
        self.images.insert(id.clone(), image);
        id
    }
}
