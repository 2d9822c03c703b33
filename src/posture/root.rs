//! The root user: nothing bounds it.

use serde_json::Value;

use super::check::{Check, Read, Severity};

const SUMMARY: &str = "iam:GetAccountSummary";

/// The root user has an MFA device, or nothing to sign in with.
pub(super) const MFA: Check = Check {
    id: "iam.root-mfa",
    title: "The root user has MFA, or no password at all",
    severity: Severity::High,
    why: "No policy binds the root user of a standalone account, and whoever reads its mailbox can reset its password.",
    fix: "Sign in as root, then Security credentials, Assign MFA device (two hardware keys); or, for a member of an organisation, \
          delete its root credentials from the management account: IAM console, Root access management.",
    needs: &[SUMMARY],
    read: |view| {
        let mut read = Read::default();
        if let Some(summary) = read.known(view.one(SUMMARY)) {
            // An account whose summary does not say is taken to have a password: those made long ago.
            let has_password = entry(summary, "AccountPasswordPresent") != Some(0);
            match entry(summary, "AccountMFAEnabled") {
                Some(1..) => {}
                Some(_) if !has_password => {}
                _ => read.fail("root user", "has no MFA device"),
            }
        }
        read
    },
};

/// The root user has no keys.
pub(super) const KEYS: Check = Check {
    id: "iam.root-keys",
    title: "The root user has no access key and no signing certificate",
    severity: Severity::High,
    why: "A root key can do everything from everywhere, without MFA, and cannot be narrowed.",
    fix: "Sign in as root, then Security credentials, Access keys: deactivate, wait, delete; use roles in its place.",
    needs: &[SUMMARY],
    read: |view| {
        let mut read = Read::default();
        if let Some(summary) = read.known(view.one(SUMMARY)) {
            for (name, what) in [
                ("AccountAccessKeysPresent", "has an access key"),
                ("AccountSigningCertificatesPresent", "has a signing certificate"),
            ] {
                if entry(summary, name).is_some_and(|count| count > 0) {
                    read.fail("root user", what);
                }
            }
        }
        read
    },
};

/// A number of the summary.
fn entry(summary: &Value, name: &str) -> Option<u64> {
    let entries = summary["SummaryMap"].as_array()?;
    entries.iter().find(|entry| entry["key"] == name)?["value"].as_str()?.parse().ok()
}
