//! EBS snapshots: made one by one or for a whole instance, described, shared, copied, deleted.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Ec2;
use super::ids::{INSTANCE, SNAPSHOT, VOLUME};
use super::listing::{Listed, Look, describe, many, one, some};
use super::locks::Lock;
use super::shape::{date, maybe, paged, tag_set};
use super::tags::{self, TagSpecification, Tags};
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;

/// The least time between two snapshots of one volume.
const BETWEEN_SNAPSHOTS: SignedDuration = SignedDuration::from_secs(15);

/// A snapshot.
#[derive(Debug, Clone, Serialize)]
pub struct Snapshot {
    /// `snap-…`.
    pub id: String,
    /// The volume, which need not exist any more. Copies have an arbitrary one.
    pub volume_id: String,
    /// GiB.
    pub volume_size: u32,
    /// Whoever made it.
    pub owner: String,
    /// In words.
    pub description: String,
    /// When it was begun; its content is that of this moment.
    pub started: Timestamp,
    /// When it is, or will be, complete.
    pub completed: Timestamp,
    /// `pending`, `completed`, `error`.
    pub state: String,
    /// Percent.
    pub progress: u8,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// With which key. None for the account's default key.
    pub kms_key_id: Option<String>,
    /// Accounts that may make volumes of it; `all` for everybody.
    pub shared_with: BTreeSet<String>,
    /// What keeps it from being deleted.
    pub lock: Option<Lock>,
    /// Tags.
    pub tags: Tags,
}

impl Snapshot {
    /// Lets time do its work.
    pub fn settle(&mut self, now: Timestamp) {
        if self.state == "error" {
            return;
        }
        if now >= self.completed {
            "completed".clone_into(&mut self.state);
            self.progress = 100;
        } else {
            let whole = self.completed.duration_since(self.started).as_millis().max(1);
            let done = now.duration_since(self.started).as_millis().clamp(0, whole);
            self.progress = u8::try_from(done * 99 / whole).unwrap_or(99);
        }
        if let Some(lock) = &mut self.lock {
            lock.settle(now, self.completed);
        }
    }

    fn is_pending(&self) -> bool {
        self.state == "pending"
    }
}

impl Listed for Snapshot {
    const FILTERS: &'static [(&'static str, Look<Self>)] = &[
        ("description", |_, s| one(&s.description)),
        ("encrypted", |_, s| one(s.encrypted)),
        ("owner-alias", |_, _| Vec::new()),
        ("owner-id", |_, s| one(&s.owner)),
        ("progress", |_, s| one(format!("{}%", s.progress))),
        ("snapshot-id", |_, s| one(&s.id)),
        ("start-time", |_, s| one(date(s.started))),
        ("status", |_, s| one(&s.state)),
        ("storage-tier", |_, _| one("standard")),
        ("volume-id", |_, s| one(&s.volume_id)),
        ("volume-size", |_, s| one(s.volume_size)),
        ("lock-state", |_, s| some(s.lock.as_ref().map(Lock::state).as_ref())),
    ];

    fn id(&self) -> &str {
        &self.id
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }
}

/// The children that CreateSnapshot and DescribeSnapshots share; CreateSnapshots calls the status `state`.
fn shown(s: &Snapshot, status: &'static str) -> Vec<Xml> {
    let mut xml = vec![
        Xml::text("snapshotId", &s.id),
        Xml::text("volumeId", &s.volume_id),
        Xml::text(status, &s.state),
        Xml::text("startTime", date(s.started)),
        Xml::text("progress", format!("{}%", s.progress)),
        Xml::text("ownerId", &s.owner),
        Xml::text("volumeSize", s.volume_size),
        Xml::text("description", &s.description),
        Xml::text("encrypted", s.encrypted),
        tag_set(&s.tags),
    ];
    xml.extend(maybe("kmsKeyId", s.kms_key_id.as_ref()));
    if status == "status" {
        xml.push(Xml::text("storageTier", "standard"));
        xml.extend((!s.is_pending()).then(|| Xml::text("completionTime", date(s.completed))));
    }
    xml
}

describe!(DescribeSnapshots {
    ids: Vec<String> = "SnapshotId",
    owners: Vec<String> = "Owner",
    restorable_by: Vec<String> = "RestorableBy",
});

/// DescribeSnapshots. A page is cut before the filters look at it: it can be empty and have a successor.
pub fn describe(ec2: &Ec2, call: &Call) -> Reply {
    let params: DescribeSnapshots = call.params.read()?;
    let listing = params.listing();
    listing.refuse_ids_with_pages(&params.ids, "snapshotSet")?;
    let own = |who: &String| who == "self" || *who == ec2.account;
    let snapshots = SNAPSHOT.select(&ec2.snapshots, &params.ids)?.into_iter().filter(|snapshot| {
        let owned = params.owners.is_empty() || params.owners.iter().any(|who| own(who) || *who == snapshot.owner);
        let restorable = params.restorable_by.is_empty()
            || params.restorable_by.iter().any(|who| own(who) || snapshot.shared_with.contains(who));
        owned && restorable
    });
    let (page, next) = listing.of_cut_first(ec2, snapshots)?;
    let items = page.into_iter().map(|snapshot| shown(snapshot, "status"));
    Ok(Body::Xml(paged(vec![Xml::list("snapshotSet", "item", items)], next)))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreateSnapshot {
    volume_id: String,
    #[serde(default)]
    description: String,
    #[serde(default, rename = "TagSpecification")]
    tag_specifications: Vec<TagSpecification>,
    _dry_run: Option<bool>,
}

/// CreateSnapshot.
pub fn create(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: CreateSnapshot = call.params.read()?;
    tags::only_for(&params.tag_specifications, &["snapshot"])?;
    let tags = tags::specified(&params.tag_specifications, "snapshot")?;
    ec2.check_snapshot(&params.volume_id, call.now)?;
    let id = ec2.take_snapshot(&params.volume_id, &params.description, tags, call.now)?;
    Ok(Body::Xml(shown(&ec2.snapshots[&id], "status")))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreateSnapshots {
    instance_specification: InstanceSpecification,
    #[serde(default)]
    description: String,
    copy_tags_from_source: Option<String>,
    #[serde(default, rename = "TagSpecification")]
    tag_specifications: Vec<TagSpecification>,
    _dry_run: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct InstanceSpecification {
    instance_id: String,
    #[serde(default)]
    exclude_boot_volume: bool,
    #[serde(default, rename = "ExcludeDataVolumeId")]
    exclude_data_volumes: Vec<String>,
}

/// CreateSnapshots: one per volume of an instance, all or none.
pub fn create_of_instance(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: CreateSnapshots = call.params.read()?;
    let wanted = &params.instance_specification;
    let instance = INSTANCE.get(&ec2.instances, &wanted.instance_id)?;
    tags::only_for(&params.tag_specifications, &["snapshot"])?;
    let copies_tags = match params.copy_tags_from_source.as_deref() {
        None => false,
        Some("volume") => true,
        Some(other) => {
            let message = format!("Value ({other}) for parameter CopyTagsFromSource is invalid. It must be volume.");
            return Err(Refusal::new(400, "InvalidParameterValue", message));
        }
    };
    if let Some(foreign) =
        wanted.exclude_data_volumes.iter().find(|id| !instance.block_devices.iter().any(|d| d.volume_id == **id))
    {
        return Err(VOLUME.not_found(&[foreign]));
    }
    let volumes: Vec<String> = instance
        .block_devices
        .iter()
        .filter(|device| !(wanted.exclude_boot_volume && device.device_name == instance.root_device_name))
        .map(|device| device.volume_id.clone())
        .filter(|id| !wanted.exclude_data_volumes.contains(id))
        .collect();
    if volumes.is_empty() {
        let message = format!("The instance {} has no volumes to take snapshots of", instance.id);
        return Err(Refusal::new(400, "InvalidParameterCombination", message));
    }
    volumes.iter().try_for_each(|volume| ec2.check_snapshot(volume, call.now))?;
    let mut made = Vec::new();
    for volume in volumes {
        let mut tags = if copies_tags { ec2.volumes[&volume].tags.clone() } else { Tags::new() };
        tags.extend(tags::specified(&params.tag_specifications, "snapshot")?);
        made.push(ec2.take_snapshot(&volume, &params.description, tags, call.now)?);
    }
    let items = made.iter().map(|id| shown(&ec2.snapshots[id], "state"));
    Ok(Body::Xml(vec![Xml::list("snapshotSet", "item", items)]))
}

impl Ec2 {
    /// AWS's limits on the snapshots of one volume: so many pending at a time, and 15 s in between. One that was deleted
    /// while it was pending counts until it would have been complete.
    fn check_snapshot(&self, volume: &str, now: Timestamp) -> Result<(), Refusal> {
        let volume = VOLUME.get(&self.volumes, volume)?;
        let of_volume = || {
            let kept = self.snapshots.values().filter(|s| s.volume_id == volume.id).map(|s| (s.started, s.completed));
            kept.chain(
                self.deleted_snapshots.iter().filter(|(id, ..)| *id == volume.id).map(|(_, from, to)| (*from, *to)),
            )
        };
        let most = volume.concurrent_snapshots();
        if of_volume().filter(|(_, completed)| *completed > now).count() >= most {
            let message = format!("You have exceeded the limit of {most} concurrent snapshots of {}.", volume.id);
            return Err(Refusal::new(400, "ConcurrentSnapshotLimitExceeded", message));
        }
        if of_volume().any(|(started, _)| now.duration_since(started) < BETWEEN_SNAPSHOTS) {
            let message = format!(
                "The maximum per volume CreateSnapshot request rate has been exceeded for {}. Use an increasing or variable sleep interval between requests.",
                volume.id
            );
            return Err(Refusal::new(400, "SnapshotCreationPerVolumeRateExceeded", message));
        }
        Ok(())
    }

    /// Takes a snapshot without looking at any limit, and returns its id. For scenarios, `started` may lie in the past.
    pub fn take_snapshot(
        &mut self,
        volume: &str,
        description: &str,
        tags: Tags,
        started: Timestamp,
    ) -> Result<String, Refusal> {
        let id = self.ids.next(SNAPSHOT.prefix);
        let volume = VOLUME.get(&self.volumes, volume)?;
        let snapshot = Snapshot {
            id: id.clone(),
            volume_id: volume.id.clone(),
            volume_size: volume.size,
            owner: self.account.clone(),
            description: description.to_owned(),
            started,
            completed: started + self.settings.snapshot_per_gib * i32::try_from(volume.size).unwrap_or(i32::MAX),
            state: "pending".to_owned(),
            progress: 0,
            encrypted: volume.encrypted,
            kms_key_id: volume.kms_key_id.clone(),
            shared_with: BTreeSet::new(),
            lock: None,
            tags,
        };
        self.snapshots.insert(id.clone(), snapshot);
        Ok(id)
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DeleteSnapshot {
    snapshot_id: String,
    _dry_run: Option<bool>,
}

/// DeleteSnapshot: neither a locked one nor one that an image needs.
pub fn delete(ec2: &mut Ec2, call: &Call) -> Reply {
    let DeleteSnapshot { snapshot_id: id, .. } = call.params.read()?;
    let snapshot = SNAPSHOT.get(&ec2.snapshots, &id)?;
    if snapshot.lock.as_ref().is_some_and(Lock::holds) {
        return Err(Refusal::new(
            400,
            "SnapshotLocked",
            format!("The snapshot '{id}' is locked and cannot be deleted."),
        ));
    }
    let uses = |device: &super::run::BlockDeviceMapping| {
        device.ebs.as_ref().is_some_and(|e| e.snapshot_id.as_ref() == Some(&id))
    };
    if let Some(image) = ec2.images.values().find(|image| image.block_devices.iter().any(uses)) {
        let message = format!("The snapshot {id} is currently in use by {}", image.id);
        return Err(Refusal::new(400, "InvalidSnapshot.InUse", message));
    }
    ec2.deleted_snapshots.push((snapshot.volume_id.clone(), snapshot.started, snapshot.completed));
    ec2.snapshots.remove(&id);
    Ok(Body::ec2_true())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase", deny_unknown_fields)]
struct Permissions {
    add: Vec<Sharer>,
    remove: Vec<Sharer>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Sharer {
    user_id: Option<String>,
    group: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ModifySnapshotAttribute {
    snapshot_id: String,
    attribute: Option<String>,
    #[serde(default)]
    create_volume_permission: Permissions,
    operation_type: Option<String>,
    #[serde(default, rename = "UserId")]
    users: Vec<String>,
    #[serde(default, rename = "UserGroup")]
    groups: Vec<String>,
    _dry_run: Option<bool>,
}

/// ModifySnapshotAttribute: shares a snapshot, or ends it.
pub fn modify_attribute(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: ModifySnapshotAttribute = call.params.read()?;
    if let Some(other) = params.attribute.as_ref().filter(|attribute| *attribute != "createVolumePermission") {
        return Err(Refusal::new(
            400,
            "InvalidParameterValue",
            format!("Value ({other}) for parameter attribute is invalid."),
        ));
    }
    let names = |sharers: Vec<Sharer>| sharers.into_iter().filter_map(|s| s.user_id.or(s.group)).collect::<Vec<_>>();
    let (mut add, mut remove) =
        (names(params.create_volume_permission.add), names(params.create_volume_permission.remove));
    let named = params.users.into_iter().chain(params.groups);
    match params.operation_type.as_deref() {
        Some("add") => add.extend(named),
        Some("remove") => remove.extend(named),
        _ => {}
    }
    let combination = |message: &str| Err(Refusal::new(400, "InvalidParameterCombination", message));
    match (add.is_empty(), remove.is_empty()) {
        (true, true) => return combination("No permission to add or to remove was given"),
        (false, false) => return combination("Permissions are added and removed in separate calls"),
        _ if add.len() + remove.len() > 500 => return combination("At most 500 permissions are changed in one call"),
        _ => {}
    }
    if add.iter().any(|who| who == "all") {
        ec2.region_settings.may_share_snapshots()?;
    }
    let snapshot = SNAPSHOT.get_mut(&mut ec2.snapshots, &params.snapshot_id)?;
    if !add.is_empty() && snapshot.encrypted && snapshot.kms_key_id.is_none() {
        let message = "Encrypted snapshots with EBS default key cannot be shared";
        return Err(Refusal::new(400, "InvalidParameter", message));
    }
    snapshot.shared_with.extend(add);
    snapshot.shared_with.retain(|who| !remove.contains(who));
    Ok(Body::ec2_true())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DescribeSnapshotAttribute {
    snapshot_id: String,
    attribute: String,
    _dry_run: Option<bool>,
}

/// DescribeSnapshotAttribute.
pub fn describe_attribute(ec2: &Ec2, call: &Call) -> Reply {
    let params: DescribeSnapshotAttribute = call.params.read()?;
    let snapshot = SNAPSHOT.get(&ec2.snapshots, &params.snapshot_id)?;
    let id = Xml::text("snapshotId", &snapshot.id);
    match params.attribute.as_str() {
        "productCodes" => Ok(Body::Xml(vec![id, Xml::node("productCodes", Vec::new())])),
        "createVolumePermission" => {
            let sharers = snapshot
                .shared_with
                .iter()
                .map(|who| vec![if who == "all" { Xml::text("group", who) } else { Xml::text("userId", who) }]);
            Ok(Body::Xml(vec![id, Xml::list("createVolumePermission", "item", sharers)]))
        }
        other => {
            let message = format!("Value ({other}) for parameter attribute is invalid.");
            Err(Refusal::new(400, "InvalidParameterValue", message))
        }
    }
}

/// CopySnapshot's parameters.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct CopySnapshot {
    /// From where.
    pub source_region: String,
    source_snapshot_id: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    encrypted: bool,
    kms_key_id: Option<String>,
    _destination_region: Option<String>,
    _presigned_url: Option<String>,
    #[serde(default, rename = "TagSpecification")]
    tag_specifications: Vec<TagSpecification>,
    _dry_run: Option<bool>,
}

/// The snapshot that is to be copied: the caller's own, or one that another account shares with it or with all.
pub fn source<'w>(caller: &str, regions: &[&'w Ec2], params: &CopySnapshot) -> Result<&'w Snapshot, Refusal> {
    let id = &params.source_snapshot_id;
    SNAPSHOT.check(id)?;
    let mut found = regions.iter().filter_map(|ec2| ec2.snapshots.get(id));
    let may_copy = |shared: &String| shared == caller || shared == "all";
    found
        .find(|snapshot| snapshot.owner == caller || snapshot.shared_with.iter().any(may_copy))
        .ok_or_else(|| SNAPSHOT.not_found(&[id]))
}

/// CopySnapshot: the copy may be encrypted with a key of its own; its volume id means nothing.
pub fn copy(ec2: &mut Ec2, original: Snapshot, params: CopySnapshot, now: Timestamp) -> Reply {
    if original.state != "completed" {
        let message = format!("The snapshot {} is not in a valid state to be copied: {}", original.id, original.state);
        return Err(Refusal::new(400, "IncorrectState", message));
    }
    let tags = tags::specified(&params.tag_specifications, "snapshot")?;
    let copy = Snapshot {
        id: ec2.ids.next(SNAPSHOT.prefix),
        volume_id: "vol-ffffffff".to_owned(),
        owner: ec2.account.clone(),
        description: params.description,
        started: now,
        completed: now + ec2.settings.snapshot_per_gib * i32::try_from(original.volume_size).unwrap_or(i32::MAX),
        state: "pending".to_owned(),
        progress: 0,
        encrypted: params.encrypted || original.encrypted,
        kms_key_id: params.kms_key_id.or(original.kms_key_id),
        shared_with: BTreeSet::new(),
        lock: None,
        tags,
        volume_size: original.volume_size,
    };
    let body = Body::Xml(vec![Xml::text("snapshotId", &copy.id), tag_set(&copy.tags)]);
    ec2.snapshots.insert(copy.id.clone(), copy);
    Ok(body)
}

/// The volumes that an instance's snapshots are taken of, for permissions.
pub fn volumes_of(ec2: &Ec2, instance: &str) -> Vec<String> {
    ec2.instances.get(instance).map(|i| many(i.block_devices.iter().map(|d| &d.volume_id))).unwrap_or_default()
}
