//! The table of actions and sources: one `mod` line and one line in [`table`] for each file.

pub mod account;
#[cfg(feature = "amplify")]
mod amplify;
#[cfg(feature = "apprunner")]
mod apprunner;
#[cfg(all(feature = "autoscaling", feature = "ec2"))]
pub(crate) mod autoscaling;
#[cfg(feature = "iam")]
mod baseline;
#[cfg(all(feature = "batch", feature = "cloudtrail"))]
mod batch;
#[cfg(feature = "codebuild")]
mod codebuild;
#[cfg(all(any(feature = "batch", feature = "iam"), feature = "cloudtrail"))]
mod creation;
#[cfg(feature = "iam")]
mod creator;
#[cfg(feature = "iam")]
mod credential;
#[cfg(feature = "ec2")]
mod ec2;
#[cfg(feature = "ecs")]
mod ecs;
#[cfg(feature = "emr")]
mod emr;
#[cfg(all(feature = "iam", feature = "cloudtrail"))]
mod event_history;
mod field;
#[cfg(feature = "glue")]
mod glue;
#[cfg(feature = "iam")]
pub(crate) mod iam;
#[cfg(all(feature = "ssoadmin", feature = "identitystore"))]
mod identity_center;
#[cfg(all(feature = "ssoadmin", feature = "identitystore"))]
mod identitystore;
#[cfg(feature = "lambda")]
mod lambda;
#[cfg(feature = "lightsail")]
mod lightsail;
#[cfg(all(feature = "iam", feature = "cloudtrail"))]
mod may_assume;
#[cfg(feature = "ec2")]
mod network;
#[cfg(feature = "organizations")]
mod organization_policy;
#[cfg(feature = "organizations")]
pub(crate) mod organizations;
#[cfg(feature = "iam")]
mod principal;
#[cfg(feature = "ec2")]
mod region_setting;
#[cfg(feature = "rolesanywhere")]
mod rolesanywhere;
#[cfg(feature = "sagemaker")]
mod sagemaker;
#[cfg(feature = "iam")]
mod simulated;
#[cfg(all(feature = "ssoadmin", feature = "identitystore"))]
mod sso;
#[cfg(feature = "iam")]
mod trust;

use std::sync::Arc;

use crate::engine::table::{DynAction, DynSource, Table};

/// Everything that a runbook can use, in the order of the help.
pub fn table() -> Table {
    let actions: Vec<Box<dyn DynAction>> = vec![
        Box::new(account::capture::Capture),
        #[cfg(feature = "organizations")]
        Box::new(organizations::deny_all::DenyAll),
        #[cfg(feature = "organizations")]
        Box::new(organizations::deny_outsiders::DenyOutsiders),
        #[cfg(feature = "organizations")]
        Box::new(organizations::move_account::MoveAccount),
        #[cfg(feature = "iam")]
        Box::new(credential::Deactivate(iam::deactivate_access_keys::AccessKeys)),
        #[cfg(feature = "iam")]
        Box::new(iam::deny_all::DenyAll),
        #[cfg(feature = "iam")]
        Box::new(iam::revoke_sessions::RevokeSessions),
        #[cfg(feature = "iam")]
        Box::new(iam::remove_login_profile::RemoveLoginProfile),
        #[cfg(feature = "iam")]
        Box::new(credential::Deactivate(iam::deactivate_signing_certificates::SigningCertificates)),
        #[cfg(feature = "iam")]
        Box::new(credential::Deactivate(iam::deactivate_ssh_keys::SshKeys)),
        #[cfg(feature = "iam")]
        Box::new(credential::Deactivate(iam::deactivate_service_credentials::ServiceCredentials)),
        #[cfg(feature = "iam")]
        Box::new(iam::deactivate_mfa_devices::DeactivateMfaDevices),
        #[cfg(feature = "iam")]
        Box::new(iam::close_trust::CloseTrust),
        #[cfg(feature = "iam")]
        Box::new(iam::remove_identity_providers::RemoveIdentityProviders),
        #[cfg(feature = "iam")]
        Box::new(iam::restore_policy_version::RestorePolicyVersion),
        #[cfg(feature = "iam")]
        Box::new(iam::delete_root_credentials::DeleteRootCredentials),
        #[cfg(all(feature = "ssoadmin", feature = "identitystore"))]
        Box::new(sso::remove_assignments::RemoveAssignments),
        #[cfg(all(feature = "ssoadmin", feature = "identitystore"))]
        Box::new(identitystore::remove_memberships::RemoveMemberships),
        #[cfg(feature = "rolesanywhere")]
        Box::new(rolesanywhere::disable::Disable),
        #[cfg(feature = "ec2")]
        Box::new(ec2::protect::Protect),
        #[cfg(feature = "ec2")]
        Box::new(ec2::tag::Tag),
        #[cfg(all(feature = "autoscaling", feature = "ec2"))]
        Box::new(autoscaling::suspend::Suspend),
        #[cfg(all(feature = "autoscaling", feature = "ec2"))]
        Box::new(ec2::suspend_launchers::SuspendLaunchers),
        #[cfg(feature = "ec2")]
        Box::new(ec2::hibernate_instances::HibernateInstances),
        #[cfg(feature = "ec2")]
        Box::new(ec2::snapshot_volumes::SnapshotVolumes),
        #[cfg(feature = "ec2")]
        Box::new(ec2::copy_snapshots::CopySnapshots),
        #[cfg(feature = "ec2")]
        Box::new(ec2::lock_snapshots::LockSnapshots),
        #[cfg(feature = "ec2")]
        Box::new(ec2::share_snapshots::ShareSnapshots),
        #[cfg(feature = "ec2")]
        Box::new(ec2::isolate::Isolate::default()),
        #[cfg(feature = "ec2")]
        Box::new(ec2::cut_subnet::CutSubnet),
        #[cfg(feature = "ec2")]
        Box::new(ec2::block_public_access::BlockPublicAccess),
        #[cfg(feature = "ec2")]
        Box::new(ec2::detach_profile::DetachProfile),
        #[cfg(feature = "ec2")]
        Box::new(ec2::stop_instances::StopInstances),
        #[cfg(feature = "ec2")]
        Box::new(ec2::cancel_spot_requests::CancelSpotRequests),
        #[cfg(feature = "ec2")]
        Box::new(ec2::disable_imds::DisableImds),
        #[cfg(feature = "ec2")]
        Box::new(ec2::restore_default_version::RestoreDefaultVersion),
        #[cfg(feature = "ec2")]
        Box::new(region_setting::SetInRegion(ec2::require_imdsv2::RequireImdsv2)),
        #[cfg(feature = "ec2")]
        Box::new(region_setting::SetInRegion(ec2::encrypt_by_default::EncryptByDefault)),
        #[cfg(feature = "ec2")]
        Box::new(region_setting::SetInRegion(ec2::block_snapshot_sharing::BlockSnapshotSharing)),
        #[cfg(feature = "ec2")]
        Box::new(region_setting::SetInRegion(ec2::block_image_sharing::BlockImageSharing)),
        #[cfg(all(feature = "autoscaling", feature = "ec2"))]
        Box::new(ec2::terminate_instances::TerminateInstances),
        #[cfg(all(feature = "batch", feature = "cloudtrail"))]
        Box::new(batch::stop::Stop),
        #[cfg(all(feature = "batch", feature = "cloudtrail"))]
        Box::new(batch::disable_environments::DisableEnvironments),
        #[cfg(feature = "amplify")]
        Box::new(amplify::stop_builds::StopBuilds),
        #[cfg(feature = "apprunner")]
        Box::new(apprunner::pause::Pause),
        #[cfg(feature = "codebuild")]
        Box::new(codebuild::stop_builds::StopBuilds),
        #[cfg(feature = "codebuild")]
        Box::new(codebuild::shrink_fleets::ShrinkFleets),
        #[cfg(feature = "glue")]
        Box::new(glue::stop_jobs::StopJobs),
        #[cfg(feature = "glue")]
        Box::new(glue::stop_sessions::StopSessions),
        #[cfg(feature = "ecs")]
        Box::new(ecs::stop::Stop),
        #[cfg(feature = "lambda")]
        Box::new(lambda::stop::Stop),
        #[cfg(feature = "lambda")]
        Box::new(lambda::close_policy::ClosePolicy),
        #[cfg(feature = "sagemaker")]
        Box::new(sagemaker::stop::Stop),
        #[cfg(feature = "lightsail")]
        Box::new(lightsail::stop::Stop),
        #[cfg(feature = "emr")]
        Box::new(emr::terminate::Terminate),
    ];
    let sources: Vec<Box<dyn DynSource>> = vec![
        #[cfg(feature = "iam")]
        Box::new(iam::owner_of_key::OwnerOfKey),
        #[cfg(all(feature = "iam", feature = "cloudtrail"))]
        Box::new(iam::sessions_of_key::SessionsOfKey),
        #[cfg(feature = "iam")]
        Box::new(iam::users::Users),
        #[cfg(feature = "iam")]
        Box::new(iam::roles::Roles),
        #[cfg(feature = "iam")]
        Box::new(iam::trusts::Trusts),
        #[cfg(feature = "iam")]
        Box::new(iam::identity_providers::IdentityProviders),
        #[cfg(feature = "iam")]
        Box::new(iam::policy_versions::PolicyVersions),
        #[cfg(feature = "iam")]
        Box::new(iam::root_credentials::RootCredentials),
        #[cfg(all(feature = "ssoadmin", feature = "identitystore"))]
        Box::new(sso::assignments::Assignments),
        #[cfg(all(feature = "ssoadmin", feature = "identitystore"))]
        Box::new(identitystore::memberships::Memberships),
        #[cfg(feature = "rolesanywhere")]
        Box::new(rolesanywhere::trust_anchors::TrustAnchors),
        #[cfg(feature = "rolesanywhere")]
        Box::new(rolesanywhere::profiles::Profiles),
        #[cfg(feature = "ec2")]
        Box::new(ec2::instances::Instances),
        #[cfg(feature = "ec2")]
        Box::new(ec2::volumes::Volumes),
        #[cfg(feature = "ec2")]
        Box::new(ec2::key_pairs::KeyPairs),
        #[cfg(feature = "ec2")]
        Box::new(ec2::spot_requests::SpotRequests),
        #[cfg(feature = "ec2")]
        Box::new(ec2::subnets::Subnets),
        #[cfg(feature = "ec2")]
        Box::new(ec2::fleets::Fleets),
        #[cfg(feature = "ec2")]
        Box::new(ec2::spot_fleets::SpotFleets),
        #[cfg(feature = "ec2")]
        Box::new(ec2::images::Images),
        #[cfg(feature = "ec2")]
        Box::new(ec2::launch_templates::LaunchTemplates),
        #[cfg(feature = "ec2")]
        Box::new(ec2::addresses::Addresses),
        #[cfg(feature = "ec2")]
        Box::new(ec2::capacity_reservations::CapacityReservations),
        #[cfg(feature = "ec2")]
        Box::new(ec2::shared_snapshots::SharedSnapshots),
        #[cfg(feature = "ec2")]
        Box::new(ec2::vpcs::Vpcs),
        #[cfg(feature = "ec2")]
        Box::new(ec2::regions::Regions),
        #[cfg(all(feature = "autoscaling", feature = "ec2"))]
        Box::new(autoscaling::groups::Groups),
        #[cfg(all(feature = "batch", feature = "cloudtrail"))]
        Box::new(batch::queues::Queues),
        #[cfg(all(feature = "batch", feature = "cloudtrail"))]
        Box::new(batch::environments::Environments),
        #[cfg(feature = "amplify")]
        Box::new(amplify::apps::Apps),
        #[cfg(feature = "apprunner")]
        Box::new(apprunner::services::Services),
        #[cfg(feature = "codebuild")]
        Box::new(codebuild::projects::Projects),
        #[cfg(feature = "codebuild")]
        Box::new(codebuild::fleets::Fleets),
        #[cfg(feature = "glue")]
        Box::new(glue::jobs::Jobs),
        #[cfg(feature = "glue")]
        Box::new(glue::sessions::Sessions),
        #[cfg(feature = "ecs")]
        Box::new(ecs::services::Services),
        #[cfg(feature = "ecs")]
        Box::new(ecs::tasks::Tasks),
        #[cfg(feature = "lambda")]
        Box::new(lambda::functions::Functions),
        #[cfg(feature = "sagemaker")]
        Box::new(sagemaker::workloads::Workloads),
        #[cfg(feature = "lightsail")]
        Box::new(lightsail::instances::Instances),
        #[cfg(feature = "lightsail")]
        Box::new(lightsail::containers::Containers),
        #[cfg(feature = "emr")]
        Box::new(emr::clusters::Clusters),
    ];
    Table { actions: Arc::from(actions), sources: Arc::from(sources) }
}

#[cfg(test)]
pub(crate) mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::engine::action::View;
    use crate::model::{AccountId, Caller, RunId};

    /// A responder's session in account 111122223333.
    pub(crate) fn view() -> View {
        View {
            case: RunId::new("r-1").unwrap(),
            caller: Caller {
                arn: "arn:aws:sts::111122223333:assumed-role/IRResponder/anna".into(),
                account: AccountId::new("111122223333").unwrap(),
                user_id: "AROAEXAMPLE:anna".into(),
                access_key: Some("ASIAEXAMPLERESPONDER".into()),
                endpoint: None,
            },
            now: "2026-11-23T14:43:00Z".parse::<Timestamp>().unwrap(),
        }
    }

    #[test]
    fn every_kind_that_an_action_works_on_has_a_source() {
        let catalog = table().catalog();
        for (name, action) in &catalog.actions {
            for kind in action.kinds.iter().filter(|kind| **kind != "account") {
                assert!(catalog.kinds.contains_key(*kind), "{name} works on {kind}, which no source lists");
            }
            assert!(action.example.contains(name.as_str()), "{name} has an example that does not use it");
        }
    }
}
