//! Which service speaks which protocol.

/// A wire protocol of AWS (Smithy's names: ec2Query, awsQuery, awsJson, restXml, restJson).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Forms in, XML with lists of `item` out.
    Ec2,
    /// Forms in, XML with lists of `member` out.
    Query,
    /// JSON in and out, the operation in `X-Amz-Target`.
    Json,
    /// REST with XML: S3.
    RestXml,
    /// REST with JSON.
    RestJson,
}

impl Protocol {
    /// The protocol of a service, by the name in the signature's scope. `None` for services that are not simulated.
    pub fn of(service: &str) -> Option<Self> {
        match service {
            "ec2" => Some(Self::Ec2),
            "iam" | "sts" | "autoscaling" => Some(Self::Query),
            "organizations" | "apprunner" | "budgets" | "ce" | "cloudtrail" | "codebuild" | "config" | "ecs"
            | "elasticmapreduce" | "glue" | "identitystore" | "lightsail" | "sagemaker" | "sso" => Some(Self::Json),
            "s3" => Some(Self::RestXml),
            "account" | "amplify" | "batch" | "guardduty" | "lambda" | "rolesanywhere" => Some(Self::RestJson),
            _ => None,
        }
    }
}

/// Whether a service has an endpoint in a region. Where it has none, its name leads nowhere.
pub fn is_offered(service: &str, region: &str) -> bool {
    match service {
        "apprunner" => crate::sim::apprunner::REGIONS.contains(&region),
        "lightsail" => crate::sim::lightsail::REGIONS.contains(&region),
        _ => true,
    }
}

/// Whether a service has one endpoint for all regions, whose events are recorded in us-east-1.
pub fn is_global(service: &str) -> bool {
    matches!(service, "iam" | "organizations" | "account" | "budgets" | "ce")
}
