//! The guard on the wire: during survey and plan nothing leaves that is not on the read list.

use super::call::Call;
use crate::engine::ports::Access;

/// A request that the guard kept back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("quell only looks at this point, and {call} is not on its read list: the request was not sent")]
pub(super) struct Refused {
    /// `ec2:StopInstances`.
    pub call: String,
}

/// What may be read, per service. A `*` at the end stands for any rest. STS and Lightsail are listed name by name: other
/// `Get…` calls of theirs hand out credentials.
const READS: &[(&str, &[&str])] = &[
    ("account", &["ListRegions", "GetRegionOptStatus"]),
    ("amplify", &["GetApp", "GetBranch", "ListApps", "ListBranches", "ListJobs", "ListWebhooks"]),
    ("apprunner", &["DescribeService", "ListServices", "ListTagsForResource"]),
    ("autoscaling", &["Describe*"]),
    ("batch", &["DescribeComputeEnvironments", "DescribeJobQueues", "ListJobs"]),
    ("budgets", &["Describe*"]),
    ("ce", &["GetAnomalyMonitors", "GetAnomalySubscriptions", "GetCostAndUsage"]),
    ("cloudtrail", &["Describe*", "Get*", "List*", "LookupEvents"]),
    ("codebuild", &["BatchGet*", "List*"]),
    ("config", &["Describe*", "Get*", "List*"]),
    ("ec2", &["Describe*", "Get*", "List*", "Search*"]),
    ("elasticmapreduce", &["DescribeCluster", "ListClusters"]),
    ("glue", &["GetJob*", "GetTags", "GetTrigger*", "ListSessions"]),
    ("ecs", &["Describe*", "List*", "GetTaskProtection"]),
    ("guardduty", &["GetDetector", "GetFindings", "ListDetectors", "ListFindings"]),
    ("iam", &["Get*", "List*", "Simulate*", "GenerateCredentialReport", "GenerateServiceLastAccessedDetails"]),
    ("identitystore", &["Describe*", "Get*", "List*"]),
    ("lambda", &["Get*", "List*"]),
    ("lightsail", &["GetContainerServices", "GetInstance", "GetInstances", "GetRegions"]),
    ("organizations", &["Describe*", "List*"]),
    ("rolesanywhere", &["ListProfiles", "ListTagsForResource", "ListTrustAnchors"]),
    ("s3", &["GET", "HEAD"]),
    ("sagemaker", &["Describe*", "List*"]),
    ("sso", &["Describe*", "List*"]),
    ("sts", &["AssumeRole", "DecodeAuthorizationMessage", "GetAccessKeyInfo", "GetCallerIdentity"]),
];

/// Lets a request pass, or says why not.
pub(super) fn check(access: Access, call: &Call) -> Result<(), Refused> {
    match access {
        Access::Write => Ok(()),
        Access::Read if call.is_dry_run() || reads(call) => Ok(()),
        Access::Read => Err(Refused { call: call.name() }),
    }
}

/// Whether a request is on the read list.
pub(super) fn reads(call: &Call) -> bool {
    let names = READS.iter().find(|(service, _)| *service == call.service).map_or(&[][..], |(_, names)| names);
    names.iter().any(|name| match name.strip_suffix('*') {
        Some(prefix) => call.operation.starts_with(prefix),
        None => call.operation == *name,
    })
}

#[cfg(test)]
mod tests {
    use super::super::call::tests::form;
    use super::*;

    fn reading(service: &str, body: &str) -> Result<(), Refused> {
        check(Access::Read, &Call::read(&form(service, body)))
    }

    #[test]
    fn reads_pass() {
        for (service, body) in [
            ("ec2", "Action=DescribeInstances"),
            ("iam", "Action=SimulatePrincipalPolicy"),
            ("sts", "Action=AssumeRole"),
            ("ec2", "Action=StopInstances&InstanceId.1=i-1&DryRun=true"),
        ] {
            assert_eq!(reading(service, body), Ok(()), "{body}");
        }
    }

    #[test]
    fn writes_and_what_is_unknown_do_not_leave() {
        for (service, body) in [
            ("ec2", "Action=StopInstances&InstanceId.1=i-1"),
            ("ec2", "Action=StopInstances&DryRun=false"),
            ("iam", "Action=UpdateAccessKey&DryRun=true"),
            ("sts", "Action=GetSessionToken"),
            ("kinesis", "Action=GetRecords"),
            ("", "Action=DescribeInstances"),
        ] {
            assert!(reading(service, body).is_err(), "{service} {body}");
            assert_eq!(check(Access::Write, &Call::read(&form(service, body))), Ok(()));
        }
    }
}
