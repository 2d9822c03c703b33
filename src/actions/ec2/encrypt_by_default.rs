//! `ec2.encrypt-by-default`

use aws_sdk_ec2::Client;

use crate::actions::region_setting::{RegionSetting, Set};
use crate::engine::action::Ctx;
use crate::model::{ActionError, Finding};

const ON: &str = "enabled";
const OFF: &str = "disabled";

/// New volumes are encrypted.
pub struct EncryptByDefault;

impl RegionSetting for EncryptByDefault {
    const NAME: &'static str = "ec2.encrypt-by-default";
    const TITLE: &'static str = "Encrypt new volumes, in whole regions";
    const DESCRIPTION: &'static str = "Switches encryption by default on: volumes that are made from then on, and copies of \
        snapshots, are encrypted with the account's default key for EBS. What there is stays as it is. A snapshot of an \
        encrypted volume cannot be shared with everybody, and not with another account while the key is the one of AWS. Who \
        launches needs the permission to use the key.\n\n\
        AWS pages: *Enable Amazon EBS encryption by default*, *EnableEbsEncryptionByDefault*.";
    const UNDO: &'static str = "Switches it off again. Volumes that were made meanwhile stay encrypted.";
    const PERMISSIONS: &'static [&'static str] = &["ec2:EnableEbsEncryptionByDefault", "ec2:GetEbsEncryptionByDefault"];
    const UNDO_PERMISSIONS: &'static [&'static str] = &["ec2:DisableEbsEncryptionByDefault"];
    const EXAMPLE: &'static str = "{ id: encrypt, uses: ec2.encrypt-by-default, on: regions }";
    const SETTING: &'static str = "ebs-encryption-by-default";
    const WANTED: &'static str = ON;
    const SUMMARY: &'static str = "encrypt new volumes in the region";
    const NOTE: &'static str = "who launches instances needs the permission to use the default key for EBS";

    async fn read(client: &Client) -> Result<Set, ActionError> {
        let answer = client.get_ebs_encryption_by_default().send().await?;
        let value = if answer.ebs_encryption_by_default() == Some(true) { ON } else { OFF };
        Ok(Set { value: value.to_owned(), by_organisation: false })
    }

    async fn set(client: &Client, value: &str) -> Result<(), ActionError> {
        if value == ON {
            client.enable_ebs_encryption_by_default().send().await?;
        } else {
            client.disable_ebs_encryption_by_default().send().await?;
        }
        Ok(())
    }

    async fn ask(cx: &Ctx, client: &Client) -> Option<Finding> {
        let answer = client.enable_ebs_encryption_by_default().dry_run(true).send().await;
        super::asked(cx, "ec2:EnableEbsEncryptionByDefault", answer)
    }
}
