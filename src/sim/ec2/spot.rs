//! Spot requests: open → active → disabled or cancelled, closed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Ec2;
use super::ids::SPOT;
use super::launch::LaunchSpec;
use super::listing::{Listed, Look, describe, one, some};
use super::run::RunInstances;
use super::shape::{date, maybe, paged, tag_set};
use super::tags::{self, TagSpecification, Tags};
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;

/// What becomes of a request when its instance ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpotType {
    /// It is closed.
    #[default]
    OneTime,
    /// It is opened again and launches another.
    Persistent,
}

impl SpotType {
    fn as_str(self) -> &'static str {
        match self {
            Self::OneTime => "one-time",
            Self::Persistent => "persistent",
        }
    }
}

/// A Spot request.
#[derive(Debug, Clone, Serialize)]
pub struct SpotRequest {
    /// `sir-…`.
    pub id: String,
    /// One-time or persistent.
    pub spot_type: SpotType,
    /// `open`, `active`, `disabled`, `closed`, `cancelled`.
    pub state: String,
    /// `fulfilled`, …
    pub status: String,
    /// When the status last changed.
    pub updated: Timestamp,
    /// Since when it exists.
    pub created: Timestamp,
    /// The most to be paid for an hour.
    pub price: Option<String>,
    /// `stop`, `hibernate`, `terminate`.
    pub interruption: String,
    /// What it launched.
    pub instance_id: Option<String>,
    /// And where.
    pub availability_zone: Option<String>,
    /// When an open request launches.
    pub launches: Option<Timestamp>,
    /// What it launches.
    #[serde(skip)]
    pub spec: LaunchSpec,
    /// Tags.
    pub tags: Tags,
}

impl SpotRequest {
    fn turn(&mut self, state: &str, status: &str, now: Timestamp) {
        state.clone_into(&mut self.state);
        status.clone_into(&mut self.status);
        self.updated = now;
    }

    pub(super) fn fulfil(&mut self, instance: &str, zone: &str, now: Timestamp) {
        self.instance_id = Some(instance.to_owned());
        self.availability_zone = Some(zone.to_owned());
        self.launches = None;
        self.turn("active", "fulfilled", now);
    }

    /// Its instance was stopped: it does not open again before a start.
    pub(super) fn disable(&mut self, now: Timestamp) {
        if self.state == "active" {
            self.turn("disabled", "instance-stopped-by-user", now);
        }
    }

    pub(super) fn enable(&mut self, now: Timestamp) {
        if self.state == "disabled" {
            self.turn("active", "fulfilled", now);
        }
    }
}

impl Listed for SpotRequest {
    const FILTERS: &'static [(&'static str, Look<Self>)] = &[
        ("create-time", |_, r| one(date(r.created))),
        ("instance-id", |_, r| some(r.instance_id.as_ref())),
        ("launch.image-id", |_, r| one(&r.spec.image_id)),
        ("launch.instance-type", |_, r| one(&r.spec.instance_type)),
        ("launched-availability-zone", |_, r| some(r.availability_zone.as_ref())),
        ("spot-instance-request-id", |_, r| one(&r.id)),
        ("spot-price", |_, r| some(r.price.as_ref())),
        ("state", |_, r| one(&r.state)),
        ("status-code", |_, r| one(&r.status)),
        ("type", |_, r| one(r.spot_type.as_str())),
    ];

    fn id(&self) -> &str {
        &self.id
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }
}

/// Refuses what Spot does not have.
pub(super) fn check_market(market: &str, disable_api_stop: bool, disable_api_termination: bool) -> Result<(), Refusal> {
    if market != "spot" {
        let message = format!("Value ({market}) for parameter MarketType is invalid.");
        return Err(Refusal::new(400, "InvalidParameterValue", message));
    }
    if disable_api_stop || disable_api_termination {
        let message = "Spot Instances cannot have stop or termination protection";
        return Err(Refusal::new(400, "InvalidParameterCombination", message));
    }
    Ok(())
}

fn shown(r: &SpotRequest) -> Vec<Xml> {
    let mut launch = vec![Xml::text("imageId", &r.spec.image_id), Xml::text("instanceType", &r.spec.instance_type)];
    launch.extend(maybe("keyName", r.spec.key_name.as_ref()));
    launch.extend(maybe("subnetId", r.spec.subnet_id.as_ref()));
    let mut xml = vec![
        Xml::text("spotInstanceRequestId", &r.id),
        Xml::text("type", r.spot_type.as_str()),
        Xml::text("state", &r.state),
        Xml::node(
            "status",
            vec![
                Xml::text("code", &r.status),
                Xml::text("updateTime", date(r.updated)),
                Xml::text("message", format!("Your Spot request is {}.", r.state)),
            ],
        ),
        Xml::text("createTime", date(r.created)),
        Xml::text("productDescription", "Linux/UNIX"),
        Xml::text("instanceInterruptionBehavior", &r.interruption),
        Xml::node("launchSpecification", launch),
        tag_set(&r.tags),
    ];
    xml.extend(maybe("spotPrice", r.price.as_ref()));
    xml.extend(maybe("instanceId", r.instance_id.as_ref()));
    xml.extend(maybe("launchedAvailabilityZone", r.availability_zone.as_ref()));
    xml
}

describe!(DescribeSpotInstanceRequests { ids: Vec<String> = "SpotInstanceRequestId" });

/// DescribeSpotInstanceRequests.
pub fn describe(ec2: &Ec2, call: &Call) -> Reply {
    let params: DescribeSpotInstanceRequests = call.params.read()?;
    let (page, next) = params.listing().of(ec2, SPOT.select(&ec2.spot_requests, &params.ids)?)?;
    Ok(Body::Xml(paged(vec![Xml::list("spotInstanceRequestSet", "item", page.into_iter().map(shown))], next)))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RequestSpotInstances {
    launch_specification: RunInstances,
    instance_count: Option<u32>,
    #[serde(default, rename = "Type")]
    spot_type: SpotType,
    spot_price: Option<String>,
    instance_interruption_behavior: Option<String>,
    #[serde(default, rename = "TagSpecification")]
    tag_specifications: Vec<TagSpecification>,
    client_token: Option<String>,
    _valid_until: Option<String>,
    _dry_run: Option<bool>,
}

/// RequestSpotInstances: the requests are open, and launch soon after.
pub fn request(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: RequestSpotInstances = call.params.read()?;
    let token = params.client_token.as_deref();
    if let Some(made) = ec2.made_before(token, call)? {
        return Ok(requests(ec2, made));
    }
    let spec = params.launch_specification.spec(ec2, call.now)?;
    ec2.check_launch(&spec)?;
    let tags = tags::specified(&params.tag_specifications, "spot-instances-request")?;
    let mut made = Vec::new();
    for _ in 0..params.instance_count.unwrap_or(1) {
        let id = ec2.open_spot_request(
            &spec,
            params.spot_type,
            params.spot_price.clone(),
            params.instance_interruption_behavior.clone(),
        );
        if let Some(request) = ec2.spot_requests.get_mut(&id) {
            request.tags.clone_from(&tags);
            request.launches = Some(call.now + ec2.settings.start);
        }
        made.push(id);
    }
    ec2.remember_made(token, call, &made);
    Ok(requests(ec2, &made))
}

fn requests(ec2: &Ec2, ids: &[String]) -> Body {
    let items = ids.iter().filter_map(|id| ec2.spot_requests.get(id)).map(shown);
    Body::Xml(vec![Xml::list("spotInstanceRequestSet", "item", items)])
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CancelSpotInstanceRequests {
    #[serde(rename = "SpotInstanceRequestId")]
    ids: Vec<String>,
    _dry_run: Option<bool>,
}

/// CancelSpotInstanceRequests: running instances go on.
pub fn cancel(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: CancelSpotInstanceRequests = call.params.read()?;
    SPOT.check_all(&ec2.spot_requests, &params.ids)?;
    for id in &params.ids {
        let Some(request) = ec2.spot_requests.get_mut(id) else { continue };
        if request.state != "closed" {
            let status = if request.instance_id.is_some() {
                "request-canceled-and-instance-running"
            } else {
                "canceled-before-fulfillment"
            };
            request.turn("cancelled", status, call.now);
            request.launches = None;
        }
    }
    let items = params
        .ids
        .iter()
        .map(|id| vec![Xml::text("spotInstanceRequestId", id), Xml::text("state", &ec2.spot_requests[id].state)]);
    Ok(Body::Xml(vec![Xml::list("spotInstanceRequestSet", "item", items)]))
}

impl Ec2 {
    /// Opens a Spot request and returns its id. It launches when a machine with that id in its spec is launched.
    pub fn open_spot_request(
        &mut self,
        spec: &LaunchSpec,
        spot_type: SpotType,
        price: Option<String>,
        interruption: Option<String>,
    ) -> String {
        let id = self.ids.next(SPOT.prefix);
        let request = SpotRequest {
            id: id.clone(),
            spot_type,
            state: "open".to_owned(),
            status: "pending-evaluation".to_owned(),
            updated: spec.launched,
            created: spec.launched,
            price,
            interruption: interruption.unwrap_or_else(|| "terminate".to_owned()),
            instance_id: None,
            availability_zone: None,
            launches: None,
            spec: spec.clone(),
            tags: Tags::new(),
        };
        self.spot_requests.insert(id.clone(), request);
        id
    }

    /// A persistent request whose instance was terminated opens again, and will launch another.
    pub(super) fn spot_instance_terminated(&mut self, request: &str, now: Timestamp) {
        let relaunch = now + self.settings.start;
        let Some(request) = self.spot_requests.get_mut(request) else { return };
        match (request.state.as_str(), request.spot_type) {
            ("active" | "disabled", SpotType::Persistent) => {
                request.turn("open", "pending-evaluation", now);
                request.instance_id = None;
                request.launches = Some(relaunch);
            }
            ("active", SpotType::OneTime) => request.turn("closed", "instance-terminated-by-user", now),
            _ => {}
        }
    }

    /// Launches what open requests ask for, once it is time.
    pub(super) fn settle_spot(&mut self, now: Timestamp) {
        let due: Vec<(String, Timestamp)> = self
            .spot_requests
            .values()
            .filter(|request| request.state == "open")
            .filter_map(|request| Some((request.id.clone(), request.launches.filter(|at| *at <= now)?)))
            .collect();
        for (id, launched) in due {
            let spec =
                LaunchSpec { launched, spot_request_id: Some(id.clone()), ..self.spot_requests[&id].spec.clone() };
            if self.launch(&spec).is_err()
                && let Some(request) = self.spot_requests.get_mut(&id)
            {
                request.turn("closed", "bad-parameters", now);
            }
        }
    }
}
