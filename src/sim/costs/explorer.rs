//! AWS Cost Explorer: daily usage of machines, out of the hours that they ran, and anomaly monitors.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::prices::per_hour;
use crate::model::{AccountId, Platform, Region};
use crate::sim::call::{Body, Call, Permission, Refusal, Reply};
use crate::sim::ec2::instances::{Instance, State};
use crate::sim::scenario::Machine;
use crate::sim::world::World;

/// How far what is shown lags behind what was used: data are refreshed at least once every 24 hours (Cost Management User Guide,
/// "Analyzing your costs with Cost Explorer").
const LAG: SignedDuration = SignedDuration::from_hours(24);
/// How often that happens: billing data is updated up to three times daily (the same guide, "Managing your costs with AWS
/// Budgets").
const UPDATED: i64 = 8 * 3_600;
/// A machine that runs is billed by the second, and for so many at least (EC2 User Guide, "Billing and purchasing options").
const LEAST_BILLED: f64 = 60.0;
const SERVICE: &str = "Amazon Elastic Compute Cloud - Compute";

/// What the call needs to be allowed.
pub fn permissions(_: &World, call: &Call) -> Result<Vec<Permission>, Refusal> {
    match call.operation.as_str() {
        "GetCostAndUsage" | "GetAnomalyMonitors" | "CreateAnomalyMonitor" => {
            Ok(vec![Permission::new(format!("ce:{}", call.operation), "*")])
        }
        _ => Err(call.unknown()),
    }
}

/// Carries the call out.
pub fn handle(world: &mut World, call: &Call) -> Reply {
    match call.operation.as_str() {
        "GetCostAndUsage" => usage(world, call),
        "GetAnomalyMonitors" => monitors(world, call),
        "CreateAnomalyMonitor" => create_monitor(world, call),
        _ => Err(call.unknown()),
    }
}

fn refused(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "ValidationException", message)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetCostAndUsage {
    time_period: Period,
    granularity: String,
    metrics: Vec<String>,
    #[serde(default)]
    group_by: Vec<Grouping>,
    #[serde(rename = "NextPageToken")]
    _next_page_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Period {
    start: Date,
    end: Date,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Grouping {
    #[serde(rename = "Type")]
    kind: String,
    key: String,
}

/// Hours and US dollars.
type Used = (f64, f64);

/// GetCostAndUsage, by day and by service and usage type. A management account sees the whole organisation.
fn usage(world: &World, call: &Call) -> Reply {
    let asked: GetCostAndUsage = call.params.read()?;
    if asked.granularity != "DAILY" {
        return Err(refused("The simulated AWS knows costs by the day alone"));
    }
    let Period { start, end } = asked.time_period;
    if start >= end {
        return Err(refused("Start date (and hour) should be before end date (and hour)"));
    }
    let known = ["SERVICE", "USAGE_TYPE"];
    if asked.group_by.iter().any(|group| group.kind != "DIMENSION" || !known.contains(&group.key.as_str())) {
        return Err(refused("The simulated AWS groups costs by SERVICE and USAGE_TYPE alone"));
    }
    if asked.metrics.is_empty()
        || asked.metrics.iter().any(|metric| !["UnblendedCost", "UsageQuantity"].contains(&metric.as_str()))
    {
        return Err(refused("The simulated AWS knows the metrics UnblendedCost and UsageQuantity alone"));
    }
    let behind = call.now - LAG;
    let until = behind - SignedDuration::from_secs(behind.as_second().rem_euclid(UPDATED));
    let accounts = seen(world, &call.account);
    let mut days = Vec::new();
    for day in start.series(jiff::Span::new().days(1)).take_while(|day| *day < end) {
        let used = used_on(world, &accounts, day, until);
        let mut groups: BTreeMap<Vec<&str>, Used> = BTreeMap::new();
        for (usage_type, (hours, cost)) in &used {
            let keys = asked.group_by.iter().map(|group| if group.key == "SERVICE" { SERVICE } else { usage_type });
            let sum = groups.entry(keys.collect()).or_default();
            *sum = (sum.0 + hours, sum.1 + cost);
        }
        let total = groups.get(&Vec::new()).copied().unwrap_or_default();
        let total = if asked.group_by.is_empty() { metrics(&asked.metrics, total) } else { json!({}) };
        let groups = groups.iter().filter(|(keys, _)| !keys.is_empty());
        let groups = groups.map(|(keys, used)| json!({ "Keys": keys, "Metrics": metrics(&asked.metrics, *used) }));
        days.push(json!({
            "TimePeriod": { "Start": day.to_string(), "End": next(day).to_string() }, "Total": total,
            "Groups": groups.collect::<Vec<_>>(), "Estimated": begins(next(day)) > until,
        }));
    }
    let by: Vec<Value> = asked.group_by.iter().map(|group| json!({ "Type": group.kind, "Key": group.key })).collect();
    Ok(Body::Json(json!({ "GroupDefinitions": by, "ResultsByTime": days, "DimensionValueAttributes": [] })))
}

fn metrics(wanted: &[String], (hours, cost): Used) -> Value {
    let shown = wanted.iter().map(|metric| {
        let (amount, unit) = if metric == "UnblendedCost" { (cost, "USD") } else { (hours, "Hrs") };
        (metric.clone(), json!({ "Amount": format!("{amount:.10}"), "Unit": unit }))
    });
    Value::Object(shown.collect::<Map<_, _>>())
}

/// The accounts whose costs an account sees.
fn seen(world: &World, account: &AccountId) -> Vec<AccountId> {
    match &world.organization {
        Some(organization) if organization.is_management(account) => organization.members.keys().cloned().collect(),
        _ => vec![account.clone()],
    }
}

fn begins(day: Date) -> Timestamp {
    TimeZone::UTC.to_timestamp(day.at(0, 0, 0, 0)).unwrap_or(Timestamp::MAX)
}

fn next(day: Date) -> Date {
    day.tomorrow().unwrap_or(Date::MAX)
}

/// What was used on a day, by usage type, as far as it is known by `until`.
fn used_on(world: &World, accounts: &[AccountId], day: Date, until: Timestamp) -> BTreeMap<String, Used> {
    let (from, to) = (begins(day), begins(next(day)).min(until));
    let mut used: BTreeMap<String, Used> = BTreeMap::new();
    let accounts = accounts.iter().filter_map(|account| world.accounts.get(account));
    for (region, state) in accounts.flat_map(|account| &account.regions) {
        for instance in state.ec2.instances.values() {
            let (began, ended) = ran(instance);
            let seconds = ended.unwrap_or(to).min(to).duration_since(began.max(from)).as_secs();
            if seconds <= 0 {
                continue;
            }
            let hours = SignedDuration::from_secs(seconds).as_secs_f64() / 3_600.0;
            let cost = hours * charged(region, instance);
            let sum = used.entry(usage_type(region, &instance.instance_type)).or_default();
            *sum = (sum.0 + hours, sum.1 + cost);
        }
    }
    used
}

fn charged(region: &Region, instance: &Instance) -> f64 {
    let platform = if instance.platform.is_some() { Platform::Windows } else { Platform::Linux };
    per_hour(region, &instance.instance_type, platform).unwrap_or_default()
}

/// What these machines have cost by a time, in US dollars: the truth of a drill, to the second. A machine is billed for 60
/// seconds at least.
pub fn spent(world: &World, machines: &[Machine], until: Timestamp) -> f64 {
    let of_machine = |machine: &Machine| {
        let instance = world.region(&machine.account, &machine.region).ec2.instances.get(&machine.id)?;
        let (began, ended) = ran(instance);
        let seconds = ended.unwrap_or(until).min(until).duration_since(began).as_secs_f64();
        Some(seconds.max(LEAST_BILLED) / 3_600.0 * charged(&machine.region, instance))
    };
    machines.iter().filter_map(of_machine).sum()
}

/// From when and until when a machine ran last. Earlier runs of one that was restarted are not known.
fn ran(instance: &Instance) -> (Timestamp, Option<Timestamp>) {
    let began = instance.launch_time;
    let asked = || {
        let (_, rest) = instance.transition_reason.split_once('(')?;
        let time = rest.trim_end_matches(')').replacen(' ', "T", 1).replace(" GMT", "Z");
        time.parse().ok()
    };
    match instance.state {
        State::Pending { .. } | State::Running | State::Stopping { .. } => (began, None),
        State::Terminated { since } => (began, Some(asked().unwrap_or(since))),
        State::ShuttingDown { .. } | State::Stopped => (began, Some(asked().unwrap_or(began))),
    }
}

/// `EUC1-BoxUsage:m5.large`; us-east-1 has no prefix.
fn usage_type(region: &Region, instance_type: &str) -> String {
    let (_, prefix) = PREFIXES.iter().find(|(name, _)| *name == region.as_str()).copied().unwrap_or_default();
    if prefix.is_empty() { format!("BoxUsage:{instance_type}") } else { format!("{prefix}-BoxUsage:{instance_type}") }
}

/// The prefixes of usage types (S3 User Guide, "Understanding your AWS billing and usage reports": Region codes). For regions
/// that the list does not have, the prefix follows its pattern.
const PREFIXES: [(&str, &str); 34] = [
    ("us-east-1", ""),
    ("us-east-2", "USE2"),
    ("us-west-1", "USW1"),
    ("us-west-2", "USW2"),
    ("ca-central-1", "CAN1"),
    ("ca-west-1", "CAN2"),
    ("mx-central-1", "MXC1"),
    ("sa-east-1", "SAE1"),
    ("eu-central-1", "EUC1"),
    ("eu-central-2", "EUC2"),
    ("eu-north-1", "EUN1"),
    ("eu-south-1", "EUS1"),
    ("eu-south-2", "EUS2"),
    ("eu-west-1", "EU"),
    ("eu-west-2", "EUW2"),
    ("eu-west-3", "EUW3"),
    ("af-south-1", "AFS1"),
    ("il-central-1", "ILC1"),
    ("me-central-1", "MEC1"),
    ("me-south-1", "MES1"),
    ("ap-east-1", "APE1"),
    ("ap-east-2", "APE2"),
    ("ap-northeast-1", "APN1"),
    ("ap-northeast-2", "APN2"),
    ("ap-northeast-3", "APN3"),
    ("ap-south-1", "APS3"),
    ("ap-south-2", "APS5"),
    ("ap-southeast-1", "APS1"),
    ("ap-southeast-2", "APS2"),
    ("ap-southeast-3", "APS4"),
    ("ap-southeast-4", "APS6"),
    ("ap-southeast-5", "APS7"),
    ("ap-southeast-6", "APS8"),
    ("ap-southeast-7", "APS9"),
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetAnomalyMonitors {
    #[serde(default)]
    monitor_arn_list: Vec<String>,
    #[serde(rename = "NextPageToken")]
    _next_page_token: Option<String>,
    #[serde(rename = "MaxResults")]
    _max_results: Option<usize>,
}

fn monitors(world: &World, call: &Call) -> Reply {
    let asked: GetAnomalyMonitors = call.params.read()?;
    let wanted = |monitor: &&Value| {
        asked.monitor_arn_list.is_empty()
            || asked.monitor_arn_list.iter().any(|arn| monitor["MonitorArn"] == arn.as_str())
    };
    let held: Vec<&Value> = world.account(&call.account).costs.anomaly_monitors.iter().filter(wanted).collect();
    Ok(Body::Json(json!({ "AnomalyMonitors": held })))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreateAnomalyMonitor {
    anomaly_monitor: Monitor,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "as on the wire")]
struct Monitor {
    monitor_name: String,
    monitor_type: String,
    monitor_dimension: Option<String>,
}

fn create_monitor(world: &mut World, call: &Call) -> Reply {
    let CreateAnomalyMonitor { anomaly_monitor: asked } = call.params.read()?;
    if asked.monitor_type != "DIMENSIONAL" || asked.monitor_dimension.as_deref() != Some("SERVICE") {
        return Err(refused("The simulated AWS knows monitors of the dimension SERVICE alone"));
    }
    let id = world.uuid();
    let arn = format!("arn:{}:ce::{}:anomalymonitor/{id}", world.partition, call.account);
    let monitor = json!({
        "MonitorArn": arn, "MonitorName": asked.monitor_name, "MonitorType": asked.monitor_type,
        "MonitorDimension": asked.monitor_dimension, "CreationDate": call.now.strftime("%Y-%m-%d").to_string(),
    });
    world.account_mut(&call.account).costs.anomaly_monitors.push(monitor);
    Ok(Body::Json(json!({ "MonitorArn": arn })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::call::test_call;
    use crate::sim::ec2::Ec2;
    use crate::sim::ec2::launch::LaunchSpec;
    use crate::sim::wire::params::Params;

    fn world() -> World {
        let call = test_call("ce", "", "");
        let mut world = World::new(1);
        world.add_account(call.account.clone(), "development");
        let region = Region::new("eu-central-1").unwrap();
        let mut ec2 = Ec2::new(&call.account, &region);
        let image_id = ec2.images.values().find(|image| image.platform.is_none()).unwrap().id.clone();
        let launched = "2026-02-28T18:00:00Z".parse().unwrap();
        let spec = LaunchSpec { launched, image_id, instance_type: "m5.large".to_owned(), ..LaunchSpec::default() };
        ec2.launch(&spec).unwrap();
        world.region_mut(&call.account, &region).ec2 = ec2;
        world
    }

    fn usage_of(world: &mut World, end: &str) -> Value {
        let mut call = test_call("ce", "GetCostAndUsage", "");
        let by = |key: &str| json!({ "Type": "DIMENSION", "Key": key });
        call.params = Params::Json(json!({
            "TimePeriod": { "Start": "2026-02-28", "End": end }, "Granularity": "DAILY",
            "Metrics": ["UnblendedCost", "UsageQuantity"], "GroupBy": [by("SERVICE"), by("USAGE_TYPE")],
        }));
        match handle(world, &call).unwrap() {
            Body::Json(json) => json["ResultsByTime"].clone(),
            other => panic!("{other:?}"),
        }
    }

    /// The clock of a test call shows 15:00 on the third of March.
    #[test]
    fn usage_is_the_hours_of_a_day_and_ends_a_day_ago() {
        let days = usage_of(&mut world(), "2026-03-05");
        let hours = |day: usize| {
            days[day]["Groups"][0]["Metrics"]["UsageQuantity"]["Amount"]
                .as_str()
                .map(|text| text.parse::<f64>().unwrap())
        };
        assert_eq!(days[0]["Groups"][0]["Keys"], json!([SERVICE, "EUC1-BoxUsage:m5.large"]));
        assert_eq!([hours(0), hours(1), hours(2), hours(3)], [Some(6.0), Some(24.0), Some(8.0), None]);
        assert_eq!(days[0]["Groups"][0]["Metrics"]["UnblendedCost"]["Amount"], "0.6900000000");
        assert_eq!((&days[1]["Estimated"], &days[2]["Estimated"]), (&json!(false), &json!(true)));
    }
}
