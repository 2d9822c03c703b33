//! The resources that answers of AWS speak of, one by one.

use jiff::Timestamp;
use serde_json::Value;

use super::item::Item;
use crate::model::Target;

/// What an answer says of one resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// What it is: `ec2 instance`.
    pub kind: &'static str,
    /// Its id, unique among its kind in its target.
    pub id: String,
    /// Where it is.
    pub target: Target,
    /// When AWS said so.
    pub at: Timestamp,
    /// What it said.
    pub state: Value,
}

/// Where a list of resources stands in an answer.
struct Listing {
    api: &'static str,
    kind: &'static str,
    /// The way to each of them; `*` stands for every item of a list.
    path: &'static str,
    /// The members that make up the id.
    id: &'static [&'static str],
}

const fn list(api: &'static str, kind: &'static str, path: &'static str, id: &'static [&'static str]) -> Listing {
    Listing { api, kind, path, id }
}

/// The lists that are taken apart. Of every other answer the whole is one record, under what was asked for.
const LISTINGS: &[Listing] = &[
    list(
        "autoscaling:DescribeAutoScalingGroups",
        "autoscaling group",
        "AutoScalingGroups/*",
        &["AutoScalingGroupName"],
    ),
    list("autoscaling:DescribeScalingActivities", "autoscaling activity", "Activities/*", &["ActivityId"]),
    list("cloudtrail:DescribeTrails", "cloudtrail trail", "trailList/*", &["TrailARN"]),
    list("cloudtrail:LookupEvents", "cloudtrail event", "Events/*", &["EventId"]),
    list("config:DescribeConfigurationRecorders", "config recorder", "ConfigurationRecorders/*", &["name"]),
    list("ec2:DescribeAddresses", "ec2 address", "addressesSet/*", &["allocationId"]),
    list(
        "ec2:DescribeCapacityReservations",
        "ec2 capacity reservation",
        "capacityReservationSet/*",
        &["capacityReservationId"],
    ),
    list("ec2:DescribeFleets", "ec2 fleet", "fleetSet/*", &["fleetId"]),
    list("ec2:DescribeImages", "ec2 image", "imagesSet/*", &["imageId"]),
    list("ec2:DescribeInstances", "ec2 instance", "reservationSet/*/instancesSet/*", &["instanceId"]),
    list("ec2:DescribeKeyPairs", "ec2 key pair", "keySet/*", &["keyPairId"]),
    list(
        "ec2:DescribeLaunchTemplateVersions",
        "ec2 launch template version",
        "launchTemplateVersionSet/*",
        &["launchTemplateId", "versionNumber"],
    ),
    list("ec2:DescribeLaunchTemplates", "ec2 launch template", "launchTemplates/*", &["launchTemplateId"]),
    list("ec2:DescribeNetworkAcls", "ec2 network acl", "networkAclSet/*", &["networkAclId"]),
    list("ec2:DescribeNetworkInterfaces", "ec2 network interface", "networkInterfaceSet/*", &["networkInterfaceId"]),
    list("ec2:DescribeSecurityGroups", "ec2 security group", "securityGroupInfo/*", &["groupId"]),
    list("ec2:DescribeSnapshots", "ec2 snapshot", "snapshotSet/*", &["snapshotId"]),
    list("ec2:DescribeSpotFleetRequests", "ec2 spot fleet", "spotFleetRequestConfigSet/*", &["spotFleetRequestId"]),
    list(
        "ec2:DescribeSpotInstanceRequests",
        "ec2 spot request",
        "spotInstanceRequestSet/*",
        &["spotInstanceRequestId"],
    ),
    list("ec2:DescribeSubnets", "ec2 subnet", "subnetSet/*", &["subnetId"]),
    list("ec2:DescribeVolumes", "ec2 volume", "volumeSet/*", &["volumeId"]),
    list("ec2:DescribeVpcs", "ec2 vpc", "vpcSet/*", &["vpcId"]),
    list("guardduty:GetFindings", "guardduty finding", "findings/*", &["id"]),
    list("iam:GetAccountAuthorizationDetails", "iam group", "GroupDetailList/*", &["GroupName"]),
    list("iam:GetAccountAuthorizationDetails", "iam policy", "Policies/*", &["Arn"]),
    list("iam:GetAccountAuthorizationDetails", "iam role", "RoleDetailList/*", &["RoleName"]),
    list("iam:GetAccountAuthorizationDetails", "iam user", "UserDetailList/*", &["UserName"]),
    list("iam:ListAccessKeys", "iam access key", "AccessKeyMetadata/*", &["AccessKeyId"]),
    list("iam:ListMFADevices", "iam mfa device", "MFADevices/*", &["SerialNumber"]),
    list("iam:ListUsers", "iam user, listed", "Users/*", &["UserName"]),
    list("organizations:ListAccounts", "organizations account", "Accounts/*", &["Id"]),
    list("organizations:ListPolicies", "organizations policy", "Policies/*", &["Id"]),
    list("s3:ListBuckets", "s3 bucket", "Buckets/*", &["Name"]),
];

/// The page tokens among parameters: they do not tell one resource from another.
const PAGES: [&str; 6] = ["NextToken", "nextToken", "Marker", "marker", "MaxResults", "MaxItems"];

/// The resources of an answer.
pub fn records(item: &Item, answer: &Value) -> Vec<Record> {
    let record =
        |kind, id, state: &Value| Record { kind, id, target: item.target(), at: item.at, state: state.clone() };
    let mut listings = LISTINGS.iter().filter(|listing| listing.api == item.api).peekable();
    if listings.peek().is_none() {
        return vec![record("answer", question(item), answer)];
    }
    let mut found = Vec::new();
    for listing in listings {
        let path: Vec<&str> = listing.path.split('/').collect();
        for state in at(answer, &path) {
            let part =
                |name: &&str| state.get(name).map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned));
            let id: Vec<String> = listing.id.iter().filter_map(part).collect();
            found.push(record(listing.kind, id.join("/"), state));
        }
    }
    found
}

/// What was asked, in a line: the operation with its parameters.
fn question(item: &Item) -> String {
    let wanted = item.parameters.iter().filter(|(name, _)| !PAGES.contains(&name.as_str()));
    let wanted = wanted
        .map(|(name, value)| format!("{name}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
    std::iter::once(item.api.clone()).chain(wanted).collect::<Vec<_>>().join(" ")
}

/// Everything at the end of a way; nothing where the way does not go on.
pub fn at<'a>(value: &'a Value, path: &[&str]) -> Vec<&'a Value> {
    let Some((first, rest)) = path.split_first() else { return vec![value] };
    match (*first, value) {
        ("*", Value::Array(items)) => items.iter().flat_map(|item| at(item, rest)).collect(),
        (name, Value::Object(members)) => members.get(name).map(|member| at(member, rest)).unwrap_or_default(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Digest;

    fn item(api: &str, parameters: Value) -> Item {
        let Value::Object(parameters) = parameters else { panic!("parameters are an object") };
        let (account, region) = ("111122223333".parse().unwrap(), "eu-west-3".parse().unwrap());
        let (api, sha256) = (api.to_owned(), Digest::of(""));
        Item { api, parameters, account, region, request: None, at: Timestamp::UNIX_EPOCH, sha256, bytes: 0 }
    }

    #[test]
    fn a_list_is_taken_apart() {
        let answer =
            json!({ "reservationSet": [ { "instancesSet": [ { "instanceId": "i-1" }, { "instanceId": "i-2" } ] } ] });
        let records = records(&item("ec2:DescribeInstances", json!({})), &answer);
        let ids: Vec<_> = records.iter().map(|record| (record.kind, record.id.as_str())).collect();
        assert_eq!(ids, [("ec2 instance", "i-1"), ("ec2 instance", "i-2")]);
        assert!(
            super::records(&item("ec2:DescribeInstances", json!({})), &json!({ "reservationSet": null })).is_empty()
        );
    }

    #[test]
    fn another_answer_is_known_by_its_question() {
        let asked = item("iam:GetAccessKeyLastUsed", json!({ "AccessKeyId": "AKIA", "Marker": "m" }));
        let records = records(&asked, &json!({ "UserName": "a" }));
        assert_eq!(records[0].id, "iam:GetAccessKeyLastUsed AccessKeyId=AKIA");
    }
}
