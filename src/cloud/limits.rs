//! AWS's documented request rates, as one table.
//!
//! EC2: "Request throttling for the Amazon EC2 API". Organizations: "Quotas and service limits for AWS Organizations".
//! STS: "IAM and AWS STS quotas". CloudTrail: "Quotas in AWS CloudTrail". Lambda: "Lambda quotas". Identity Center: "IAM Identity
//! Center quotas". Roles Anywhere: "Quotas for IAM Roles Anywhere". IAM publishes none; quell keeps to a rate that is
//! known to work. A service that is not here is not held back.

use super::call::Call;

/// A token bucket as AWS documents it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Limit {
    /// Which bucket it is, beside account, region and service: the operation, or what several operations share.
    pub bucket: String,
    /// How many tokens it holds.
    pub capacity: f64,
    /// How many come back per second.
    pub refill: f64,
    /// How many this call takes.
    pub cost: f64,
}

/// `(operation, capacity, refill per second)`; the first that fits counts, `*` at the end stands for any rest.
type Rates = &'static [(&'static str, f64, f64)];

const EC2: Rates = &[
    ("CreateTags", 100.0, 10.0),
    ("DeleteTags", 100.0, 10.0),
    ("CreateSnapshot", 100.0, 5.0),
    ("CreateSnapshots", 100.0, 5.0),
    ("ModifySnapshotAttribute", 100.0, 5.0),
    ("ModifyNetworkInterfaceAttribute", 100.0, 5.0),
    ("ModifyInstanceMetadataOptions", 100.0, 5.0),
    ("AssociateIamInstanceProfile", 100.0, 5.0),
    ("DisassociateIamInstanceProfile", 100.0, 5.0),
    ("TerminateInstances", 100.0, 5.0),
    ("CopyImage", 100.0, 1.0),
    ("RunInstances", 5.0, 2.0),
    ("StartInstances", 5.0, 2.0),
    ("DescribeSpotFleetRequests", 50.0, 3.0),
    ("ModifyInstanceMetadataDefaults", 2.0, 2.0),
    ("EnableSnapshotBlockPublicAccess", 1.0, 0.1),
    ("DisableSnapshotBlockPublicAccess", 1.0, 0.1),
    ("Describe*", 100.0, 20.0),
    ("Get*", 100.0, 20.0),
    ("List*", 100.0, 20.0),
    ("Search*", 100.0, 20.0),
    ("*", 50.0, 5.0),
];

/// What EC2 counts by instances and not by calls.
const EC2_INSTANCES: Rates = &[
    ("StopInstances", 1000.0, 20.0),
    ("TerminateInstances", 1000.0, 20.0),
    ("StartInstances", 1000.0, 2.0),
    ("RunInstances", 1000.0, 2.0),
];

/// Half the rate for those who ask for everything at once.
const EC2_UNBOUNDED: &[&str] = &[
    "DescribeInstances",
    "DescribeInstanceStatus",
    "DescribeNetworkInterfaces",
    "DescribeSecurityGroups",
    "DescribeSnapshots",
    "DescribeSpotInstanceRequests",
    "DescribeVolumes",
];

const ORGANIZATIONS: Rates = &[
    ("CreatePolicy", 3.0, 2.0),
    ("UpdatePolicy", 3.0, 2.0),
    ("DeletePolicy", 3.0, 2.0),
    ("AttachPolicy", 3.0, 2.0),
    ("DetachPolicy", 3.0, 2.0),
    ("MoveAccount", 3.0, 2.0),
    ("DescribePolicy", 2.0, 2.0),
    ("ListPolicies", 8.0, 5.0),
    ("ListPoliciesForTarget", 8.0, 5.0),
    ("ListTargetsForPolicy", 8.0, 5.0),
    ("ListParents", 8.0, 5.0),
    ("ListAccountsForParent", 8.0, 5.0),
    ("ListOrganizationalUnitsForParent", 8.0, 5.0),
    ("ListChildren", 10.0, 6.0),
    ("ListAccounts", 12.0, 8.0),
    ("DescribeAccount", 30.0, 20.0),
    ("ListRoots", 2.0, 1.0),
    ("DescribeOrganization", 2.0, 1.0),
    ("EnablePolicyType", 1.0, 1.0),
    ("DisablePolicyType", 1.0, 1.0),
];

/// The buckets that a call draws from.
pub(super) fn of(call: &Call) -> Vec<Limit> {
    match call.service.as_str() {
        "ec2" => ec2(call),
        "organizations" => single(call, ORGANIZATIONS).into_iter().collect(),
        "cloudtrail" if call.operation == "LookupEvents" => vec![shared("LookupEvents", 2.0, 2.0)],
        "lambda" if call.operation == "GetFunction" => vec![shared("GetFunction", 100.0, 100.0)],
        "lambda" if call.operation == "GetPolicy" => vec![shared("GetPolicy", 15.0, 15.0)],
        "lambda" => vec![shared("control plane", 15.0, 15.0)],
        "sso" | "identitystore" => vec![shared("all", 20.0, 20.0)],
        "rolesanywhere" => {
            let bucket = ["TrustAnchor", "Profile"].into_iter().find(|kind| call.operation.contains(kind));
            vec![shared(bucket.unwrap_or("tags"), 1.0, 1.0)]
        }
        "sts" => vec![shared("all", 600.0, 600.0)],
        "iam" if ["Get", "List", "Simulate", "Generate"].iter().any(|read| call.operation.starts_with(read)) => {
            vec![shared("reads", 30.0, 15.0)]
        }
        "iam" => vec![shared("writes", 10.0, 5.0)],
        _ => Vec::new(),
    }
}

fn ec2(call: &Call) -> Vec<Limit> {
    let mut limits: Vec<Limit> = single(call, EC2).into_iter().collect();
    let bounded = call.parameter("MaxResults").is_some()
        || call.form.iter().any(|(name, _)| name.starts_with("Filter.") || name.contains("Id."));
    if EC2_UNBOUNDED.contains(&call.operation.as_str()) && !bounded {
        limits = vec![shared(&format!("{} of everything", call.operation), 50.0, 10.0)];
    }
    if let Some(mut instances) = single(call, EC2_INSTANCES).filter(|_| !call.is_dry_run()) {
        let launched = call.parameter("MaxCount").and_then(|count| count.parse().ok());
        instances.bucket.push_str(" by instance");
        instances.cost = launched.unwrap_or_else(|| u32::try_from(call.count("InstanceId.")).map_or(1.0, f64::from));
        limits.push(instances);
    }
    limits
}

fn single(call: &Call, rates: Rates) -> Option<Limit> {
    let fits = |name: &str| match name.strip_suffix('*') {
        Some(prefix) => call.operation.starts_with(prefix),
        None => call.operation == name,
    };
    let (_, capacity, refill) = rates.iter().find(|(name, _, _)| fits(name))?;
    Some(shared(&call.operation, *capacity, *refill))
}

fn shared(bucket: &str, capacity: f64, refill: f64) -> Limit {
    Limit { bucket: bucket.to_owned(), capacity, refill, cost: 1.0 }
}

#[cfg(test)]
mod tests {
    use super::super::call::tests::form;
    use super::*;

    fn limits(body: &str) -> Vec<(String, f64, f64, f64)> {
        let limits = of(&Call::read(&form("ec2", body)));
        limits.into_iter().map(|limit| (limit.bucket, limit.capacity, limit.refill, limit.cost)).collect()
    }

    #[test]
    fn stopping_counts_the_call_and_its_instances() {
        let expected =
            [("StopInstances".into(), 50.0, 5.0, 1.0), ("StopInstances by instance".into(), 1000.0, 20.0, 2.0)];
        assert_eq!(limits("Action=StopInstances&InstanceId.1=i-1&InstanceId.2=i-2"), expected);
    }

    #[test]
    fn describing_everything_at_once_has_half_the_rate() {
        assert_eq!(limits("Action=DescribeVolumes"), [("DescribeVolumes of everything".into(), 50.0, 10.0, 1.0)]);
        assert_eq!(limits("Action=DescribeVolumes&MaxResults=500"), [("DescribeVolumes".into(), 100.0, 20.0, 1.0)]);
        assert_eq!(limits("Action=DescribeVolumes&VolumeId.1=vol-1"), [("DescribeVolumes".into(), 100.0, 20.0, 1.0)]);
    }
}
