//! Spot Fleets: RequestSpotFleet and its kin.

use serde::Deserialize;

use super::Ec2;
use super::fleets::{Dialect, Fleet, Instances, TemplateConfig, check_kind, only_template, terminates};
use super::listing::cut;
use super::shape::{date, paged, tag_set};
use super::tags::{self, TagSpecification};
use crate::sim::call::{Body, Call, Reply};
use crate::sim::wire::xml::Xml;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RequestSpotFleet {
    spot_fleet_request_config: Config,
    _dry_run: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Config {
    _iam_fleet_role: String,
    target_capacity: u32,
    on_demand_target_capacity: Option<u32>,
    #[serde(rename = "Type")]
    kind: Option<String>,
    excess_capacity_termination_policy: Option<String>,
    launch_template_configs: Vec<TemplateConfig>,
    client_token: Option<String>,
    #[serde(default, rename = "TagSpecification")]
    tag_specifications: Vec<TagSpecification>,
    _allocation_strategy: Option<String>,
    _replace_unhealthy_instances: Option<bool>,
}

/// RequestSpotFleet.
pub fn request(ec2: &mut Ec2, call: &Call) -> Reply {
    let RequestSpotFleet { spot_fleet_request_config: config, .. } = call.params.read()?;
    let token = config.client_token.as_deref();
    if let Some(made) = ec2.made_before(token, call)? {
        return Ok(Body::Xml(vec![Xml::text("spotFleetRequestId", made.concat())]));
    }
    let kind = config.kind.unwrap_or_else(|| "maintain".to_owned());
    check_kind(&kind)?;
    let fleet = Fleet {
        id: ec2.fleet_id(Dialect::SpotFleet),
        dialect: Dialect::SpotFleet,
        kind,
        state: "active".to_owned(),
        total: config.target_capacity,
        on_demand: config.on_demand_target_capacity.unwrap_or_default(),
        spot: true,
        terminates_excess: terminates(
            config.excess_capacity_termination_policy.as_deref(),
            "default",
            "noTermination",
        )?,
        created: call.now,
        template: only_template(ec2, config.launch_template_configs)?,
        tags: tags::specified(&config.tag_specifications, "spot-fleet-request")?,
    };
    fleet.fill(ec2, call.now);
    let id = fleet.id.clone();
    ec2.remember_made(token, call, std::slice::from_ref(&id));
    ec2.fleets.insert(id.clone(), fleet);
    Ok(Body::Xml(vec![Xml::text("spotFleetRequestId", id)]))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ModifySpotFleetRequest {
    spot_fleet_request_id: String,
    target_capacity: Option<u32>,
    on_demand_target_capacity: Option<u32>,
    excess_capacity_termination_policy: Option<String>,
}

/// ModifySpotFleetRequest.
pub fn modify(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: ModifySpotFleetRequest = call.params.read()?;
    let policy = params.excess_capacity_termination_policy.as_deref();
    let terminates_excess = terminates(policy, "default", "noTermination")?;
    let fleet = ec2.fleet_mut(Dialect::SpotFleet, &params.spot_fleet_request_id)?;
    fleet.check_modifiable()?;
    if policy.is_some() {
        fleet.terminates_excess = terminates_excess;
    }
    fleet.total = params.target_capacity.unwrap_or(fleet.total);
    fleet.on_demand = params.on_demand_target_capacity.unwrap_or(fleet.on_demand).min(fleet.total);
    ec2.settle_fleets(call.now);
    Ok(Body::ec2_true())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CancelSpotFleetRequests {
    #[serde(rename = "SpotFleetRequestId")]
    ids: Vec<String>,
    terminate_instances: bool,
    _dry_run: Option<bool>,
}

/// CancelSpotFleetRequests.
pub fn cancel(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: CancelSpotFleetRequests = call.params.read()?;
    let instances = if params.terminate_instances { Instances::End } else { Instances::GoOn };
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for id in params.ids {
        match ec2.give_up(Dialect::SpotFleet, &id, instances, call.now) {
            Ok((before, after)) => done.push(vec![
                Xml::text("currentSpotFleetRequestState", after),
                Xml::text("previousSpotFleetRequestState", before),
                Xml::text("spotFleetRequestId", id),
            ]),
            Err(refusal) => {
                let code = Xml::text("code", "fleetRequestIdDoesNotExist");
                let error = Xml::node("error", vec![code, Xml::text("message", refusal.message)]);
                failed.push(vec![error, Xml::text("spotFleetRequestId", id)]);
            }
        }
    }
    Ok(Body::Xml(vec![
        Xml::list("successfulFleetRequestSet", "item", done),
        Xml::list("unsuccessfulFleetRequestSet", "item", failed),
    ]))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DescribeSpotFleetRequests {
    #[serde(default, rename = "SpotFleetRequestId")]
    ids: Vec<String>,
    max_results: Option<u32>,
    next_token: Option<String>,
    _dry_run: Option<bool>,
}

/// DescribeSpotFleetRequests.
pub fn describe(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: DescribeSpotFleetRequests = call.params.read()?;
    for id in &params.ids {
        ec2.fleet_mut(Dialect::SpotFleet, id)?;
    }
    let named = |fleet: &&Fleet| params.ids.is_empty() || params.ids.contains(&fleet.id);
    let fleets = ec2.fleets.values().filter(|fleet| fleet.dialect == Dialect::SpotFleet).filter(named);
    let token = params.next_token.as_deref();
    let (page, next) = cut(fleets.collect(), params.max_results, token, |fleet: &Fleet| &fleet.id)?;
    let items = page.into_iter().map(|fleet| {
        let policy = if fleet.terminates_excess { "default" } else { "noTermination" };
        let config = vec![
            Xml::text("targetCapacity", fleet.total),
            Xml::text("onDemandTargetCapacity", fleet.on_demand),
            Xml::text("excessCapacityTerminationPolicy", policy),
            Xml::text("fulfilledCapacity", fleet.fulfilled(ec2)),
            Xml::text("type", &fleet.kind),
            fleet.templates_xml(ec2),
        ];
        vec![
            Xml::text("spotFleetRequestId", &fleet.id),
            Xml::text("spotFleetRequestState", &fleet.state),
            Xml::text("activityStatus", "fulfilled"),
            Xml::text("createTime", date(fleet.created)),
            Xml::node("spotFleetRequestConfig", config),
            tag_set(&fleet.tags),
        ]
    });
    Ok(Body::Xml(paged(vec![Xml::list("spotFleetRequestConfigSet", "item", items)], next)))
}
