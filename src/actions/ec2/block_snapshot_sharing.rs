//! `ec2.block-snapshot-sharing`

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{ManagedBy, SnapshotBlockPublicAccessState as State};

use crate::actions::region_setting::{RegionSetting, Set};
use crate::engine::action::Ctx;
use crate::model::{ActionError, Finding, Tier};

/// No snapshot is public.
pub struct BlockSnapshotSharing;

impl RegionSetting for BlockSnapshotSharing {
    const NAME: &'static str = "ec2.block-snapshot-sharing";
    const TIER: Tier = Tier::Disruptive;
    const TITLE: &'static str = "Keep snapshots from being public, in whole regions";
    const DESCRIPTION: &'static str = "Blocks all public sharing of snapshots: none can be shared with everybody any more, and \
        those that are cannot be read by strangers from then on. Who reads a public snapshot of yours on purpose loses it. \
        Sharing with accounts by their number goes on. AWS takes this call once in ten seconds.\n\n\
        AWS pages: *Block public access for Amazon EBS snapshots*, *EnableSnapshotBlockPublicAccess*.";
    const UNDO: &'static str = "Sets what was set before. Snapshots that had been public are so again: their permissions were \
        not touched.";
    const PERMISSIONS: &'static [&'static str] =
        &["ec2:EnableSnapshotBlockPublicAccess", "ec2:GetSnapshotBlockPublicAccessState"];
    const UNDO_PERMISSIONS: &'static [&'static str] = &["ec2:DisableSnapshotBlockPublicAccess"];
    const EXAMPLE: &'static str = "{ id: snapshots, uses: ec2.block-snapshot-sharing, on: regions }";
    const SETTING: &'static str = "snapshot-block-public-access";
    const WANTED: &'static str = "block-all-sharing";
    const SUMMARY: &'static str = "keep the region's snapshots from being public";
    const NOTE: &'static str = "whoever reads a public snapshot of this account cannot do so any more";

    async fn read(client: &Client) -> Result<Set, ActionError> {
        let answer = client.get_snapshot_block_public_access_state().send().await?;
        let value = answer.state().unwrap_or(&State::Unblocked).as_str().to_owned();
        Ok(Set { value, by_organisation: answer.managed_by() == Some(&ManagedBy::DeclarativePolicy) })
    }

    async fn set(client: &Client, value: &str) -> Result<(), ActionError> {
        match State::from(value) {
            State::Unblocked => {
                client.disable_snapshot_block_public_access().send().await?;
            }
            state => {
                client.enable_snapshot_block_public_access().state(state).send().await?;
            }
        }
        Ok(())
    }

    async fn ask(cx: &Ctx, client: &Client) -> Option<Finding> {
        let request = client.enable_snapshot_block_public_access().state(State::BlockAllSharing);
        super::asked(cx, "ec2:EnableSnapshotBlockPublicAccess", request.dry_run(true).send().await)
    }
}
