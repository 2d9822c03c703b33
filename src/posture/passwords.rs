//! People who sign in with a password.

use super::check::{Check, Read, Severity};
use super::report::{MADE, REPORT, lines};

const POLICY_API: &str = "iam:GetAccountPasswordPolicy";
const SUMMARY: &str = "iam:GetAccountSummary";
/// CIS AWS Foundations Benchmark 3.0, 1.8 and 1.9.
const SHORTEST: u64 = 14;
const REMEMBERED: u64 = 24;

/// Every person has MFA.
pub(super) const MFA: Check = Check {
    id: "iam.human-mfa",
    title: "Every user with a password has MFA",
    severity: Severity::High,
    why: "A password that was phished, guessed or reset by an intruder opens the console; MFA is what still stands then.",
    fix: "For each user: aws iam create-virtual-mfa-device and aws iam enable-mfa-device --user-name USER, or take the password \
          away: aws iam delete-login-profile --user-name USER.",
    needs: &[MADE, REPORT],
    read: |view| {
        let mut read = Read::default();
        let lines = read.known(lines(view)).unwrap_or_default();
        for line in lines.iter().filter(|line| !line.is_root() && line.has_password() && !line.has_mfa()) {
            read.fail(format!("user {}", line.user()), "has a password and no MFA device");
        }
        read
    },
};

/// People come from an identity provider.
pub(super) const IDENTITY_PROVIDER: Check = Check {
    id: "iam.identity-provider",
    title: "People sign in through an identity provider, not as IAM users",
    severity: Severity::Low,
    why: "Who leaves the company loses an identity provider's access the same day; an IAM user stays, with all its credentials.",
    fix: "Give people permission sets in IAM Identity Center (aws sso-admin create-account-assignment), then take their passwords \
          away: aws iam delete-login-profile --user-name USER.",
    needs: &[MADE, REPORT],
    read: |view| {
        let mut read = Read::default();
        for line in read.known(lines(view)).unwrap_or_default() {
            if !line.is_root() && line.has_password() {
                read.fail(format!("user {}", line.user()), "signs in with a password of its own");
            }
        }
        read
    },
};

/// Passwords are long and new.
pub(super) const POLICY: Check = Check {
    id: "iam.password-policy",
    title: "Passwords have 14 characters and are not used again",
    severity: Severity::Low,
    why: "Without a policy eight characters do, and an intruder's password reset can be followed by the old password.",
    fix: "aws iam update-account-password-policy --minimum-password-length 14 --password-reuse-prevention 24 \
          --allow-users-to-change-password --require-symbols --require-numbers --require-uppercase-characters \
          --require-lowercase-characters.",
    needs: &[POLICY_API, SUMMARY],
    read: |view| {
        let mut read = Read::default();
        // That there is none is an answer without a trace; it is asked beside the summary.
        let Some(answers) = read.known(view.perhaps(POLICY_API, SUMMARY)) else { return read };
        let Some(policy) = answers.first().map(|answer| &answer.said["PasswordPolicy"]) else {
            read.fail("account", "has no password policy");
            return read;
        };
        let number = |name: &str| policy[name].as_str().and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
        let (length, remembered) = (number("MinimumPasswordLength"), number("PasswordReusePrevention"));
        if length < SHORTEST {
            read.fail("password policy", format!("asks for {length} characters"));
        }
        if remembered < REMEMBERED {
            read.fail("password policy", format!("remembers {remembered} passwords"));
        }
        read
    },
};
