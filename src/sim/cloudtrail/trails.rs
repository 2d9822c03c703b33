//! Trails: what is written to a bucket, and whether it is.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::model::{AccountId, Region};
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::pages::epoch;
use crate::sim::world::World;

/// How many trails a region may have (CloudTrail User Guide, "Quotas").
const MOST: usize = 5;

/// A trail, in its home region.
#[derive(Debug, Clone, Serialize)]
pub struct Trail {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// The bucket that it writes to.
    pub bucket: String,
    /// Whether it records what services without regions do.
    pub global_events: bool,
    /// Whether it records every region.
    pub multi_region: bool,
    /// Whether digests are written, by which a changed log is found out.
    pub log_validation: bool,
    /// Whether it records every account of the organisation.
    pub organization: bool,
    /// When it was told last to record.
    pub started: Option<Timestamp>,
    /// When it was told last to stop.
    pub stopped: Option<Timestamp>,
    /// What of it is recorded, if somebody said: `EventSelectors` or `AdvancedEventSelectors`.
    pub selectors: Option<(&'static str, Value)>,
}

impl Trail {
    /// Whether it records now.
    pub fn is_logging(&self) -> bool {
        self.started > self.stopped
    }

    /// A member of `trailList`.
    fn shown(&self, home: &Region) -> Value {
        let mut shown = self.made();
        shown["HomeRegion"] = json!(home);
        shown["HasCustomEventSelectors"] = json!(self.selectors.is_some());
        shown["HasInsightSelectors"] = json!(false);
        shown
    }

    /// The answer to CreateTrail.
    fn made(&self) -> Value {
        json!({
            "Name": self.name, "S3BucketName": self.bucket, "IncludeGlobalServiceEvents": self.global_events,
            "IsMultiRegionTrail": self.multi_region, "TrailARN": self.arn,
            "LogFileValidationEnabled": self.log_validation, "IsOrganizationTrail": self.organization,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Settings {
    name: String,
    #[serde(rename = "S3BucketName")]
    bucket: Option<String>,
    include_global_service_events: Option<bool>,
    is_multi_region_trail: Option<bool>,
    enable_log_file_validation: Option<bool>,
    is_organization_trail: Option<bool>,
}

/// CreateTrail: a new trail records nothing before StartLogging.
pub(super) fn create(world: &mut World, call: &Call) -> Reply {
    let asked: Settings = call.params.read()?;
    check_name(&asked.name)?;
    let bucket = asked.bucket.clone().unwrap_or_default();
    check_settings(world, call, &asked, &bucket)?;
    let arn = format!("arn:{}:cloudtrail:{}:{}:trail/{}", world.partition, call.region, call.account, asked.name);
    let trails = &mut world.region_mut(&call.account, &call.region).cloudtrail.trails;
    if trails.contains_key(&asked.name) {
        let message = format!("Trail {} already exists for customer: {}", asked.name, call.account);
        return Err(Refusal::new(400, "TrailAlreadyExistsException", message));
    }
    if trails.len() >= MOST {
        let message = format!("User: {} already has {MOST} trails in {}.", call.account, call.region);
        return Err(Refusal::new(400, "MaximumNumberOfTrailsExceededException", message));
    }
    let trail = Trail {
        name: asked.name.clone(),
        arn,
        bucket,
        global_events: asked.include_global_service_events.unwrap_or(true),
        multi_region: asked.is_multi_region_trail.unwrap_or_default(),
        log_validation: asked.enable_log_file_validation.unwrap_or_default(),
        organization: asked.is_organization_trail.unwrap_or_default(),
        started: None,
        stopped: None,
        selectors: None,
    };
    let made = trail.made();
    trails.insert(asked.name, trail);
    Ok(Body::Json(made))
}

/// UpdateTrail.
pub(super) fn update(world: &mut World, call: &Call) -> Reply {
    let asked: Settings = call.params.read()?;
    let bucket = match &asked.bucket {
        Some(bucket) => bucket.clone(),
        None => own(world, call, &asked.name)?.bucket.clone(),
    };
    check_settings(world, call, &asked, &bucket)?;
    let trail = own(world, call, &asked.name)?;
    trail.bucket = bucket;
    let set = |field: &mut bool, asked: Option<bool>| *field = asked.unwrap_or(*field);
    set(&mut trail.global_events, asked.include_global_service_events);
    set(&mut trail.multi_region, asked.is_multi_region_trail);
    set(&mut trail.log_validation, asked.enable_log_file_validation);
    set(&mut trail.organization, asked.is_organization_trail);
    Ok(Body::Json(trail.made()))
}

fn check_name(name: &str) -> Result<(), Refusal> {
    let fits = (3..=128).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    let message = format!("Trail name or ARN can only contain letters, numbers, periods, underscores, dashes: {name}");
    if fits { Ok(()) } else { Err(Refusal::new(400, "InvalidTrailNameException", message)) }
}

fn check_settings(world: &World, call: &Call, asked: &Settings, bucket: &str) -> Result<(), Refusal> {
    if !world.accounts.values().any(|account| account.s3.buckets.contains_key(bucket)) {
        let message = format!("S3 bucket {bucket} does not exist!");
        return Err(Refusal::new(400, "S3BucketDoesNotExistException", message));
    }
    if asked.is_multi_region_trail == Some(true) && asked.include_global_service_events == Some(false) {
        let message = "Multi-Region trail must include global service events.";
        return Err(Refusal::new(400, "InvalidParameterCombinationException", message));
    }
    if asked.is_organization_trail == Some(true) {
        let organization = world
            .organization
            .as_ref()
            .ok_or_else(|| Refusal::new(404, "OrganizationsNotInUseException", "The account is in no organization."))?;
        if !organization.is_management(&call.account) && !organization.delegated.contains(&call.account) {
            let message = "The account is neither the management account nor a delegated administrator.";
            return Err(Refusal::new(400, "NotOrganizationMasterAccountException", message));
        }
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Named {
    #[serde(alias = "TrailName")]
    name: String,
}

/// DeleteTrail.
pub(super) fn delete(world: &mut World, call: &Call) -> Reply {
    let Named { name } = call.params.read()?;
    let name = own(world, call, &name)?.name.clone();
    world.region_mut(&call.account, &call.region).cloudtrail.trails.remove(&name);
    Ok(Body::Json(json!({})))
}

/// StartLogging.
pub(super) fn start(world: &mut World, call: &Call) -> Reply {
    let Named { name } = call.params.read()?;
    own(world, call, &name)?.started = Some(call.now);
    Ok(Body::Json(json!({})))
}

/// StopLogging.
pub(super) fn stop(world: &mut World, call: &Call) -> Reply {
    let Named { name } = call.params.read()?;
    own(world, call, &name)?.stopped = Some(call.now);
    Ok(Body::Json(json!({})))
}

/// GetTrailStatus.
pub(super) fn status(world: &World, call: &Call) -> Reply {
    let Named { name } = call.params.read()?;
    let (_, trail) = seen(world, call).find(|(_, trail)| is_named(trail, &name)).ok_or_else(|| unknown(call, &name))?;
    let mut status = json!({ "IsLogging": trail.is_logging() });
    for (member, at) in [("StartLoggingTime", trail.started), ("StopLoggingTime", trail.stopped)] {
        if let Some(at) = at {
            status[member] = epoch(at);
        }
    }
    Ok(Body::Json(status))
}

/// GetEventSelectors: all management events, unless somebody said otherwise.
pub(super) fn selectors(world: &World, call: &Call) -> Reply {
    let Named { name } = call.params.read()?;
    let (_, trail) = seen(world, call).find(|(_, trail)| is_named(trail, &name)).ok_or_else(|| unknown(call, &name))?;
    let usual = json!([{
        "ReadWriteType": "All", "IncludeManagementEvents": true, "DataResources": [], "ExcludeManagementEventSources": []
    }]);
    let (member, selectors) = trail.selectors.clone().unwrap_or(("EventSelectors", usual));
    let mut answer = json!({ "TrailARN": trail.arn });
    answer[member] = selectors;
    Ok(Body::Json(answer))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PutEventSelectors {
    trail_name: String,
    event_selectors: Option<Value>,
    advanced_event_selectors: Option<Value>,
}

/// PutEventSelectors.
pub(super) fn put_selectors(world: &mut World, call: &Call) -> Reply {
    let asked: PutEventSelectors = call.params.read()?;
    let selectors = match (asked.event_selectors, asked.advanced_event_selectors) {
        (Some(selectors), None) => ("EventSelectors", selectors),
        (None, Some(selectors)) => ("AdvancedEventSelectors", selectors),
        _ => {
            let message = "Exactly one of EventSelectors and AdvancedEventSelectors is needed.";
            return Err(Refusal::new(400, "InvalidEventSelectorsException", message));
        }
    };
    let trail = own(world, call, &asked.trail_name)?;
    trail.selectors = Some(selectors.clone());
    let mut answer = json!({ "TrailARN": trail.arn });
    answer[selectors.0] = selectors.1;
    Ok(Body::Json(answer))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DescribeTrails {
    #[serde(default, rename = "trailNameList")]
    names: Vec<String>,
    #[serde(rename = "includeShadowTrails")]
    shadows: Option<bool>,
}

/// DescribeTrails. Shadow trails, of other home regions or of the organisation's management account, come unless they are left
/// out.
pub(super) fn describe(world: &World, call: &Call) -> Reply {
    let asked: DescribeTrails = call.params.read()?;
    let shown = seen(world, call).filter(|((account, home), trail)| {
        let is_here = *account == &call.account && *home == &call.region;
        (is_here || asked.shadows.unwrap_or(true))
            && (asked.names.is_empty() || asked.names.iter().any(|name| is_named(trail, name)))
    });
    let shown: Vec<Value> = shown.map(|((_, home), trail)| trail.shown(home)).collect();
    Ok(Body::Json(json!({ "trailList": shown })))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ListTrails {
    #[serde(rename = "NextToken")]
    _next_token: Option<String>,
}

/// ListTrails: those of all regions.
pub(super) fn list(world: &World, call: &Call) -> Reply {
    let _: ListTrails = call.params.read()?;
    let account = world.account(&call.account);
    let trails =
        account.regions.iter().flat_map(|(home, state)| state.cloudtrail.trails.values().map(move |t| (home, t)));
    let trails = trails.map(|(home, trail)| json!({ "TrailARN": trail.arn, "Name": trail.name, "HomeRegion": home }));
    Ok(Body::Json(json!({ "Trails": trails.collect::<Vec<_>>() })))
}

/// The trails that record the call's account in its region, with their accounts and home regions.
fn seen<'w>(world: &'w World, call: &'w Call) -> impl Iterator<Item = ((&'w AccountId, &'w Region), &'w Trail)> {
    let in_organization =
        |account: &AccountId| world.organization.as_ref().is_some_and(|of| of.members.contains_key(account));
    let of_member = in_organization(&call.account);
    world
        .accounts
        .values()
        .flat_map(|account| {
            account.regions.iter().flat_map(move |(home, state)| {
                state.cloudtrail.trails.values().map(move |trail| ((&account.id, home), trail))
            })
        })
        .filter(move |((account, home), trail)| {
            let whose = *account == &call.account || (trail.organization && of_member);
            whose && (*home == &call.region || trail.multi_region)
        })
}

fn is_named(trail: &Trail, name: &str) -> bool {
    trail.name == name || trail.arn == name
}

/// A trail of the call's account whose home is the call's region.
fn own<'w>(world: &'w mut World, call: &Call, name: &str) -> Result<&'w mut Trail, Refusal> {
    let elsewhere = seen(world, call).any(|((_, home), trail)| is_named(trail, name) && *home != call.region);
    let trails = &mut world.region_mut(&call.account, &call.region).cloudtrail.trails;
    match trails.values_mut().find(|trail| is_named(trail, name)) {
        Some(trail) => Ok(trail),
        None if elsewhere => {
            let message = format!("The trail {name} must be changed from its home region.");
            Err(Refusal::new(400, "InvalidHomeRegionException", message))
        }
        None => Err(unknown(call, name)),
    }
}

fn unknown(call: &Call, name: &str) -> Refusal {
    let message = format!("Unknown trail: {name} for the user: {}", call.account);
    Refusal::new(400, "TrailNotFoundException", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::call::test_call;
    use crate::sim::cloudtrail::handle;
    use crate::sim::s3;
    use crate::sim::wire::params::Params;

    fn ask(world: &mut World, region: &str, operation: &str, with: Value) -> Result<Value, String> {
        let mut call = test_call("cloudtrail", operation, "");
        call.region = Region::new(region).unwrap();
        call.params = Params::Json(with);
        match handle(world, &call).map_err(|refusal| refusal.code)? {
            Body::Json(json) => Ok(json),
            other => panic!("{other:?}"),
        }
    }

    fn world() -> World {
        let mut world = World::new(3);
        let account = test_call("s3", "", "").account;
        world.add_account(account.clone(), "development");
        let region = Region::new("us-east-1").unwrap();
        s3::create_bucket(&mut world, &account, &region, "logs", Timestamp::UNIX_EPOCH).unwrap();
        world
    }

    #[test]
    fn a_trail_records_from_start_to_stop() {
        let mut world = world();
        let with = json!({ "Name": "audit", "S3BucketName": "logs", "IsMultiRegionTrail": true });
        assert_eq!(ask(&mut world, "us-east-1", "CreateTrail", with.clone()).unwrap()["Name"], "audit");
        assert_eq!(ask(&mut world, "us-east-1", "CreateTrail", with).unwrap_err(), "TrailAlreadyExistsException");
        let named = json!({ "Name": "audit" });
        let logging =
            |world: &mut World| ask(world, "us-east-1", "GetTrailStatus", named.clone()).unwrap()["IsLogging"].clone();
        assert_eq!(logging(&mut world), false);
        ask(&mut world, "us-east-1", "StartLogging", named.clone()).unwrap();
        assert_eq!(logging(&mut world), true);
        ask(&mut world, "us-east-1", "StopLogging", named.clone()).unwrap();
        assert_eq!(logging(&mut world), false);
    }

    #[test]
    fn a_trail_of_many_regions_is_seen_in_each_and_changed_at_home() {
        let mut world = world();
        let with = json!({ "Name": "audit", "S3BucketName": "logs", "IsMultiRegionTrail": true });
        ask(&mut world, "us-east-1", "CreateTrail", with).unwrap();
        let seen = |world: &mut World, shadows: bool| {
            ask(world, "eu-west-3", "DescribeTrails", json!({ "includeShadowTrails": shadows })).unwrap()["trailList"]
                .clone()
        };
        assert_eq!(seen(&mut world, true)[0]["HomeRegion"], "us-east-1");
        assert_eq!(seen(&mut world, false), json!([]));
        let stop = ask(&mut world, "eu-west-3", "StopLogging", json!({ "Name": "audit" }));
        assert_eq!(stop.unwrap_err(), "InvalidHomeRegionException");
    }

    #[test]
    fn a_trail_needs_a_bucket_and_an_organisation_where_it_says_so() {
        let mut world = world();
        let lost = json!({ "Name": "audit", "S3BucketName": "nowhere" });
        assert_eq!(ask(&mut world, "us-east-1", "CreateTrail", lost).unwrap_err(), "S3BucketDoesNotExistException");
        let alone = json!({ "Name": "audit", "S3BucketName": "logs", "IsOrganizationTrail": true });
        assert_eq!(ask(&mut world, "us-east-1", "CreateTrail", alone).unwrap_err(), "OrganizationsNotInUseException");
    }
}
