//! Snapshot locks: LockSnapshot, UnlockSnapshot, DescribeLockedSnapshots.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Ec2;
use super::ids::SNAPSHOT;
use super::listing::describe;
use super::shape::{date, maybe, paged};
use super::snapshots::Snapshot;
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;

/// What keeps a snapshot from being deleted.
#[derive(Debug, Clone, Serialize)]
pub struct Lock {
    /// `governance` or `compliance`.
    pub mode: String,
    /// Days.
    pub duration: i32,
    /// Since when.
    pub created: Timestamp,
    /// When the days begin: for a pending snapshot with its completion.
    pub starts: Timestamp,
    /// Hours in which a compliance lock can still be taken away.
    pub cool_off: Option<i32>,
    /// Whether the snapshot is still pending.
    pub pending: bool,
    /// Whether its time is over.
    pub expired: bool,
    /// Whether the hours to think again go on.
    pub cooling_off: bool,
}

fn days(count: i32) -> SignedDuration {
    SignedDuration::from_hours(i64::from(count) * 24)
}

impl Lock {
    /// Lets time do its work.
    pub fn settle(&mut self, now: Timestamp, completed: Timestamp) {
        self.pending = now < completed;
        self.expired = now >= self.expires();
        self.cooling_off = self.cool_off_ends().is_some_and(|end| now < end);
    }

    /// Whether the snapshot cannot be deleted.
    pub fn holds(&self) -> bool {
        !self.expired
    }

    /// As on the wire.
    pub fn state(&self) -> &'static str {
        match self.mode.as_str() {
            _ if self.expired => "expired",
            "governance" if self.pending => "pending-governance",
            "governance" => "governance",
            _ if self.pending => "pending-compliance",
            _ if self.cooling_off => "compliance-cooloff",
            _ => "compliance",
        }
    }

    fn expires(&self) -> Timestamp {
        self.starts + days(self.duration)
    }

    fn cool_off_ends(&self) -> Option<Timestamp> {
        self.cool_off.map(|hours| self.created + SignedDuration::from_hours(i64::from(hours)))
    }

    fn xml(&self, snapshot: &Snapshot) -> Vec<Xml> {
        let mut xml = vec![
            Xml::text("snapshotId", &snapshot.id),
            Xml::text("lockState", self.state()),
            Xml::text("lockDuration", self.duration),
            Xml::text("lockCreatedOn", date(self.created)),
            Xml::text("lockDurationStartTime", date(self.starts)),
            Xml::text("lockExpiresOn", date(self.expires())),
        ];
        xml.extend(maybe("coolOffPeriod", self.cool_off));
        xml.extend(maybe("coolOffPeriodExpiresOn", self.cool_off_ends().map(date)));
        xml
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct LockSnapshot {
    snapshot_id: String,
    lock_mode: String,
    lock_duration: Option<i32>,
    expiration_date: Option<Timestamp>,
    cool_off_period: Option<i32>,
    _dry_run: Option<bool>,
}

fn refused(code: &str, message: impl Into<String>) -> Refusal {
    Refusal::new(400, code, message)
}

/// LockSnapshot. A compliance lock can only be made longer once its hours to think again are over.
pub fn lock(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: LockSnapshot = call.params.read()?;
    let snapshot = SNAPSHOT.get_mut(&mut ec2.snapshots, &params.snapshot_id)?;
    let starts = snapshot.completed.max(call.now);
    let duration = match (params.lock_duration, params.expiration_date) {
        (Some(days), None) => days,
        (None, Some(end)) => i32::try_from(end.duration_since(starts).as_hours() / 24).unwrap_or(i32::MAX),
        _ => {
            return Err(refused(
                "InvalidParameterCombination",
                "Exactly one of LockDuration and ExpirationDate must be given",
            ));
        }
    };
    if !(1..=36_500).contains(&duration) {
        return Err(refused("InvalidParameterValue", format!("A lock lasts 1 to 36500 days, not {duration}")));
    }
    match (params.lock_mode.as_str(), params.cool_off_period) {
        ("governance", None) | ("compliance", None | Some(1..=72)) => {}
        ("governance", Some(_)) => {
            return Err(refused("InvalidParameterCombination", "CoolOffPeriod is not allowed in governance mode"));
        }
        ("compliance", Some(hours)) => {
            return Err(refused(
                "InvalidParameterValue",
                format!("The cooling-off period is 1 to 72 hours, not {hours}"),
            ));
        }
        (other, _) => {
            return Err(refused(
                "InvalidParameterValue",
                format!("Value ({other}) for parameter LockMode is invalid."),
            ));
        }
    }
    if let Some(held) = snapshot.lock.as_ref().filter(|held| held.state() == "compliance")
        && (params.lock_mode != "compliance" || starts + days(duration) < held.expires())
    {
        return Err(refused("OperationNotPermitted", "A compliance lock can only be made longer"));
    }
    let mut lock = Lock {
        mode: params.lock_mode,
        duration,
        created: call.now,
        starts,
        cool_off: params.cool_off_period,
        pending: false,
        expired: false,
        cooling_off: false,
    };
    lock.settle(call.now, snapshot.completed);
    let body = Body::Xml(lock.xml(snapshot));
    snapshot.lock = Some(lock);
    Ok(body)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct UnlockSnapshot {
    snapshot_id: String,
    _dry_run: Option<bool>,
}

/// UnlockSnapshot: not for a compliance lock whose hours to think again are over.
pub fn unlock(ec2: &mut Ec2, call: &Call) -> Reply {
    let UnlockSnapshot { snapshot_id: id, .. } = call.params.read()?;
    let snapshot = SNAPSHOT.get_mut(&mut ec2.snapshots, &id)?;
    match snapshot.lock.as_ref().map(Lock::state) {
        None => Err(refused("IncorrectState", format!("The snapshot '{id}' is not locked"))),
        Some("compliance") => {
            Err(refused("OperationNotPermitted", format!("The snapshot '{id}' is locked in compliance mode")))
        }
        Some(_) => {
            snapshot.lock = None;
            Ok(Body::Xml(vec![Xml::text("snapshotId", id)]))
        }
    }
}

describe!(DescribeLockedSnapshots { ids: Vec<String> = "SnapshotId" });

/// DescribeLockedSnapshots.
pub fn describe(ec2: &Ec2, call: &Call) -> Reply {
    let params: DescribeLockedSnapshots = call.params.read()?;
    let locked = SNAPSHOT.select(&ec2.snapshots, &params.ids)?.into_iter().filter(|snapshot| snapshot.lock.is_some());
    let (page, next) = params.listing().of(ec2, locked)?;
    let items = page.into_iter().filter_map(|snapshot| {
        let mut xml = snapshot.lock.as_ref()?.xml(snapshot);
        xml.push(Xml::text("ownerId", &snapshot.owner));
        Some(xml)
    });
    Ok(Body::Xml(paged(vec![Xml::list("snapshotSet", "item", items)], next)))
}
