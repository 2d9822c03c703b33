//! Resources that bear one date, and mean one thing by it.

use super::{Seen, dated, text, time};
use crate::story::fact::{Act, By, Fact, Subject};

/// A date on a resource.
struct Dated {
    kind: &'static str,
    /// The member, as a JSON pointer.
    field: &'static str,
    act: Act,
    words: &'static str,
    note: Option<&'static str>,
}

const fn on(kind: &'static str, field: &'static str, act: Act, words: &'static str) -> Dated {
    Dated { kind, field, act, words, note: None }
}

const DATES: &[Dated] = &[
    on("autoscaling activity", "/StartTime", Act::Called, "Auto Scaling began an activity"),
    on("autoscaling group", "/CreatedTime", Act::LauncherMade, "Auto Scaling group made"),
    on("ec2 capacity reservation", "/createDate", Act::LauncherMade, "capacity reserved"),
    on("ec2 fleet", "/createTime", Act::LauncherMade, "fleet made"),
    on("ec2 image", "/creationDate", Act::ImageMade, "image made or copied here"),
    on("ec2 key pair", "/createTime", Act::KeyPairMade, "key pair made or imported"),
    on("ec2 launch template", "/createTime", Act::TemplateMade, "launch template made"),
    on("ec2 launch template version", "/createTime", Act::TemplateMade, "version of a launch template made"),
    on("ec2 snapshot", "/startTime", Act::SnapshotMade, "snapshot begun"),
    on("ec2 spot fleet", "/createTime", Act::LauncherMade, "Spot fleet asked for"),
    on("ec2 spot request", "/createTime", Act::LauncherMade, "Spot instance asked for"),
    on("ec2 volume", "/createTime", Act::VolumeMade, "volume made"),
    on("guardduty finding", "/service/eventFirstSeen", Act::Found, "GuardDuty first saw it"),
    on("organizations account", "/joinedTimestamp", Act::AccountJoined, "account joined the organisation"),
    on("organizations account", "/JoinedTimestamp", Act::AccountJoined, "account joined the organisation"),
    Dated {
        note: Some("the date can move when the bucket's policy is edited"),
        ..on("s3 bucket", "/CreationDate", Act::BucketMade, "bucket made")
    },
];

/// The facts of a resource.
pub(super) fn facts(seen: &Seen) -> Vec<Fact> {
    let record = &seen.record;
    let dates = DATES.iter().filter(|date| date.kind == record.kind);
    let mut facts: Vec<Fact> = dates.filter_map(|date| fact(seen, date)).collect();
    if record.kind == "ec2 network interface" {
        facts.extend(interface(seen));
    }
    facts
}

fn fact(seen: &Seen, date: &Dated) -> Option<Fact> {
    let (record, state) = (&seen.record, &seen.record.state);
    let at = time(state.pointer(date.field)?)?;
    let name = ["/name", "/keyName", "/launchTemplateName", "/AutoScalingGroupName", "/type", "/Description"];
    let name = name.iter().map(|name| text(state, name)).find(|name| !name.is_empty()).unwrap_or_default();
    let message = [date.words, name].join(" ").trim_end().to_owned();
    let subject = Subject::new(record.kind, record.id.clone());
    let mut fact = dated(seen, (date.act, date.field.trim_start_matches('/'), at), subject, message);
    // Only launch templates say who made them.
    let maker = text(state, "/createdBy");
    fact.by = maker.starts_with("arn:").then(|| By {
        principal: super::history::principal(maker),
        key: None,
        address: None,
        mfa: false,
    });
    fact.notes.extend(date.note);
    Some(fact)
}

/// The first interface of a machine says when it was launched, which is told there.
fn interface(seen: &Seen) -> Option<Fact> {
    let state = &seen.record.state;
    let at = time(state.pointer("/attachment/attachTime")?)?;
    let (machine, number) = (text(state, "/attachment/instanceId"), text(state, "/attachment/deviceIndex"));
    if !machine.is_empty() && number == "0" {
        return None;
    }
    let message = match text(state, "/requesterId") {
        "" => format!("network interface attached to {machine}"),
        requester => format!("network interface attached for {requester}"),
    };
    let subject = Subject::new(seen.record.kind, seen.record.id.clone());
    Some(dated(seen, (Act::InterfaceAttached, "attachment/attachTime", at), subject, message))
}
