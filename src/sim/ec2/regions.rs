//! Regions, zones, and what an account has set for a region.

use serde::Deserialize;

use super::Ec2;
use super::listing::{Filter, Listed, Look, keep, one};
use super::tags::Tags;
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;
use crate::sim::world::World;

struct Row {
    name: String,
    opt_in: &'static str,
    tags: Tags,
}

impl Listed for Row {
    const FILTERS: &'static [(&'static str, Look<Self>)] = &[
        ("endpoint", |_, r| one(format!("ec2.{}.amazonaws.com", r.name))),
        ("opt-in-status", |_, r| one(r.opt_in)),
        ("region-name", |_, r| one(&r.name)),
    ];

    fn id(&self) -> &str {
        &self.name
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DescribeRegions {
    #[serde(default, rename = "RegionName")]
    names: Vec<String>,
    #[serde(default)]
    all_regions: bool,
    #[serde(default, rename = "Filter")]
    filters: Vec<Filter>,
    _dry_run: Option<bool>,
}

/// DescribeRegions: the enabled ones, or all.
pub fn describe(world: &World, call: &Call) -> Reply {
    let params: DescribeRegions = call.params.read()?;
    let account = world.account(&call.account);
    let known = |name: &String| account.regions.keys().any(|region| region.as_str() == name);
    if let Some(unknown) = params.names.iter().find(|name| !known(name)) {
        return Err(Refusal::new(400, "InvalidParameterValue", format!("Invalid region provided: {unknown}")));
    }
    let rows: Vec<Row> = account
        .regions
        .iter()
        .filter(|(region, state)| {
            let named = params.names.iter().any(|name| name == region.as_str());
            named || (params.names.is_empty() && (params.all_regions || state.opt_in.is_enabled()))
        })
        .map(|(region, state)| Row { name: region.to_string(), opt_in: state.opt_in.as_str(), tags: Tags::new() })
        .collect();
    let ec2 = &world.region(&call.account, &call.region).ec2;
    let items = keep(ec2, &rows, &params.filters)?.into_iter().map(|row| {
        vec![
            Xml::text("regionName", &row.name),
            Xml::text("regionEndpoint", format!("ec2.{}.amazonaws.com", row.name)),
            Xml::text("optInStatus", row.opt_in),
        ]
    });
    Ok(Body::Xml(vec![Xml::list("regionInfo", "item", items)]))
}

struct Zone {
    name: String,
    id: String,
    tags: Tags,
}

impl Listed for Zone {
    const FILTERS: &'static [(&'static str, Look<Self>)] = &[
        ("opt-in-status", |_, _| one("opt-in-not-required")),
        ("region-name", |ec2, _| one(&ec2.region)),
        ("state", |_, _| one("available")),
        ("zone-id", |_, z| one(&z.id)),
        ("zone-name", |_, z| one(&z.name)),
        ("zone-type", |_, _| one("availability-zone")),
    ];

    #[expect(clippy::misnamed_getters, reason = "zones are listed by name")]
    fn id(&self) -> &str {
        &self.name
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DescribeAvailabilityZones {
    #[serde(default, rename = "ZoneName")]
    names: Vec<String>,
    #[serde(default, rename = "ZoneId")]
    ids: Vec<String>,
    #[serde(default, rename = "Filter")]
    filters: Vec<Filter>,
    _all_availability_zones: Option<bool>,
    _dry_run: Option<bool>,
}

/// DescribeAvailabilityZones.
pub fn describe_zones(ec2: &Ec2, call: &Call) -> Reply {
    let params: DescribeAvailabilityZones = call.params.read()?;
    let zones: Vec<Zone> = ec2
        .zones()
        .enumerate()
        .map(|(number, name)| Zone { id: format!("{}-az{}", short(&ec2.region), number + 1), name, tags: Tags::new() })
        .filter(|zone| params.names.is_empty() || params.names.contains(&zone.name))
        .filter(|zone| params.ids.is_empty() || params.ids.contains(&zone.id))
        .collect();
    if zones.len() < params.names.len().max(params.ids.len()) {
        let message = format!("Invalid availability zone: {:?}", [params.names, params.ids].concat());
        return Err(Refusal::new(400, "InvalidParameterValue", message));
    }
    let items = keep(ec2, &zones, &params.filters)?.into_iter().map(|zone| {
        vec![
            Xml::text("zoneName", &zone.name),
            Xml::text("zoneId", &zone.id),
            Xml::text("zoneState", "available"),
            Xml::text("regionName", &ec2.region),
            Xml::text("optInStatus", "opt-in-not-required"),
            Xml::text("groupName", format!("{}-zg-1", ec2.region)),
            Xml::text("networkBorderGroup", &ec2.region),
            Xml::text("zoneType", "availability-zone"),
        ]
    });
    Ok(Body::Xml(vec![Xml::list("availabilityZoneInfo", "item", items)]))
}

/// `euw3` for `eu-west-3`, as zone ids begin.
fn short(region: &str) -> String {
    let mut parts = region.split('-');
    let area = parts.next().unwrap_or_default();
    let direction = match parts.next().unwrap_or_default() {
        "northeast" => "ne",
        "northwest" => "nw",
        "southeast" => "se",
        "southwest" => "sw",
        other => other.get(..1).unwrap_or_default(),
    };
    format!("{area}{direction}{}", parts.next().unwrap_or_default())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DescribeAccountAttributes {
    #[serde(default, rename = "AttributeName")]
    names: Vec<String>,
    _dry_run: Option<bool>,
}

/// DescribeAccountAttributes.
pub fn describe_account_attributes(ec2: &Ec2, call: &Call) -> Reply {
    let params: DescribeAccountAttributes = call.params.read()?;
    let default_vpc = ec2.default_vpc().map_or("none", |vpc| vpc.id.as_str());
    let attributes = [
        ("supported-platforms", "VPC"),
        ("default-vpc", default_vpc),
        ("max-instances", "1000"),
        ("vpc-max-security-groups-per-interface", "5"),
        ("max-elastic-ips", "5"),
        ("vpc-max-elastic-ips", "5"),
    ];
    let items = attributes
        .into_iter()
        .filter(|(name, _)| params.names.is_empty() || params.names.iter().any(|wanted| wanted == name))
        .map(|(name, value)| {
            let values = Xml::list("attributeValueSet", "item", [vec![Xml::text("attributeValue", value)]]);
            vec![Xml::text("attributeName", name), values]
        });
    Ok(Body::Xml(vec![Xml::list("accountAttributeSet", "item", items)]))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct NoParameters {
    _dry_run: Option<bool>,
}

/// GetManagedResourceVisibility.
pub fn managed_visibility(ec2: &Ec2, call: &Call) -> Reply {
    let _: NoParameters = call.params.read()?;
    let visibility = if ec2.hides_managed_resources { "hidden" } else { "visible" };
    Ok(Body::Xml(vec![Xml::node("visibility", vec![Xml::text("defaultVisibility", visibility)])]))
}

impl Ec2 {
    /// The region's zones.
    pub fn zones(&self) -> impl Iterator<Item = String> + '_ {
        ["a", "b", "c"].into_iter().map(|letter| format!("{}{letter}", self.region))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn zone_ids_begin_as_aws_abbreviates() {
        assert_eq!(["eu-west-3", "ap-southeast-1", "us-east-1"].map(super::short), ["euw3", "apse1", "use1"]);
    }
}
