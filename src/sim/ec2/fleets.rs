//! EC2 Fleets, and what they share with Spot Fleets: both keep up a capacity, and differ in their words on the wire only.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Ec2;
use super::launch_templates::TemplateReference;
use super::listing::{Filter, cut};
use super::shape::{date, maybe, paged, tag_set};
use super::spot::SpotType;
use super::tags::{self, TagSpecification, Tags};
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;

/// Whose words a fleet speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// CreateFleet's.
    Ec2Fleet,
    /// RequestSpotFleet's.
    SpotFleet,
}

impl Dialect {
    /// How its ids begin.
    fn prefix(self) -> &'static str {
        match self {
            Self::Ec2Fleet => "fleet-",
            Self::SpotFleet => "sfr-",
        }
    }

    /// The tag of what it launches.
    fn tag(self) -> &'static str {
        match self {
            Self::Ec2Fleet => "aws:ec2:fleet-id",
            Self::SpotFleet => "aws:ec2spot:fleet-request-id",
        }
    }
}

/// What becomes of a fleet that is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instances {
    /// They go on.
    GoOn,
    /// They are terminated.
    End,
}

/// A fleet.
#[derive(Debug, Clone, Serialize)]
pub struct Fleet {
    /// `fleet-…` or `sfr-…`.
    pub id: String,
    /// Which of the two it is.
    pub dialect: Dialect,
    /// `maintain`, `request` or `instant`.
    pub kind: String,
    /// `active`, and what AWS calls the ends: `deleted_running`, `cancelled_running`, …
    pub state: String,
    /// How many machines there are to be.
    pub total: u32,
    /// How many of them on demand.
    pub on_demand: u32,
    /// Whether the rest is Spot.
    pub spot: bool,
    /// Whether machines beyond the capacity are terminated.
    pub terminates_excess: bool,
    /// Since when it exists.
    pub created: Timestamp,
    /// What it launches.
    pub template: TemplateReference,
    /// Tags.
    pub tags: Tags,
}

impl Fleet {
    /// The ids of its machines that run, the oldest first.
    fn machines(&self, ec2: &Ec2) -> Vec<String> {
        let up = |state: &str| matches!(state, "pending" | "running");
        let of_it = ec2.instances.values().filter(|i| i.tags.get(self.dialect.tag()) == Some(&self.id));
        let mut machines: Vec<_> = of_it.filter(|i| up(i.state.name())).collect();
        machines.sort_by_key(|i| (i.first_launched, i.id.clone()));
        machines.into_iter().map(|i| i.id.clone()).collect()
    }

    /// A fleet that maintains its capacity launches what is missing, and ends what is too much if it may.
    fn settle(&self, ec2: &mut Ec2, now: Timestamp) {
        if self.state != "active" || self.kind != "maintain" {
            return;
        }
        self.fill(ec2, now);
        let machines = self.machines(ec2);
        if self.terminates_excess {
            for id in machines.iter().skip(self.total as usize) {
                ec2.terminate_instance(id, now, "Client.UserInitiatedShutdown", "User initiated shutdown");
            }
        }
    }

    /// Launches until the capacity is there, or a launch fails.
    pub(super) fn fill(&self, ec2: &mut Ec2, now: Timestamp) {
        loop {
            let machines = self.machines(ec2);
            let on_demand = machines.iter().filter(|id| ec2.instances[*id].spot_request_id.is_none()).count();
            let spot = self.spot && on_demand >= self.on_demand as usize;
            if machines.len() >= self.total as usize || self.launch(ec2, spot, now).is_err() {
                break;
            }
        }
    }

    fn launch(&self, ec2: &mut Ec2, spot: bool, now: Timestamp) -> Result<(), Refusal> {
        let mut spec = ec2.template_spec(&self.template, now)?;
        ec2.check_launch(&spec)?;
        spec.tags.insert(self.dialect.tag().to_owned(), self.id.clone());
        if spot {
            let id = ec2.open_spot_request(&spec, SpotType::OneTime, None, None);
            if let Some(request) = ec2.spot_requests.get_mut(&id) {
                request.tags.insert(self.dialect.tag().to_owned(), self.id.clone());
            }
            spec.spot_request_id = Some(id);
        }
        ec2.launch(&spec).map(drop)
    }

    /// Refuses a change of what cannot be changed.
    pub(super) fn check_modifiable(&self) -> Result<(), Refusal> {
        if self.kind != "maintain" {
            let message = format!("The fleet {} is of type {}: only maintain can be modified.", self.id, self.kind);
            return Err(Refusal::new(400, "UnsupportedOperation", message));
        }
        if self.state != "active" {
            let message = format!("The fleet {} is {} and cannot be modified.", self.id, self.state);
            return Err(Refusal::new(400, "FleetNotInModifiableState", message));
        }
        Ok(())
    }

    /// `<launchTemplateConfigs>`.
    pub(super) fn templates_xml(&self, ec2: &Ec2) -> Xml {
        let mut xml = Vec::new();
        if let Ok(template) = ec2.template(&self.template) {
            xml.push(Xml::text("launchTemplateId", &template.id));
        }
        xml.extend(maybe("launchTemplateName", self.template.launch_template_name.as_ref()));
        xml.extend(maybe("version", self.template.version.as_ref()));
        Xml::list("launchTemplateConfigs", "item", [vec![Xml::node("launchTemplateSpecification", xml)]])
    }

    /// How many machines run.
    pub(super) fn fulfilled(&self, ec2: &Ec2) -> usize {
        self.machines(ec2).len()
    }
}

impl Ec2 {
    /// Lets time do its work on the fleets.
    pub(super) fn settle_fleets(&mut self, now: Timestamp) {
        let fleets = std::mem::take(&mut self.fleets);
        for fleet in fleets.values() {
            fleet.settle(self, now);
        }
        self.fleets = fleets;
    }

    /// An id for a fleet: a UUID, as AWS has it.
    pub(super) fn fleet_id(&mut self, dialect: Dialect) -> String {
        let digits = format!("{}{}", self.ids.next(""), self.ids.next(""));
        let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[17..21], &digits[21..33]];
        format!("{}{}", dialect.prefix(), parts.join("-"))
    }

    /// The fleet of this id and dialect.
    pub(super) fn fleet_mut(&mut self, dialect: Dialect, id: &str) -> Result<&mut Fleet, Refusal> {
        let found = self.fleets.get_mut(id).filter(|fleet| fleet.dialect == dialect);
        found.ok_or_else(|| {
            let (code, noun) = match dialect {
                Dialect::Ec2Fleet => ("InvalidFleetId.NotFound", "fleet ID"),
                Dialect::SpotFleet => ("InvalidSpotFleetRequestId.NotFound", "spot fleet request ID"),
            };
            Refusal::new(400, code, format!("The {noun} '{id}' does not exist"))
        })
    }

    /// Gives a fleet up. Returns its state before and after.
    pub(super) fn give_up(
        &mut self,
        dialect: Dialect,
        id: &str,
        instances: Instances,
        now: Timestamp,
    ) -> Result<(String, String), Refusal> {
        let fleet = self.fleet_mut(dialect, id)?;
        let word = if dialect == Dialect::Ec2Fleet { "deleted" } else { "cancelled" };
        let before = fleet.state.clone();
        fleet.state = match instances {
            Instances::GoOn => format!("{word}_running"),
            Instances::End => format!("{word}_terminating"),
        };
        let (after, fleet) = (fleet.state.clone(), fleet.clone());
        if instances == Instances::End {
            for machine in fleet.machines(self) {
                self.terminate_instance(&machine, now, "Client.UserInitiatedShutdown", "User initiated shutdown");
            }
        }
        Ok((before, after))
    }
}

/// One of the templates of a fleet.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct TemplateConfig {
    launch_template_specification: TemplateReference,
}

/// The template of a fleet: the simulated AWS takes one.
pub(super) fn only_template(ec2: &Ec2, configs: Vec<TemplateConfig>) -> Result<TemplateReference, Refusal> {
    let mut configs = configs.into_iter();
    let (Some(config), None) = (configs.next(), configs.next()) else {
        let message = "The simulated AWS launches fleets from exactly one launch template";
        return Err(Refusal::new(400, "InvalidParameterValue", message));
    };
    ec2.template(&config.launch_template_specification)?;
    Ok(config.launch_template_specification)
}

/// Refuses a type that does not exist.
pub(super) fn check_kind(kind: &str) -> Result<(), Refusal> {
    if ["maintain", "request", "instant"].contains(&kind) {
        return Ok(());
    }
    Err(Refusal::new(400, "InvalidParameterValue", format!("Value ({kind}) for parameter type is invalid.")))
}

/// Whether excess machines are terminated, in one dialect or the other.
pub(super) fn terminates(policy: Option<&str>, yes: &str, no: &str) -> Result<bool, Refusal> {
    match policy {
        None => Ok(true),
        Some(policy) if policy == yes => Ok(true),
        Some(policy) if policy == no => Ok(false),
        Some(other) => {
            let message = format!("Value ({other}) for parameter excessCapacityTerminationPolicy is invalid.");
            Err(Refusal::new(400, "InvalidParameterValue", message))
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Wished {
    total_target_capacity: u32,
    on_demand_target_capacity: Option<u32>,
    _spot_target_capacity: Option<u32>,
    default_target_capacity_type: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreateFleet {
    launch_template_configs: Vec<TemplateConfig>,
    target_capacity_specification: Wished,
    #[serde(rename = "Type")]
    kind: Option<String>,
    excess_capacity_termination_policy: Option<String>,
    client_token: Option<String>,
    #[serde(default, rename = "TagSpecification")]
    tag_specifications: Vec<TagSpecification>,
    _replace_unhealthy_instances: Option<bool>,
    _dry_run: Option<bool>,
}

/// The image that the fleet of a call would launch, as far as that can be told before the call is allowed.
pub(super) fn image_of(ec2: &Ec2, call: &Call) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Launching {
        launch_template_configs: Vec<TemplateConfig>,
    }
    let launching: Launching = call.params.read().ok()?;
    let template = only_template(ec2, launching.launch_template_configs).ok()?;
    ec2.template_data(&template).ok()?.image_id
}

/// CreateFleet. An instant fleet answers with what it launched.
pub fn create(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: CreateFleet = call.params.read()?;
    let token = params.client_token.as_deref();
    if let Some(made) = ec2.made_before(token, call)? {
        return Ok(Body::Xml(vec![Xml::text("fleetId", made.concat())]));
    }
    let kind = params.kind.unwrap_or_else(|| "maintain".to_owned());
    check_kind(&kind)?;
    let capacity = params.target_capacity_specification;
    let fleet = Fleet {
        id: ec2.fleet_id(Dialect::Ec2Fleet),
        dialect: Dialect::Ec2Fleet,
        kind,
        state: "active".to_owned(),
        total: capacity.total_target_capacity,
        on_demand: capacity.on_demand_target_capacity.unwrap_or_default(),
        spot: capacity.default_target_capacity_type.as_deref() != Some("on-demand"),
        terminates_excess: terminates(
            params.excess_capacity_termination_policy.as_deref(),
            "termination",
            "no-termination",
        )?,
        created: call.now,
        template: only_template(ec2, params.launch_template_configs)?,
        tags: tags::specified(&params.tag_specifications, "fleet")?,
    };
    fleet.fill(ec2, call.now);
    let mut xml = vec![Xml::text("fleetId", &fleet.id)];
    if fleet.kind == "instant" {
        let ids = fleet.machines(ec2).into_iter().map(|id| Xml::text("item", id)).collect();
        let lifecycle = Xml::text("lifecycle", if fleet.spot { "spot" } else { "on-demand" });
        xml.push(Xml::list("fleetInstanceSet", "item", [vec![lifecycle, Xml::node("instanceIds", ids)]]));
    }
    ec2.remember_made(token, call, std::slice::from_ref(&fleet.id));
    ec2.fleets.insert(fleet.id.clone(), fleet);
    Ok(Body::Xml(xml))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ModifyFleet {
    fleet_id: String,
    target_capacity_specification: Option<Wished>,
    excess_capacity_termination_policy: Option<String>,
    _dry_run: Option<bool>,
}

/// ModifyFleet.
pub fn modify(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: ModifyFleet = call.params.read()?;
    let policy = params.excess_capacity_termination_policy.as_deref();
    let terminates_excess = terminates(policy, "termination", "no-termination")?;
    let fleet = ec2.fleet_mut(Dialect::Ec2Fleet, &params.fleet_id)?;
    fleet.check_modifiable()?;
    if policy.is_some() {
        fleet.terminates_excess = terminates_excess;
    }
    if let Some(capacity) = params.target_capacity_specification {
        fleet.total = capacity.total_target_capacity;
        fleet.on_demand = capacity.on_demand_target_capacity.unwrap_or(fleet.on_demand).min(fleet.total);
    }
    ec2.settle_fleets(call.now);
    Ok(Body::ec2_true())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DeleteFleets {
    #[serde(rename = "FleetId")]
    ids: Vec<String>,
    terminate_instances: bool,
    _dry_run: Option<bool>,
}

/// DeleteFleets: the machines of an instant fleet end with it.
pub fn delete(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: DeleteFleets = call.params.read()?;
    let instances = if params.terminate_instances { Instances::End } else { Instances::GoOn };
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for id in params.ids {
        let instant = ec2.fleets.get(&id).is_some_and(|fleet| fleet.kind == "instant");
        let error = if instant && instances == Instances::GoOn {
            Err("fleetNotInDeletableState")
        } else {
            ec2.give_up(Dialect::Ec2Fleet, &id, instances, call.now).map_err(|_| "fleetIdDoesNotExist")
        };
        match error {
            Ok((before, after)) => done.push(vec![
                Xml::text("currentFleetState", after),
                Xml::text("previousFleetState", before),
                Xml::text("fleetId", id),
            ]),
            Err(code) => {
                let message = format!("The fleet {id} cannot be deleted like this.");
                let error = vec![Xml::text("code", code), Xml::text("message", message)];
                failed.push(vec![Xml::node("error", error), Xml::text("fleetId", id)]);
            }
        }
    }
    Ok(Body::Xml(vec![
        Xml::list("successfulFleetDeletionSet", "item", done),
        Xml::list("unsuccessfulFleetDeletionSet", "item", failed),
    ]))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DescribeFleets {
    #[serde(default, rename = "FleetId")]
    ids: Vec<String>,
    #[serde(default, rename = "Filter")]
    filters: Vec<Filter>,
    max_results: Option<u32>,
    next_token: Option<String>,
    _dry_run: Option<bool>,
}

/// DescribeFleets: instant fleets only when they are named.
pub fn describe(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: DescribeFleets = call.params.read()?;
    if let Some(filter) = params.filters.first() {
        let message = format!("The simulated AWS does not filter fleets: '{}'", filter.name);
        return Err(Refusal::new(400, "InvalidParameterValue", message));
    }
    for id in &params.ids {
        ec2.fleet_mut(Dialect::Ec2Fleet, id)?;
    }
    let unnamed = params.ids.is_empty();
    let wanted = |fleet: &&Fleet| params.ids.contains(&fleet.id) || (unnamed && fleet.kind != "instant");
    let fleets = ec2.fleets.values().filter(|fleet| fleet.dialect == Dialect::Ec2Fleet).filter(wanted);
    let token = params.next_token.as_deref();
    let (page, next) = cut(fleets.collect(), params.max_results, token, |fleet: &Fleet| &fleet.id)?;
    let items = page.into_iter().map(|fleet| shown(ec2, fleet));
    Ok(Body::Xml(paged(vec![Xml::list("fleetSet", "item", items)], next)))
}

fn shown(ec2: &Ec2, fleet: &Fleet) -> Vec<Xml> {
    let capacity = vec![
        Xml::text("totalTargetCapacity", fleet.total),
        Xml::text("onDemandTargetCapacity", fleet.on_demand),
        Xml::text("spotTargetCapacity", if fleet.spot { fleet.total.saturating_sub(fleet.on_demand) } else { 0 }),
        Xml::text("defaultTargetCapacityType", if fleet.spot { "spot" } else { "on-demand" }),
    ];
    let policy = if fleet.terminates_excess { "termination" } else { "no-termination" };
    vec![
        Xml::text("fleetId", &fleet.id),
        Xml::text("fleetState", &fleet.state),
        Xml::text("activityStatus", "fulfilled"),
        Xml::text("createTime", date(fleet.created)),
        Xml::text("type", &fleet.kind),
        Xml::text("excessCapacityTerminationPolicy", policy),
        Xml::text("fulfilledCapacity", fleet.fulfilled(ec2)),
        fleet.templates_xml(ec2),
        Xml::node("targetCapacitySpecification", capacity),
        tag_set(&fleet.tags),
    ]
}
