//! Instance metadata: IMDSv2, which a forged request cannot read.

use super::check::{Check, Read, Severity};

const DEFAULTS: &str = "ec2:GetInstanceMetadataDefaults";
const INSTANCES: &str = "ec2:DescribeInstances";

/// New instances demand tokens.
pub(super) const DEFAULT: Check = Check {
    id: "ec2.imdsv2-default",
    title: "New instances demand IMDSv2 in every enabled region",
    severity: Severity::Medium,
    why: "With IMDSv1 any request that a web application is tricked into sending returns the credentials of the machine's role.",
    fix: "quell run harden (ec2.require-imdsv2), or aws ec2 modify-instance-metadata-defaults --http-tokens required --region REGION.",
    needs: &[DEFAULTS],
    read: |view| {
        Read::in_regions(view, |read, region| {
            if let Some(answer) = read.known(view.one_in(region, DEFAULTS))
                && answer["accountLevel"]["httpTokens"] != "required"
            {
                read.fail_in(region, "region", "does not demand tokens of new instances");
            }
        })
    },
};

/// The instances that there are demand tokens.
pub(super) const ON_INSTANCES: Check = Check {
    id: "ec2.imdsv2-instances",
    title: "Every instance demands IMDSv2, or offers no metadata",
    severity: Severity::High,
    why: "The default holds for new instances only; those that run already go on answering IMDSv1.",
    fix: "aws ec2 modify-instance-metadata-options --instance-id ID --http-tokens required --http-endpoint enabled, after \
          the metric MetadataNoToken of the instance has stayed at 0.",
    needs: &[INSTANCES],
    read: |view| {
        Read::in_regions(view, |read, region| {
            let path = ["reservationSet", "*", "instancesSet", "*"];
            for instance in read.known(view.list_in(region, INSTANCES, &path)).unwrap_or_default() {
                let options = &instance["metadataOptions"];
                let is_gone = instance["instanceState"]["name"] == "terminated";
                if !is_gone && options["httpTokens"] != "required" && options["httpEndpoint"] != "disabled" {
                    let id = instance["instanceId"].as_str().unwrap_or_default();
                    read.fail_in(region, format!("instance {id}"), "answers IMDSv1");
                }
            }
        })
    },
};
