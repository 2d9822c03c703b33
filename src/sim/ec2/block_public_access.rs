//! VPC Block Public Access: the setting of a region, and its exclusions.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Ec2;
use super::ids::{SUBNET, VPC};
use super::listing::{Listed, Look, describe, one};
use super::shape::{date, maybe, paged, tag_set};
use super::tags::{self, TagSpecification, Tags};
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;

/// How long a change is not to be seen: DescribeVpcBlockPublicAccessOptions goes on to show the old state for seconds.
const UNSEEN: SignedDuration = SignedDuration::from_secs(3);
/// How long until it is in force.
const TAKES: SignedDuration = SignedDuration::from_mins(2);
/// How exclusions are called.
const EXCLUSION: &str = "vpcbpa-exclude-";
/// How many a region may have.
const MOST: usize = 50;

/// The setting of a region.
#[derive(Debug, Clone, Serialize)]
pub struct BlockPublicAccess {
    /// `off`, `block-bidirectional` or `block-ingress`.
    pub mode: String,
    /// Whether a declarative policy of the organisation sets it.
    pub by_organisation: bool,
    /// When it was changed last.
    pub updated: Option<Timestamp>,
    /// The mode before that.
    #[serde(skip)]
    pub before: String,
}

impl Default for BlockPublicAccess {
    fn default() -> Self {
        Self { mode: "off".to_owned(), by_organisation: false, updated: None, before: String::new() }
    }
}

/// What the setting does not hold for.
#[derive(Debug, Clone, Serialize)]
pub struct Exclusion {
    /// `vpcbpa-exclude-…`.
    pub id: String,
    /// The ARN of a VPC or a subnet.
    pub resource: String,
    /// `allow-bidirectional` or `allow-egress`.
    pub mode: String,
    /// Since when.
    pub created: Timestamp,
    /// Tags.
    pub tags: Tags,
}

impl Listed for Exclusion {
    const FILTERS: &'static [(&'static str, Look<Self>)] = &[
        ("internet-gateway-exclusion-mode", |_, e| one(&e.mode)),
        ("resource-arn", |_, e| one(&e.resource)),
        ("state", |_, _| one("create-complete")),
    ];

    fn id(&self) -> &str {
        &self.id
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }
}

fn options(ec2: &Ec2, now: Timestamp) -> Xml {
    let setting = &ec2.block_public_access;
    let (mode, state) = match setting.updated {
        None => (&setting.mode, "default-state"),
        Some(asked) if now < asked + UNSEEN => (&setting.before, "default-state"),
        Some(asked) if now < asked + TAKES => (&setting.mode, "update-in-progress"),
        Some(_) => (&setting.mode, "update-complete"),
    };
    let by = if setting.by_organisation { "declarative-policy" } else { "account" };
    let mut xml = vec![
        Xml::text("awsAccountId", &ec2.account),
        Xml::text("awsRegion", &ec2.region),
        Xml::text("state", state),
        Xml::text("internetGatewayBlockMode", mode),
        Xml::text("managedBy", by),
        Xml::text("exclusionsAllowed", "allowed"),
    ];
    xml.extend(maybe("lastUpdateTimestamp", setting.updated.map(date)));
    Xml::node("vpcBlockPublicAccessOptions", xml)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct NoParameters {
    _dry_run: Option<bool>,
}

/// DescribeVpcBlockPublicAccessOptions.
pub fn describe_options(ec2: &Ec2, call: &Call) -> Reply {
    let _: NoParameters = call.params.read()?;
    Ok(Body::Xml(vec![options(ec2, call.now)]))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ModifyVpcBlockPublicAccessOptions {
    internet_gateway_block_mode: String,
    _dry_run: Option<bool>,
}

/// ModifyVpcBlockPublicAccessOptions: not where the organisation sets it.
pub fn modify_options(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: ModifyVpcBlockPublicAccessOptions = call.params.read()?;
    let mode = one_of(
        "internetGatewayBlockMode",
        params.internet_gateway_block_mode,
        &["off", "block-bidirectional", "block-ingress"],
    )?;
    let setting = &mut ec2.block_public_access;
    if setting.by_organisation {
        let message = "This functionality has been disabled by a Declarative Policy";
        return Err(Refusal::new(400, "DeclarativePolicyViolation", message));
    }
    if setting.mode != mode {
        setting.before = std::mem::replace(&mut setting.mode, mode);
        setting.updated = Some(call.now);
    }
    Ok(Body::Xml(vec![options(ec2, call.now)]))
}

describe!(DescribeVpcBlockPublicAccessExclusions { ids: Vec<String> = "ExclusionId" });

/// DescribeVpcBlockPublicAccessExclusions.
pub fn describe_exclusions(ec2: &Ec2, call: &Call) -> Reply {
    let params: DescribeVpcBlockPublicAccessExclusions = call.params.read()?;
    if let Some(unknown) = params.ids.iter().find(|id| !ec2.public_access_exclusions.contains_key(*id)) {
        return Err(not_found(unknown));
    }
    let exclusions = ec2.public_access_exclusions.values();
    let asked = exclusions.filter(|exclusion| params.ids.is_empty() || params.ids.contains(&exclusion.id));
    let (page, next) = params.listing().of(ec2, asked)?;
    let items = page.into_iter().map(|exclusion| shown(exclusion, "create-complete"));
    Ok(Body::Xml(paged(vec![Xml::list("vpcBlockPublicAccessExclusionSet", "item", items)], next)))
}

fn shown(exclusion: &Exclusion, state: &str) -> Vec<Xml> {
    vec![
        Xml::text("exclusionId", &exclusion.id),
        Xml::text("internetGatewayExclusionMode", &exclusion.mode),
        Xml::text("resourceArn", &exclusion.resource),
        Xml::text("state", state),
        Xml::text("creationTimestamp", date(exclusion.created)),
        tag_set(&exclusion.tags),
    ]
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreateVpcBlockPublicAccessExclusion {
    subnet_id: Option<String>,
    vpc_id: Option<String>,
    internet_gateway_exclusion_mode: String,
    #[serde(default, rename = "TagSpecification")]
    tag_specifications: Vec<TagSpecification>,
    _dry_run: Option<bool>,
}

/// CreateVpcBlockPublicAccessExclusion: of one VPC or one subnet.
pub fn create_exclusion(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: CreateVpcBlockPublicAccessExclusion = call.params.read()?;
    let resource = match (&params.vpc_id, &params.subnet_id) {
        (Some(vpc), None) => ec2.arn(VPC.name, &VPC.get(&ec2.vpcs, vpc)?.id),
        (None, Some(subnet)) => ec2.arn(SUBNET.name, &SUBNET.get(&ec2.subnets, subnet)?.id),
        _ => {
            let message = "Specify either a VPC or a subnet.";
            return Err(Refusal::new(400, "InvalidParameterCombination", message));
        }
    };
    let modes = ["allow-bidirectional", "allow-egress"];
    let mode = one_of("internetGatewayExclusionMode", params.internet_gateway_exclusion_mode, &modes)?;
    if ec2.public_access_exclusions.len() >= MOST {
        let message = format!("The maximum number of VPC Block Public Access exclusions is {MOST}.");
        return Err(Refusal::new(400, "VpcBlockPublicAccessExclusionLimitExceeded", message));
    }
    let tags = tags::specified(&params.tag_specifications, "vpc-block-public-access-exclusion")?;
    let exclusion = Exclusion { id: ec2.ids.next(EXCLUSION), resource, mode, created: call.now, tags };
    let xml = Xml::node("vpcBlockPublicAccessExclusion", shown(&exclusion, "create-in-progress"));
    ec2.public_access_exclusions.insert(exclusion.id.clone(), exclusion);
    Ok(Body::Xml(vec![xml]))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DeleteVpcBlockPublicAccessExclusion {
    exclusion_id: String,
    _dry_run: Option<bool>,
}

/// DeleteVpcBlockPublicAccessExclusion.
pub fn delete_exclusion(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: DeleteVpcBlockPublicAccessExclusion = call.params.read()?;
    let exclusion = ec2.public_access_exclusions.remove(&params.exclusion_id);
    let exclusion = exclusion.ok_or_else(|| not_found(&params.exclusion_id))?;
    Ok(Body::Xml(vec![Xml::node("vpcBlockPublicAccessExclusion", shown(&exclusion, "delete-in-progress"))]))
}

fn not_found(id: &str) -> Refusal {
    let message = format!("The VPC Block Public Access exclusion '{id}' does not exist");
    Refusal::new(400, "InvalidVpcBlockPublicAccessExclusionId.NotFound", message)
}

fn one_of(parameter: &str, value: String, known: &[&str]) -> Result<String, Refusal> {
    if known.contains(&value.as_str()) {
        return Ok(value);
    }
    let message = format!("Value ({value}) for parameter {parameter} is invalid.");
    Err(Refusal::new(400, "InvalidParameterValue", message))
}
