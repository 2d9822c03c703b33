//! What an account has set for a region: the defaults of instance metadata, encryption, and what may not become public.

use serde::{Deserialize, Serialize};

use super::Ec2;
use super::instances::MetadataOptions;
use super::shape::maybe;
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;

/// `block-all-sharing`, `block-new-sharing`, or this.
const UNBLOCKED: &str = "unblocked";

/// The settings of a region.
#[derive(Debug, Clone, Serialize)]
pub struct RegionSettings {
    /// What an instance gets that is launched without saying otherwise.
    pub metadata_defaults: MetadataDefaults,
    /// `block-all-sharing`, `block-new-sharing` or `unblocked`.
    pub snapshot_block_public_access: String,
    /// `block-new-sharing` or `unblocked`.
    pub image_block_public_access: String,
}

impl Default for RegionSettings {
    fn default() -> Self {
        Self {
            metadata_defaults: MetadataDefaults::default(),
            snapshot_block_public_access: UNBLOCKED.to_owned(),
            image_block_public_access: UNBLOCKED.to_owned(),
        }
    }
}

/// The defaults of instance metadata; none is no preference.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MetadataDefaults {
    /// `optional` or `required`.
    pub http_tokens: Option<String>,
    /// 1 to 64.
    pub http_put_response_hop_limit: Option<u8>,
    /// `enabled` or `disabled`.
    pub http_endpoint: Option<String>,
    /// `enabled` or `disabled`.
    pub instance_metadata_tags: Option<String>,
}

/// The metadata options of a launch: what is not said is left to the defaults.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct AskedMetadata {
    http_tokens: Option<String>,
    http_put_response_hop_limit: Option<u8>,
    http_endpoint: Option<String>,
    http_protocol_ipv6: Option<String>,
    instance_metadata_tags: Option<String>,
}

impl MetadataDefaults {
    /// The options of an instance for which so much is asked.
    pub fn applied(&self, asked: AskedMetadata) -> MetadataOptions {
        let usual = MetadataOptions::default();
        let first =
            |asked: Option<String>, set: &Option<String>, usual: String| asked.or_else(|| set.clone()).unwrap_or(usual);
        MetadataOptions {
            http_tokens: first(asked.http_tokens, &self.http_tokens, usual.http_tokens),
            http_put_response_hop_limit: asked
                .http_put_response_hop_limit
                .or(self.http_put_response_hop_limit)
                .unwrap_or(usual.http_put_response_hop_limit),
            http_endpoint: first(asked.http_endpoint, &self.http_endpoint, usual.http_endpoint),
            http_protocol_ipv6: asked.http_protocol_ipv6.unwrap_or(usual.http_protocol_ipv6),
            instance_metadata_tags: first(
                asked.instance_metadata_tags,
                &self.instance_metadata_tags,
                usual.instance_metadata_tags,
            ),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct NoParameters {
    _dry_run: Option<bool>,
}

/// GetEbsEncryptionByDefault.
pub fn ebs_encryption(ec2: &Ec2, call: &Call) -> Reply {
    let _: NoParameters = call.params.read()?;
    Ok(Body::Xml(vec![Xml::text("ebsEncryptionByDefault", ec2.ebs_encryption_by_default)]))
}

/// EnableEbsEncryptionByDefault and DisableEbsEncryptionByDefault.
pub fn set_ebs_encryption(ec2: &mut Ec2, call: &Call, on: bool) -> Reply {
    let _: NoParameters = call.params.read()?;
    ec2.ebs_encryption_by_default = on;
    Ok(Body::Xml(vec![Xml::text("ebsEncryptionByDefault", on)]))
}

/// GetInstanceMetadataDefaults.
pub fn metadata_defaults(ec2: &Ec2, call: &Call) -> Reply {
    let _: NoParameters = call.params.read()?;
    let set = &ec2.region_settings.metadata_defaults;
    let mut xml = Vec::new();
    xml.extend(maybe("httpTokens", set.http_tokens.as_ref()));
    xml.extend(maybe("httpPutResponseHopLimit", set.http_put_response_hop_limit));
    xml.extend(maybe("httpEndpoint", set.http_endpoint.as_ref()));
    xml.extend(maybe("instanceMetadataTags", set.instance_metadata_tags.as_ref()));
    xml.push(Xml::text("managedBy", "account"));
    Ok(Body::Xml(vec![Xml::node("accountLevel", xml)]))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ModifyInstanceMetadataDefaults {
    http_tokens: Option<String>,
    http_put_response_hop_limit: Option<i32>,
    http_endpoint: Option<String>,
    instance_metadata_tags: Option<String>,
    _dry_run: Option<bool>,
}

/// ModifyInstanceMetadataDefaults: what is not named stays; `no-preference` and -1 take a default back.
pub fn modify_metadata_defaults(ec2: &mut Ec2, call: &Call) -> Reply {
    let asked: ModifyInstanceMetadataDefaults = call.params.read()?;
    let switch = ["enabled", "disabled"];
    check("HttpTokens", asked.http_tokens.as_deref(), &["optional", "required"])?;
    check("HttpEndpoint", asked.http_endpoint.as_deref(), &switch)?;
    check("InstanceMetadataTags", asked.instance_metadata_tags.as_deref(), &switch)?;
    let hops = match asked.http_put_response_hop_limit {
        None => None,
        Some(-1) => Some(None),
        Some(hops @ 1..=64) => Some(u8::try_from(hops).ok()),
        Some(other) => return Err(invalid("HttpPutResponseHopLimit", &other.to_string())),
    };
    let set = &mut ec2.region_settings.metadata_defaults;
    let put = |field: &mut Option<String>, asked: Option<String>| {
        if let Some(asked) = asked {
            *field = Some(asked).filter(|asked| asked != "no-preference");
        }
    };
    put(&mut set.http_tokens, asked.http_tokens);
    put(&mut set.http_endpoint, asked.http_endpoint);
    put(&mut set.instance_metadata_tags, asked.instance_metadata_tags);
    set.http_put_response_hop_limit = hops.unwrap_or(set.http_put_response_hop_limit);
    Ok(Body::ec2_true())
}

fn check(name: &str, asked: Option<&str>, known: &[&str]) -> Result<(), Refusal> {
    match asked {
        Some(other) if other != "no-preference" && !known.contains(&other) => Err(invalid(name, other)),
        _ => Ok(()),
    }
}

fn invalid(name: &str, value: &str) -> Refusal {
    Refusal::new(400, "InvalidParameterValue", format!("Value ({value}) for parameter {name} is invalid."))
}

/// GetSnapshotBlockPublicAccessState.
pub fn snapshot_access(ec2: &Ec2, call: &Call) -> Reply {
    let _: NoParameters = call.params.read()?;
    let state = Xml::text("state", &ec2.region_settings.snapshot_block_public_access);
    Ok(Body::Xml(vec![state, Xml::text("managedBy", "account")]))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct EnableSnapshotBlockPublicAccess {
    state: String,
    _dry_run: Option<bool>,
}

/// EnableSnapshotBlockPublicAccess.
pub fn block_snapshots(ec2: &mut Ec2, call: &Call) -> Reply {
    let EnableSnapshotBlockPublicAccess { state, .. } = call.params.read()?;
    if !["block-all-sharing", "block-new-sharing"].contains(&state.as_str()) {
        return Err(invalid("State", &state));
    }
    ec2.region_settings.snapshot_block_public_access.clone_from(&state);
    Ok(Body::Xml(vec![Xml::text("state", state)]))
}

/// DisableSnapshotBlockPublicAccess.
pub fn unblock_snapshots(ec2: &mut Ec2, call: &Call) -> Reply {
    let _: NoParameters = call.params.read()?;
    UNBLOCKED.clone_into(&mut ec2.region_settings.snapshot_block_public_access);
    Ok(Body::Xml(vec![Xml::text("state", UNBLOCKED)]))
}

/// GetImageBlockPublicAccessState.
pub fn image_access(ec2: &Ec2, call: &Call) -> Reply {
    let _: NoParameters = call.params.read()?;
    let state = Xml::text("imageBlockPublicAccessState", &ec2.region_settings.image_block_public_access);
    Ok(Body::Xml(vec![state, Xml::text("managedBy", "account")]))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct EnableImageBlockPublicAccess {
    image_block_public_access_state: String,
    _dry_run: Option<bool>,
}

/// EnableImageBlockPublicAccess. At AWS it may take ten minutes until it is in force, here none.
pub fn block_images(ec2: &mut Ec2, call: &Call) -> Reply {
    let EnableImageBlockPublicAccess { image_block_public_access_state: state, .. } = call.params.read()?;
    if state != "block-new-sharing" {
        return Err(invalid("ImageBlockPublicAccessState", &state));
    }
    ec2.region_settings.image_block_public_access.clone_from(&state);
    Ok(Body::Xml(vec![Xml::text("imageBlockPublicAccessState", state)]))
}

/// DisableImageBlockPublicAccess.
pub fn unblock_images(ec2: &mut Ec2, call: &Call) -> Reply {
    let _: NoParameters = call.params.read()?;
    UNBLOCKED.clone_into(&mut ec2.region_settings.image_block_public_access);
    Ok(Body::Xml(vec![Xml::text("imageBlockPublicAccessState", UNBLOCKED)]))
}

impl RegionSettings {
    /// Refuses to share a snapshot with everybody where that is blocked.
    pub(super) fn may_share_snapshots(&self) -> Result<(), Refusal> {
        may_share("snapshots", &self.snapshot_block_public_access)
    }

    /// Refuses to share an image with everybody where that is blocked.
    pub(super) fn may_share_images(&self) -> Result<(), Refusal> {
        may_share("AMIs", &self.image_block_public_access)
    }
}

fn may_share(what: &str, state: &str) -> Result<(), Refusal> {
    if state == UNBLOCKED {
        return Ok(());
    }
    let message = format!("Block public access for {what} is enabled in this Region: {state}");
    Err(Refusal::new(400, "OperationNotPermitted", message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AccountId, Region};
    use crate::sim::call::test_call;

    fn ec2() -> Ec2 {
        Ec2::new(&AccountId::new("111122223333").unwrap(), &Region::new("us-east-1").unwrap())
    }

    fn modify(ec2: &mut Ec2, form: &str) -> Result<(), String> {
        let call = test_call("ec2", "ModifyInstanceMetadataDefaults", form);
        modify_metadata_defaults(ec2, &call).map(drop).map_err(|refusal| refusal.code)
    }

    #[test]
    fn defaults_hold_for_what_a_launch_does_not_say() {
        let mut ec2 = ec2();
        modify(&mut ec2, "HttpTokens=required&HttpPutResponseHopLimit=2").unwrap();
        let applied = |ec2: &Ec2, asked| ec2.region_settings.metadata_defaults.applied(asked);
        let given = applied(&ec2, AskedMetadata::default());
        assert_eq!((given.http_tokens.as_str(), given.http_put_response_hop_limit), ("required", 2));
        let other = AskedMetadata { http_tokens: Some("optional".to_owned()), ..AskedMetadata::default() };
        assert_eq!(applied(&ec2, other).http_tokens, "optional");
        modify(&mut ec2, "HttpTokens=no-preference&HttpPutResponseHopLimit=-1").unwrap();
        assert_eq!(ec2.region_settings.metadata_defaults, MetadataDefaults::default());
        assert_eq!(modify(&mut ec2, "HttpTokens=maybe").unwrap_err(), "InvalidParameterValue");
    }

    #[test]
    fn what_is_blocked_cannot_be_shared_with_everybody() {
        let mut ec2 = ec2();
        assert_eq!(ec2.region_settings.may_share_images(), Ok(()));
        let form = "ImageBlockPublicAccessState=block-new-sharing";
        block_images(&mut ec2, &test_call("ec2", "EnableImageBlockPublicAccess", form)).unwrap();
        assert_eq!(ec2.region_settings.may_share_images().unwrap_err().code, "OperationNotPermitted");
        let form = "State=block-all-sharing";
        block_snapshots(&mut ec2, &test_call("ec2", "EnableSnapshotBlockPublicAccess", form)).unwrap();
        assert_eq!(ec2.region_settings.may_share_snapshots().unwrap_err().code, "OperationNotPermitted");
        unblock_snapshots(&mut ec2, &test_call("ec2", "DisableSnapshotBlockPublicAccess", "")).unwrap();
        assert_eq!(ec2.region_settings.may_share_snapshots(), Ok(()));
    }
}
