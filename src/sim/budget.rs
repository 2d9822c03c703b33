//! AWS's documented rate limits, as token buckets.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::call::{Call, Refusal};
use super::wire::params::{Form, Params};
use super::wire::protocol::Protocol;
use crate::model::{AccountId, Region};

/// One line of the table: the bucket that calls of an operation draw from.
struct Budget {
    service: &'static str,
    which: Which,
    /// Whether all operations of the line share one bucket, or each has its own.
    bucket: Bucket,
    capacity: f64,
    /// Tokens per second.
    refill: f64,
}

/// The operations of a line. The first line that fits a call is the call's.
enum Which {
    /// These.
    Named(&'static [&'static str]),
    /// These, when they come without filter, ids and page size.
    Unfiltered(&'static [&'static str]),
    /// Those whose names begin so.
    Prefixed(&'static [&'static str]),
    /// All others.
    Rest,
}

enum Bucket {
    PerOperation,
    Shared(&'static str),
}

const fn line(service: &'static str, which: Which, capacity: f64, refill: f64) -> Budget {
    Budget { service, which, bucket: Bucket::PerOperation, capacity, refill }
}

const fn shared(service: &'static str, name: &'static str, which: Which, capacity: f64, refill: f64) -> Budget {
    Budget { service, which, bucket: Bucket::Shared(name), capacity, refill }
}

/// The operations of Roles Anywhere that share the rate of trust anchors.
const ANCHOR_OPERATIONS: [&str; 6] = [
    "CreateTrustAnchor",
    "DeleteTrustAnchor",
    "DisableTrustAnchor",
    "EnableTrustAnchor",
    "GetTrustAnchor",
    "ListTrustAnchors",
];

/// EC2: "Request throttling for the Amazon EC2 API". Organizations: "Quotas and service limits". STS: "IAM and STS
/// quotas". CloudTrail: "Quotas in CloudTrail". Batch: "AWS Batch service quotas", for SubmitJob alone. Identity Center: "IAM Identity Center quotas". Roles
/// Anywhere: "Quotas for IAM Roles Anywhere". The others, and IAM,
/// Auto Scaling and Account, publish none: what is here is modest.
const BUDGETS: &[Budget] = &[
    line("ec2", Which::Named(&["RunInstances", "StartInstances"]), 5.0, 2.0),
    line("ec2", Which::Named(&["CreateTags", "DeleteTags"]), 100.0, 10.0),
    line("ec2", Which::Named(&["CopyImage"]), 100.0, 1.0),
    line("ec2", Which::Named(&["DescribeSpotFleetRequests"]), 50.0, 3.0),
    line("ec2", Which::Named(&["ModifyInstanceMetadataDefaults"]), 2.0, 2.0),
    line("ec2", Which::Named(&["EnableSnapshotBlockPublicAccess", "DisableSnapshotBlockPublicAccess"]), 1.0, 0.1),
    line(
        "ec2",
        Which::Named(&[
            "AssociateIamInstanceProfile",
            "CreateSnapshot",
            "CreateSnapshots",
            "DisassociateIamInstanceProfile",
            "ModifyInstanceMetadataOptions",
            "ModifyNetworkInterfaceAttribute",
            "ModifySnapshotAttribute",
            "TerminateInstances",
        ]),
        100.0,
        5.0,
    ),
    line(
        "ec2",
        Which::Unfiltered(&[
            "DescribeInstances",
            "DescribeInstanceStatus",
            "DescribeNetworkInterfaces",
            "DescribeSecurityGroups",
            "DescribeSnapshots",
            "DescribeSpotInstanceRequests",
            "DescribeVolumes",
        ]),
        50.0,
        10.0,
    ),
    line("ec2", Which::Prefixed(&["Describe", "Get", "List", "Search"]), 100.0, 20.0),
    line("ec2", Which::Rest, 50.0, 5.0),
    shared("sts", "STS", Which::Rest, 600.0, 600.0),
    line("cloudtrail", Which::Named(&["LookupEvents"]), 2.0, 2.0),
    line("cloudtrail", Which::Rest, 10.0, 10.0),
    line(
        "organizations",
        Which::Named(&["CreatePolicy", "DeletePolicy", "AttachPolicy", "DetachPolicy", "UpdatePolicy", "MoveAccount"]),
        3.0,
        2.0,
    ),
    line("organizations", Which::Named(&["EnablePolicyType", "DisablePolicyType"]), 1.0, 1.0),
    line("organizations", Which::Named(&["DescribePolicy"]), 2.0, 2.0),
    line("organizations", Which::Named(&["ListRoots", "DescribeOrganization"]), 2.0, 1.0),
    line("organizations", Which::Named(&["ListAccounts"]), 12.0, 8.0),
    line("organizations", Which::Named(&["ListChildren"]), 10.0, 6.0),
    line("organizations", Which::Named(&["DescribeAccount"]), 30.0, 20.0),
    line("organizations", Which::Rest, 8.0, 5.0),
    line("iam", Which::Prefixed(&["Get", "List", "Simulate", "Generate"]), 100.0, 20.0),
    line("iam", Which::Rest, 50.0, 15.0),
    line("autoscaling", Which::Prefixed(&["Describe"]), 100.0, 20.0),
    line("autoscaling", Which::Rest, 50.0, 10.0),
    line("amplify", Which::Prefixed(&["Get", "List"]), 50.0, 10.0),
    line("amplify", Which::Rest, 20.0, 5.0),
    line("apprunner", Which::Rest, 20.0, 5.0),
    line("codebuild", Which::Prefixed(&["BatchGet", "List"]), 50.0, 10.0),
    line("codebuild", Which::Rest, 25.0, 5.0),
    line("glue", Which::Prefixed(&["Get", "List"]), 100.0, 20.0),
    line("glue", Which::Rest, 25.0, 5.0),
    line("account", Which::Rest, 20.0, 10.0),
    line("batch", Which::Named(&["SubmitJob"]), 50.0, 50.0),
    line("batch", Which::Rest, 50.0, 20.0),
    line("lambda", Which::Named(&["Invoke"]), 10_000.0, 10_000.0),
    line("lambda", Which::Named(&["GetFunction"]), 100.0, 100.0),
    line("lambda", Which::Named(&["GetPolicy"]), 15.0, 15.0),
    shared("lambda", "control plane of Lambda", Which::Rest, 15.0, 15.0),
    line("sagemaker", Which::Prefixed(&["Describe", "List"]), 50.0, 20.0),
    line("sagemaker", Which::Rest, 20.0, 10.0),
    line("ecs", Which::Prefixed(&["Describe", "Get", "List"]), 100.0, 20.0),
    line("ecs", Which::Named(&["RunTask", "StopTask"]), 100.0, 40.0),
    line("ecs", Which::Rest, 50.0, 5.0),
    line("elasticmapreduce", Which::Rest, 20.0, 5.0),
    line("lightsail", Which::Rest, 50.0, 10.0),
    shared("sso", "Identity Center", Which::Rest, 20.0, 20.0),
    shared("identitystore", "identity store", Which::Rest, 20.0, 20.0),
    shared("rolesanywhere", "tags of Roles Anywhere", Which::Named(&["ListTagsForResource"]), 1.0, 1.0),
    shared("rolesanywhere", "trust anchors", Which::Named(&ANCHOR_OPERATIONS), 1.0, 1.0),
    shared("rolesanywhere", "profiles", Which::Rest, 1.0, 1.0),
];

/// Buckets that are drawn from by instance, not by call (EC2, "Resource token bucket sizes and refill rates").
const INSTANCE_BUDGETS: &[(&str, f64, f64)] = &[
    ("RunInstances", 1000.0, 2.0),
    ("StartInstances", 1000.0, 2.0),
    ("StopInstances", 1000.0, 20.0),
    ("TerminateInstances", 1000.0, 20.0),
];

/// The buckets of all accounts and regions, as full as they are now.
#[derive(Debug, Default)]
pub struct Budgets {
    buckets: BTreeMap<(AccountId, Region, String), Level>,
}

#[derive(Debug, Clone, Copy)]
struct Level {
    tokens: f64,
    at: Timestamp,
}

impl Budgets {
    /// Pays for the call itself.
    pub fn charge_call(&mut self, call: &Call) -> Result<(), Refusal> {
        let Some(budget) = BUDGETS.iter().find(|budget| budget.fits(call)) else { return Ok(()) };
        let bucket = match budget.bucket {
            Bucket::PerOperation => format!("{}:{}", call.service, call.operation),
            Bucket::Shared(name) => name.to_owned(),
        };
        self.draw(call, bucket, 1.0, budget.capacity, budget.refill)
    }

    /// Pays for the instances that the call works on.
    pub fn charge_instances(&mut self, call: &Call) -> Result<(), Refusal> {
        let budget =
            INSTANCE_BUDGETS.iter().find(|(operation, ..)| call.service == "ec2" && *operation == call.operation);
        let Some((operation, capacity, refill)) = budget else { return Ok(()) };
        self.draw(call, format!("instances of {operation}"), instances(&call.params), *capacity, *refill)
    }

    fn draw(&mut self, call: &Call, bucket: String, wanted: f64, capacity: f64, refill: f64) -> Result<(), Refusal> {
        let key = (call.account.clone(), call.region.clone(), bucket);
        let full = Level { tokens: capacity, at: call.now };
        let level = self.buckets.entry(key).or_insert(full);
        let elapsed = call.now.duration_since(level.at).as_secs_f64().max(0.0);
        *level = Level { tokens: (level.tokens + elapsed * refill).min(capacity), at: call.now };
        if level.tokens < wanted {
            return Err(throttled(&call.service));
        }
        level.tokens -= wanted;
        Ok(())
    }
}

impl Budget {
    fn fits(&self, call: &Call) -> bool {
        let operation = call.operation.as_str();
        self.service == call.service
            && match self.which {
                Which::Named(names) => names.contains(&operation),
                Which::Unfiltered(names) => names.contains(&operation) && is_unfiltered(&call.params),
                Which::Prefixed(prefixes) => prefixes.iter().any(|prefix| operation.starts_with(prefix)),
                Which::Rest => true,
            }
    }
}

/// How the service says that it is asked too often.
pub fn throttled(service: &str) -> Refusal {
    match (Protocol::of(service), service) {
        (Some(Protocol::Ec2), _) => Refusal::new(503, "RequestLimitExceeded", "Request limit exceeded."),
        (_, "rolesanywhere") => Refusal::new(400, "ThrottlingException", "Rate exceeded"),
        (_, "organizations") => Refusal::new(400, "TooManyRequestsException", "You have sent too many requests."),
        (Some(Protocol::RestJson), _) => Refusal::new(429, "TooManyRequestsException", "Too many requests."),
        (Some(Protocol::Json), _) => Refusal::new(400, "ThrottlingException", "Rate exceeded"),
        (Some(Protocol::RestXml), _) => Refusal::new(503, "SlowDown", "Please reduce your request rate."),
        _ => Refusal::new(400, "Throttling", "Rate exceeded"),
    }
}

fn is_unfiltered(params: &Params) -> bool {
    match params {
        Params::Form(Form::Tree(tree)) => {
            tree.keys().all(|name| matches!(name.as_str(), "DryRun" | "IncludeAllInstances"))
        }
        _ => false,
    }
}

/// How many instances a call works on: those it names, or as many as it launches at most.
fn instances(params: &Params) -> f64 {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase", default)]
    struct Instances {
        #[serde(rename = "InstanceId")]
        ids: Vec<String>,
        max_count: u32,
    }
    impl Default for Instances {
        fn default() -> Self {
            Self { ids: Vec::new(), max_count: 1 }
        }
    }
    let Instances { ids, max_count } = params.read().unwrap_or_default();
    if ids.is_empty() { f64::from(max_count) } else { f64::from(u32::try_from(ids.len()).unwrap_or(u32::MAX)) }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::sim::call::test_call;

    fn refused(budgets: &mut Budgets, call: &Call, calls: usize) -> usize {
        (0..calls).filter(|_| budgets.charge_call(call).is_err()).count()
    }

    #[test]
    fn a_bucket_empties_and_fills_again() {
        let mut budgets = Budgets::default();
        let mut call = test_call("ec2", "StopInstances", "InstanceId.1=i-1");
        assert_eq!(refused(&mut budgets, &call, 60), 10);
        call.now += SignedDuration::from_secs(2);
        assert_eq!(refused(&mut budgets, &call, 20), 10);
        assert_eq!(budgets.charge_call(&call).unwrap_err().code, "RequestLimitExceeded");
    }

    #[test]
    fn regions_have_buckets_of_their_own() {
        let mut budgets = Budgets::default();
        let mut call = test_call("cloudtrail", "LookupEvents", "");
        assert_eq!(refused(&mut budgets, &call, 3), 1);
        call.region = Region::new("eu-west-3").unwrap();
        assert_eq!(refused(&mut budgets, &call, 2), 0);
    }

    #[test]
    fn unfiltered_describes_have_a_smaller_bucket() {
        let mut budgets = Budgets::default();
        assert_eq!(refused(&mut budgets, &test_call("ec2", "DescribeVolumes", ""), 51), 1);
        let mut budgets = Budgets::default();
        assert_eq!(refused(&mut budgets, &test_call("ec2", "DescribeVolumes", "MaxResults=500"), 101), 1);
    }

    #[test]
    fn instances_are_counted_not_calls() {
        let mut budgets = Budgets::default();
        let many: Vec<String> = (1..=600).map(|n| format!("InstanceId.{n}=i-{n}")).collect();
        let call = test_call("ec2", "StopInstances", &many.join("&"));
        assert_eq!(budgets.charge_instances(&call), Ok(()));
        assert_eq!(budgets.charge_instances(&call).unwrap_err().status, 503);
    }
}
