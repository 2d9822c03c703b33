//! `ec2.regions`: the region itself, with how it is set up.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::block_image_sharing::BlockImageSharing;
use super::block_snapshot_sharing::BlockSnapshotSharing;
use super::encrypt_by_default::EncryptByDefault;
use super::require_imdsv2::RequireImdsv2;
use crate::actions::field::{field, resource};
use crate::actions::region_setting::RegionSetting as _;
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Lists the region of the lane.
pub struct Regions;

/// The source has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// `ec2.region`.
pub static KIND: KindSpec = KindSpec {
    name: "ec2.region",
    scope: Scope::Regional,
    fields: &[
        field("id", FieldType::Text, "eu-west-3"),
        field("account", FieldType::Text, "the account"),
        field("http_tokens", FieldType::Text, "the default of new instances: required, optional or no-preference"),
        field("ebs_encryption", FieldType::Text, "whether new volumes are encrypted: enabled or disabled"),
        field("snapshot_sharing", FieldType::Text, "block-all-sharing, block-new-sharing or unblocked"),
        field("image_sharing", FieldType::Text, "block-new-sharing or unblocked"),
    ],
};

impl Source for Regions {
    type Params = Params;

    const NAME: &'static str = "ec2.regions";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "Every enabled region, with how it is set up";
    const PERMISSIONS: &'static [&'static str] = &[
        "ec2:GetEbsEncryptionByDefault",
        "ec2:GetImageBlockPublicAccessState",
        "ec2:GetInstanceMetadataDefaults",
        "ec2:GetSnapshotBlockPublicAccessState",
    ];

    async fn list(&self, cx: &Ctx, _: &Params, _: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let client = super::client(cx);
        let first = super::both(RequireImdsv2::read(&client), EncryptByDefault::read(&client));
        let second = super::both(BlockSnapshotSharing::read(&client), BlockImageSharing::read(&client));
        let ((tokens, encryption), (snapshots, images)) = Box::pin(super::both(first, second)).await?;
        let fields = json!({
            "id": cx.target.region.as_str(),
            "account": cx.target.account.as_str(),
            "http_tokens": tokens.value,
            "ebs_encryption": encryption.value,
            "snapshot_sharing": snapshots.value,
            "image_sharing": images.value,
        });
        Ok(resource(cx, KIND.name, cx.target.region.as_str(), fields).into_iter().collect())
    }
}
