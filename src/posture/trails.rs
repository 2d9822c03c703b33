//! Whether what is done is recorded.

use std::collections::BTreeMap;

use serde_json::Value;

use super::check::{Check, Read, Severity};
use super::facts::View;
use super::organization::ORGANIZATION as DESCRIBED;
use crate::evidence::resources::at;
use crate::model::Region;

const TRAILS: &str = "cloudtrail:DescribeTrails";
const STATUS: &str = "cloudtrail:GetTrailStatus";
const SELECTORS: &str = "cloudtrail:GetEventSelectors";

/// A trail records it.
pub(super) const MULTI_REGION: Check = Check {
    id: "cloudtrail.multi-region-trail",
    title: "A trail records all regions, with validation",
    severity: Severity::High,
    why: "Without a trail the event history is all there is: 90 days, region by region, and nothing proves that it is whole.",
    fix: "aws cloudtrail create-trail --name NAME --s3-bucket-name BUCKET --is-multi-region-trail --enable-log-file-validation, \
          then aws cloudtrail start-logging --name NAME; of one that there is: aws cloudtrail update-trail with the same options.",
    needs: &[TRAILS, STATUS, SELECTORS],
    read: |view| one_is_good(view, |_| None),
};

/// And the organisation's whole.
pub(super) const ORGANIZATION: Check = Check {
    id: "cloudtrail.organization-trail",
    title: "In an organisation, one trail records every account",
    severity: Severity::Medium,
    why: "An intruder who is administrator of a member stops the member's own trail, but cannot stop the organisation's.",
    fix: "In the management account or its delegated administrator: aws cloudtrail create-trail --name NAME --s3-bucket-name \
          BUCKET --is-organization-trail --is-multi-region-trail --enable-log-file-validation, then aws cloudtrail \
          start-logging --name NAME.",
    needs: &[TRAILS, STATUS, SELECTORS, DESCRIBED],
    read: |view| match super::organization::is_in_one(view) {
        // Where there is no organisation, the account's own trail is the whole.
        Ok(false) => Read::default(),
        Ok(true) => one_is_good(view, |trail| {
            (trail["IsOrganizationTrail"] != true).then(|| "records this account alone".to_owned())
        }),
        Err(missing) => {
            let mut read = Read::default();
            read.lack(missing);
            read
        }
    },
};

/// Passes where one trail has nothing against it; otherwise each says what it has.
fn one_is_good(view: &View<'_>, more: impl Fn(&Value) -> Option<String>) -> Read {
    let mut unknown = Read::default();
    let mut trails: BTreeMap<&str, (Region, &Value)> = BTreeMap::new();
    let mut seen = 0;
    for region in unknown.known(view.regions()).unwrap_or_default() {
        let Some(listed) = unknown.known(view.list_in(&region, TRAILS, &["trailList", "*"])) else { continue };
        seen += 1;
        for trail in listed {
            if let Some(arn) = trail["TrailARN"].as_str() {
                trails.entry(arn).or_insert_with(|| (region.clone(), trail));
            }
        }
    }
    let mut read = Read::default();
    for (arn, (region, trail)) in &trails {
        let mut one = Read::default();
        let name = format!("trail {}", trail["Name"].as_str().unwrap_or(arn));
        for (member, what) in
            [("IsMultiRegionTrail", "records one region alone"), ("LogFileValidationEnabled", "is not validated")]
        {
            if trail[member] != true {
                one.fail(&name, what);
            }
        }
        if let Some(what) = more(trail) {
            one.fail(&name, what);
        }
        let home =
            trail["HomeRegion"].as_str().and_then(|home| Region::new(home).ok()).unwrap_or_else(|| region.clone());
        let about = |api: &str| {
            let answers = view.all_in(&home, api)?;
            let missing =
                super::Missing { region: Some(home.clone()), why: format!("{api} of {arn} was not captured") };
            answers.into_iter().find(|answer| answer.names(arn)).map(|answer| &answer.said).ok_or(missing)
        };
        if let Some(status) = one.known(about(STATUS))
            && status["IsLogging"] != true
        {
            one.fail(&name, "is stopped");
        }
        if let Some(selectors) = one.known(about(SELECTORS))
            && !records_management(selectors)
        {
            one.fail(&name, "leaves out management events");
        }
        if one.facts.is_empty() && one.lacks.is_empty() {
            return one;
        }
        read.facts.extend(one.facts);
        read.lacks.extend(one.lacks);
    }
    // A trail of all regions is seen from each: one region that answered tells of it.
    if seen == 0 {
        read.lacks.extend(unknown.lacks);
    }
    if trails.is_empty() && read.lacks.is_empty() {
        read.fail("account", "has no trail");
    }
    // What is wrong with one trail says nothing while another is not known.
    if !read.lacks.is_empty() {
        read.facts.clear();
    }
    read
}

/// Whether all management events are recorded, those that only read and those that change something.
fn records_management(selectors: &Value) -> bool {
    let basic = at(selectors, &["EventSelectors", "*"]);
    let advanced = at(selectors, &["AdvancedEventSelectors", "*"]);
    let is_all = |selector: &&Value| {
        let fields = at(selector, &["FieldSelectors", "*"]);
        let of = |name: &str| fields.iter().find(|field| field["Field"] == name);
        of("eventCategory").is_some_and(|field| field["Equals"][0] == "Management") && of("readOnly").is_none()
    };
    basic.iter().any(|selector| selector["IncludeManagementEvents"] == true && selector["ReadWriteType"] == "All")
        || advanced.iter().any(is_all)
}
