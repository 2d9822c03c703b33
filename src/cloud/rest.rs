//! The operations behind the methods and paths of REST services, as far as quell uses them.

/// Method, path and operation; `*` stands for one part of the path.
const LAMBDA: [(&str, &str, &str); 20] = [
    ("GET", "2015-03-31/functions", "ListFunctions"),
    ("GET", "2015-03-31/functions/*", "GetFunction"),
    ("GET", "2015-03-31/functions/*/policy", "GetPolicy"),
    ("GET", "2015-03-31/functions/*/versions", "ListVersionsByFunction"),
    ("GET", "2015-03-31/functions/*/aliases", "ListAliases"),
    ("GET", "2019-09-30/functions/*/concurrency", "GetFunctionConcurrency"),
    ("GET", "2019-09-30/functions/*/provisioned-concurrency", "ListProvisionedConcurrencyConfigs"),
    ("GET", "2021-10-31/functions/*/url", "GetFunctionUrlConfig"),
    ("GET", "2021-10-31/functions/*/urls", "ListFunctionUrlConfigs"),
    ("GET", "2015-03-31/event-source-mappings", "ListEventSourceMappings"),
    ("GET", "2015-03-31/event-source-mappings/*", "GetEventSourceMapping"),
    ("POST", "2015-03-31/functions/*/policy", "AddPermission"),
    ("DELETE", "2015-03-31/functions/*/policy/*", "RemovePermission"),
    ("PUT", "2015-03-31/event-source-mappings/*", "UpdateEventSourceMapping"),
    ("PUT", "2017-10-31/functions/*/concurrency", "PutFunctionConcurrency"),
    ("DELETE", "2017-10-31/functions/*/concurrency", "DeleteFunctionConcurrency"),
    ("PUT", "2019-09-30/functions/*/provisioned-concurrency", "PutProvisionedConcurrencyConfig"),
    ("DELETE", "2019-09-30/functions/*/provisioned-concurrency", "DeleteProvisionedConcurrencyConfig"),
    ("PUT", "2021-10-31/functions/*/url", "UpdateFunctionUrlConfig"),
    ("POST", "2015-03-31/functions/*/invocations", "Invoke"),
];

/// The operation of a request to Lambda; of one that quell does not make, method and path.
pub(super) fn lambda(method: &str, path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default().trim_matches('/');
    let fits = |pattern: &str| {
        pattern.split('/').count() == path.split('/').count()
            && pattern.split('/').zip(path.split('/')).all(|(part, given)| part == "*" || part == given)
    };
    let route = LAMBDA.iter().find(|(of, pattern, _)| *of == method && fits(pattern));
    route.map_or_else(|| format!("{method} /{path}"), |(_, _, operation)| (*operation).to_owned())
}

/// The operation of a request to Roles Anywhere; of one that quell does not make, method and path.
pub(super) fn rolesanywhere(method: &str, path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default().trim_matches('/');
    let parts: Vec<&str> = path.split('/').collect();
    let operation = match (method, &parts[..]) {
        ("GET", ["trustanchors"]) => "ListTrustAnchors",
        ("GET", ["profiles"]) => "ListProfiles",
        ("GET", ["ListTagsForResource"]) => "ListTagsForResource",
        ("POST", ["trustanchor", _, "disable"]) => "DisableTrustAnchor",
        ("POST", ["trustanchor", _, "enable"]) => "EnableTrustAnchor",
        ("POST", ["profile", _, "disable"]) => "DisableProfile",
        ("POST", ["profile", _, "enable"]) => "EnableProfile",
        _ => return format!("{method} /{path}"),
    };
    operation.to_owned()
}

/// The operation of a request to GuardDuty; of one that quell does not make, method and path.
pub(super) fn guardduty(method: &str, path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default().trim_matches('/');
    let parts: Vec<&str> = path.split('/').collect();
    let operation = match (method, &parts[..]) {
        ("GET", ["detector"]) => "ListDetectors",
        ("GET", ["detector", _]) => "GetDetector",
        ("POST", ["detector", _, "findings"]) => "ListFindings",
        ("POST", ["detector", _, "findings", "get"]) => "GetFindings",
        _ => return format!("{method} /{path}"),
    };
    operation.to_owned()
}

/// What stands in the query of a question about a bucket, and the operation.
const BUCKET: [(&str, &str); 10] = [
    ("acl", "GetBucketAcl"),
    ("encryption", "GetBucketEncryption"),
    ("location", "GetBucketLocation"),
    ("logging", "GetBucketLogging"),
    ("object-lock", "GetObjectLockConfiguration"),
    ("policy", "GetBucketPolicy"),
    ("policyStatus", "GetBucketPolicyStatus"),
    ("publicAccessBlock", "GetPublicAccessBlock"),
    ("versioning", "GetBucketVersioning"),
    ("list-type", "ListObjectsV2"),
];

/// The operation of a request that reads from S3; of any other the method.
pub(super) fn s3(method: &str, path: &str) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let names = || query.split('&').map(|part| part.split('=').next().unwrap_or_default());
    let asked = BUCKET.iter().find(|(name, _)| names().any(|given| given == *name));
    match (method, asked) {
        ("GET", Some((_, operation))) => (*operation).to_owned(),
        ("GET", None) if path.is_empty() => "ListBuckets".to_owned(),
        _ => method.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_quell_asks_of_lambda_has_its_name_and_nothing_else_has_one() {
        assert_eq!(lambda("GET", "2015-03-31/functions/?MaxItems=50"), "ListFunctions");
        assert_eq!(lambda("GET", "2015-03-31/functions/miner"), "GetFunction");
        assert_eq!(lambda("DELETE", "2015-03-31/functions/miner/policy/open?Qualifier=live"), "RemovePermission");
        assert_eq!(lambda("DELETE", "2015-03-31/functions/miner"), "DELETE /2015-03-31/functions/miner");
    }

    #[test]
    fn what_quell_asks_of_roles_anywhere_has_its_name_and_nothing_else_has_one() {
        assert_eq!(rolesanywhere("GET", "trustanchors?pageSize=50"), "ListTrustAnchors");
        assert_eq!(rolesanywhere("POST", "profile/0a-1/disable"), "DisableProfile");
        assert_eq!(rolesanywhere("DELETE", "profile/0a-1"), "DELETE /profile/0a-1");
    }
}
