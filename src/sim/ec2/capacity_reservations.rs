//! Capacity reservations.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Ec2;
use super::ids::CAPACITY_RESERVATION;
use super::listing::{Listed, Look, describe, one};
use super::shape::{date, paged, tag_set};
use super::tags::{self, TagSpecification, Tags};
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;

/// A capacity reservation. Nothing launches into one: `instanceMatchCriteria` is `targeted`.
#[derive(Debug, Clone, Serialize)]
pub struct CapacityReservation {
    /// `cr-…`.
    pub id: String,
    /// `p5.48xlarge`.
    pub instance_type: String,
    /// `Linux/UNIX`.
    pub platform: String,
    /// `eu-west-3a`.
    pub availability_zone: String,
    /// For how many machines.
    pub count: u32,
    /// `active` or `cancelled`.
    pub state: String,
    /// Since when.
    pub created: Timestamp,
    /// Tags.
    pub tags: Tags,
}

impl Listed for CapacityReservation {
    const FILTERS: &'static [(&'static str, Look<Self>)] = &[
        ("availability-zone", |_, r| one(&r.availability_zone)),
        ("instance-type", |_, r| one(&r.instance_type)),
        ("owner-id", |ec2, _| one(&ec2.account)),
        ("state", |_, r| one(&r.state)),
    ];

    const PAGE: std::ops::RangeInclusive<u32> = 1..=1000;

    fn id(&self) -> &str {
        &self.id
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }
}

fn shown(ec2: &Ec2, r: &CapacityReservation) -> Vec<Xml> {
    vec![
        Xml::text("capacityReservationId", &r.id),
        Xml::text("capacityReservationArn", ec2.arn(CAPACITY_RESERVATION.name, &r.id)),
        Xml::text("ownerId", &ec2.account),
        Xml::text("instanceType", &r.instance_type),
        Xml::text("instancePlatform", &r.platform),
        Xml::text("availabilityZone", &r.availability_zone),
        Xml::text("tenancy", "default"),
        Xml::text("totalInstanceCount", r.count),
        Xml::text("availableInstanceCount", if r.state == "active" { r.count } else { 0 }),
        Xml::text("ebsOptimized", false),
        Xml::text("ephemeralStorage", false),
        Xml::text("state", &r.state),
        Xml::text("startDate", date(r.created)),
        Xml::text("endDateType", "unlimited"),
        Xml::text("instanceMatchCriteria", "targeted"),
        Xml::text("createDate", date(r.created)),
        tag_set(&r.tags),
    ]
}

describe!(DescribeCapacityReservations { ids: Vec<String> = "CapacityReservationId" });

/// DescribeCapacityReservations.
pub fn describe(ec2: &Ec2, call: &Call) -> Reply {
    let params: DescribeCapacityReservations = call.params.read()?;
    let reservations = CAPACITY_RESERVATION.select(&ec2.capacity_reservations, &params.ids)?;
    let (page, next) = params.listing().of(ec2, reservations)?;
    let items = page.into_iter().map(|reservation| shown(ec2, reservation));
    Ok(Body::Xml(paged(vec![Xml::list("capacityReservationSet", "item", items)], next)))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreateCapacityReservation {
    instance_type: String,
    instance_platform: String,
    availability_zone: String,
    instance_count: u32,
    instance_match_criteria: Option<String>,
    client_token: Option<String>,
    #[serde(default, rename = "TagSpecifications")]
    tag_specifications: Vec<TagSpecification>,
    _dry_run: Option<bool>,
}

/// CreateCapacityReservation. The same client token makes it once.
pub fn create(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: CreateCapacityReservation = call.params.read()?;
    if !ec2.zones().any(|zone| zone == params.availability_zone) {
        let message = format!("Value ({}) for parameter availabilityZone is invalid.", params.availability_zone);
        return Err(Refusal::new(400, "InvalidParameterValue", message));
    }
    if params.instance_match_criteria.as_deref() != Some("targeted") {
        let message = "The simulated AWS knows reservations with the match criteria 'targeted' only";
        return Err(Refusal::new(400, "InvalidParameterValue", message));
    }
    let token = params.client_token.as_deref();
    let made = ec2.made_before(token, call)?.map(<[String]>::concat);
    let id = match made {
        Some(made) => made,
        None => {
            let id = ec2.ids.next(CAPACITY_RESERVATION.prefix);
            let reservation = CapacityReservation {
                id: id.clone(),
                instance_type: params.instance_type,
                platform: params.instance_platform,
                availability_zone: params.availability_zone,
                count: params.instance_count,
                state: "active".to_owned(),
                created: call.now,
                tags: tags::specified(&params.tag_specifications, CAPACITY_RESERVATION.name)?,
            };
            ec2.capacity_reservations.insert(id.clone(), reservation);
            id
        }
    };
    ec2.remember_made(token, call, std::slice::from_ref(&id));
    let reservation = CAPACITY_RESERVATION.get(&ec2.capacity_reservations, &id)?;
    Ok(Body::Xml(vec![Xml::node("capacityReservation", shown(ec2, reservation))]))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CancelCapacityReservation {
    capacity_reservation_id: String,
    _dry_run: Option<bool>,
}

/// CancelCapacityReservation.
pub fn cancel(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: CancelCapacityReservation = call.params.read()?;
    let id = &params.capacity_reservation_id;
    "cancelled".clone_into(&mut CAPACITY_RESERVATION.get_mut(&mut ec2.capacity_reservations, id)?.state);
    Ok(Body::ec2_true())
}
