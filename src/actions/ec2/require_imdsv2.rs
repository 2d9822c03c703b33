//! `ec2.require-imdsv2`

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{ManagedBy, MetadataDefaultHttpTokensState as Tokens};

use crate::actions::region_setting::{RegionSetting, Set};
use crate::engine::action::Ctx;
use crate::model::{ActionError, Finding};

/// New instances demand tokens of whoever asks for metadata.
pub struct RequireImdsv2;

impl RegionSetting for RequireImdsv2 {
    const NAME: &'static str = "ec2.require-imdsv2";
    const TITLE: &'static str = "Demand IMDSv2 of new instances, in whole regions";
    const DESCRIPTION: &'static str = "Sets the region's default for instance metadata: instances that are launched without \
        saying otherwise answer requests with a token alone (IMDSv2), which a forged request cannot get. Instances that are \
        there already, and launches that say `HttpTokens=optional` themselves, are not affected. A launch whose image or \
        program knows IMDSv1 alone starts, and gets no credentials.\n\n\
        AWS pages: *ModifyInstanceMetadataDefaults*, *Configure instance metadata options for new instances*.";
    const UNDO: &'static str = "Sets the default that was there, or none. Instances that were launched meanwhile go on \
        demanding tokens.";
    const PERMISSIONS: &'static [&'static str] =
        &["ec2:GetInstanceMetadataDefaults", "ec2:ModifyInstanceMetadataDefaults"];
    const UNDO_PERMISSIONS: &'static [&'static str] = &[];
    const EXAMPLE: &'static str = "{ id: imdsv2, uses: ec2.require-imdsv2, on: regions }";
    const SETTING: &'static str = "metadata-default-http-tokens";
    const WANTED: &'static str = "required";
    const SUMMARY: &'static str = "demand IMDSv2 of new instances in the region";
    const NOTE: &'static str = "programs on new instances that know IMDSv1 alone get no credentials";

    async fn read(client: &Client) -> Result<Set, ActionError> {
        let answer = client.get_instance_metadata_defaults().send().await?;
        let set = answer.account_level();
        let tokens = set.and_then(|set| set.http_tokens()).map(|tokens| tokens.as_str().to_owned());
        let by_organisation = set.and_then(|set| set.managed_by()) == Some(&ManagedBy::DeclarativePolicy);
        let value = tokens.unwrap_or_else(|| Tokens::NoPreference.as_str().to_owned());
        Ok(Set { value, by_organisation })
    }

    async fn set(client: &Client, value: &str) -> Result<(), ActionError> {
        client.modify_instance_metadata_defaults().http_tokens(Tokens::from(value)).send().await?;
        Ok(())
    }

    async fn ask(cx: &Ctx, client: &Client) -> Option<Finding> {
        let request = client.modify_instance_metadata_defaults().http_tokens(Tokens::Required);
        super::asked(cx, "ec2:ModifyInstanceMetadataDefaults", request.dry_run(true).send().await)
    }
}
