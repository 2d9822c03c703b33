//! Snapshots and images that everybody could read.

use super::check::{Check, Read, Severity};

const SNAPSHOT_STATE: &str = "ec2:GetSnapshotBlockPublicAccessState";
const IMAGE_STATE: &str = "ec2:GetImageBlockPublicAccessState";
const IMAGES_LISTED: &str = "ec2:DescribeImages";

/// No snapshot is public.
pub(super) const SNAPSHOTS: Check = Check {
    id: "ec2.snapshot-sharing",
    title: "No snapshot can be shared with everybody, in any enabled region",
    severity: Severity::Medium,
    why: "One call makes a volume's content public; others look for such snapshots all day.",
    fix: "quell run harden (ec2.block-snapshot-sharing), or aws ec2 enable-snapshot-block-public-access --state block-all-sharing --region REGION.",
    needs: &[SNAPSHOT_STATE],
    read: |view| {
        Read::in_regions(view, |read, region| {
            match read.known(view.one_in(region, SNAPSHOT_STATE)).map(|answer| answer["state"].as_str()) {
                None | Some(Some("block-all-sharing")) => {}
                Some(Some("block-new-sharing")) => {
                    read.fail_in(region, "region", "leaves snapshots public that were so before");
                }
                Some(_) => read.fail_in(region, "region", "lets snapshots become public"),
            }
        })
    },
};

/// No image is public.
pub(super) const IMAGES: Check = Check {
    id: "ec2.image-sharing",
    title: "No image is public or can become so, in any enabled region",
    severity: Severity::Medium,
    why: "A public image shows everybody the disk that it was made of, credentials on it included.",
    fix: "quell run harden (ec2.block-image-sharing), or aws ec2 enable-image-block-public-access \
          --image-block-public-access-state block-new-sharing --region REGION; of a \
          public image: aws ec2 modify-image-attribute --image-id AMI --launch-permission Remove=[{Group=all}].",
    needs: &[IMAGE_STATE, IMAGES_LISTED],
    read: |view| {
        Read::in_regions(view, |read, region| {
            if let Some(answer) = read.known(view.one_in(region, IMAGE_STATE))
                && answer["imageBlockPublicAccessState"] != "block-new-sharing"
            {
                read.fail_in(region, "region", "lets images become public");
            }
            for image in read.known(view.list_in(region, IMAGES_LISTED, &["imagesSet", "*"])).unwrap_or_default() {
                if image["isPublic"] == "true" {
                    let id = image["imageId"].as_str().unwrap_or_default();
                    read.fail_in(region, format!("image {id}"), "is public");
                }
            }
        })
    },
};
