//! Which regions an account has open.

use super::check::{Check, Read, Severity};

const INSTANCES: &str = "ec2:DescribeInstances";
const VOLUMES: &str = "ec2:DescribeVolumes";
const SNAPSHOTS: &str = "ec2:DescribeSnapshots";

/// Regions that were switched on are used.
pub(super) const UNUSED_REGIONS: Check = Check {
    id: "account.unused-regions",
    title: "Every opt-in region that is enabled is in use",
    severity: Severity::Low,
    why: "A region that nobody uses is one more place for an intruder's machines, and one that nobody watches. Instances, volumes \
          and snapshots count as use.",
    fix: "aws account disable-region --region-name REGION, after a look at what else is in it.",
    needs: &[INSTANCES, VOLUMES, SNAPSHOTS],
    read: |view| {
        let mut read = Read::default();
        let listed = read.known(view.listed_regions()).unwrap_or_default();
        for (region, _) in
            listed.into_iter().filter(|(_, status)| matches!(*status, "ENABLED" | "ENABLING" | "opted-in"))
        {
            let questions: [(&str, &[&str]); 3] = [
                (INSTANCES, &["reservationSet", "*", "instancesSet", "*"]),
                (VOLUMES, &["volumeSet", "*"]),
                (SNAPSHOTS, &["snapshotSet", "*"]),
            ];
            let counted =
                questions.map(|(api, path)| read.known(view.list_in(&region, api, path)).map(|all| all.len()));
            if counted.iter().all(|count| *count == Some(0)) {
                read.fail_in(&region, "region", "is enabled and holds nothing");
            }
        }
        read
    },
};
