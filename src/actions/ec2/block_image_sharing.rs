//! `ec2.block-image-sharing`

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{ImageBlockPublicAccessEnabledState as Enabled, ManagedBy};
use tokio::time::{Duration, sleep};

use super::LOOK_EVERY;
use crate::actions::region_setting::{RegionSetting, Set};
use crate::engine::action::Ctx;
use crate::model::{ActionError, ErrorKind, Finding};

/// What AWS calls it where nothing is blocked.
const UNBLOCKED: &str = "unblocked";

/// How long it may take until it is in force; so long AWS shows the old value (EnableImageBlockPublicAccess).
const SEEN_WITHIN: Duration = Duration::from_mins(10);

/// No image becomes public.
pub struct BlockImageSharing;

impl RegionSetting for BlockImageSharing {
    const NAME: &'static str = "ec2.block-image-sharing";
    const TITLE: &'static str = "Keep images from becoming public, in whole regions";
    const DESCRIPTION: &'static str = "Blocks new public sharing of images (AMIs). One that is public already stays so: take its \
        launch permission away by hand. Sharing with accounts, organisations and units goes on. AWS takes up to \
        ten minutes until it is in force and to be seen, and so long it is waited for.\n\n\
        AWS pages: *Block public access to your AMIs*, *EnableImageBlockPublicAccess*.";
    const UNDO: &'static str = "Allows it again, where it was allowed.";
    const PERMISSIONS: &'static [&'static str] =
        &["ec2:EnableImageBlockPublicAccess", "ec2:GetImageBlockPublicAccessState"];
    const UNDO_PERMISSIONS: &'static [&'static str] = &["ec2:DisableImageBlockPublicAccess"];
    const EXAMPLE: &'static str = "{ id: images, uses: ec2.block-image-sharing, on: regions }";
    const SETTING: &'static str = "image-block-public-access";
    const WANTED: &'static str = "block-new-sharing";
    const SUMMARY: &'static str = "keep the region's images from becoming public";
    const NOTE: &'static str = "images that are public already stay so";

    async fn read(client: &Client) -> Result<Set, ActionError> {
        let answer = client.get_image_block_public_access_state().send().await?;
        let value = answer.image_block_public_access_state().unwrap_or(UNBLOCKED).to_owned();
        Ok(Set { value, by_organisation: answer.managed_by() == Some(&ManagedBy::DeclarativePolicy) })
    }

    async fn set(client: &Client, value: &str) -> Result<(), ActionError> {
        if value == UNBLOCKED {
            client.disable_image_block_public_access().send().await?;
        } else {
            let request = client.enable_image_block_public_access();
            request.image_block_public_access_state(Enabled::from(value)).send().await?;
        }
        until_seen(client, value).await
    }

    async fn ask(cx: &Ctx, client: &Client) -> Option<Finding> {
        let request = client.enable_image_block_public_access();
        let answer = request.image_block_public_access_state(Enabled::BlockNewSharing).dry_run(true).send().await;
        super::asked(cx, "ec2:EnableImageBlockPublicAccess", answer)
    }
}

async fn until_seen(client: &Client, value: &str) -> Result<(), ActionError> {
    let mut waited = Duration::ZERO;
    while BlockImageSharing::read(client).await?.value != value {
        if waited >= SEEN_WITHIN {
            let message = format!("AWS accepted {value} and does not show it after ten minutes");
            return Err(ActionError::new(ErrorKind::WrongState, message));
        }
        sleep(LOOK_EVERY).await;
        waited += LOOK_EVERY;
    }
    Ok(())
}
