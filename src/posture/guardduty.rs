//! Whether somebody looks.

use super::check::{Check, Read, Severity};

const DETECTORS_LISTED: &str = "guardduty:ListDetectors";
const DETECTOR: &str = "guardduty:GetDetector";

/// GuardDuty looks everywhere.
pub(super) const DETECTORS: Check = Check {
    id: "guardduty.detectors",
    title: "GuardDuty looks in every enabled region",
    severity: Severity::High,
    why: "It knows mining pools, stolen instance credentials and odd callers, and needs no agent; intruders go where it is off.",
    fix: "aws guardduty create-detector --enable --region REGION; for an organisation, aws guardduty \
          update-organization-configuration --auto-enable-organization-members ALL in each region.",
    needs: &[DETECTORS_LISTED, DETECTOR],
    read: |view| {
        Read::in_regions(view, |read, region| {
            let Some(detectors) = read.known(view.list_in(region, DETECTORS_LISTED, &["detectorIds", "*"])) else {
                return;
            };
            if detectors.is_empty() {
                return read.fail_in(region, "region", "has no detector");
            }
            if let Some(detector) = read.known(view.one_in(region, DETECTOR))
                && detector["status"] != "ENABLED"
            {
                read.fail_in(region, "detector", "is suspended");
            }
        })
    },
};
