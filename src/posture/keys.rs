//! Long-term access keys of users.

use jiff::{SignedDuration, Timestamp};

use super::check::{Check, Read, Severity};
use super::facts::View;
use super::report::{ActiveKey, Line, MADE, REPORT, lines};

const DAYS_90: SignedDuration = SignedDuration::from_hours(90 * 24);

/// Nobody has a key.
pub(super) const LONG_TERM: Check = Check {
    id: "iam.long-term-keys",
    title: "No user has an active access key",
    severity: Severity::Medium,
    why: "Long-term keys are what leaks: into repositories, images, laptops. Credentials of a role end by themselves.",
    fix: "Programs on AWS get a role (instance profile, task role), programs elsewhere an OpenID Connect or Roles Anywhere role, \
          people aws sso login. Then aws iam update-access-key --status Inactive --user-name USER --access-key-id KEY, and later \
          delete-access-key.",
    needs: &[MADE, REPORT],
    read: |view| {
        each(view, |line, key, read| {
            let owner =
                if line.has_password() { "a person: use the identity provider" } else { "a program: use a role" };
            read.fail(name(line, key), format!("is active; its user seems to be {owner}"));
        })
    },
};

/// Keys are in use.
pub(super) const UNUSED: Check = Check {
    id: "iam.unused-keys",
    title: "Every active access key was used in the last 90 days",
    severity: Severity::Medium,
    why: "Nobody misses an unused key, and nobody notices who uses it first.",
    fix: "aws iam update-access-key --status Inactive --user-name USER --access-key-id KEY; after a month, \
          aws iam delete-access-key.",
    needs: &[MADE, REPORT],
    read: |view| {
        let at = view.facts().at;
        each(view, |line, key, read| {
            // One that was never used counts from when it was made.
            let last = key.used.or(key.made);
            if last.is_none_or(|last| is_old(last, at)) {
                let what = match key.used {
                    Some(used) => format!("was last used on {}", day(used)),
                    None => "was never used".to_owned(),
                };
                read.fail(name(line, key), what);
            }
        })
    },
};

/// Keys are young.
pub(super) const OLD: Check = Check {
    id: "iam.old-keys",
    title: "No active access key is older than 90 days",
    severity: Severity::Medium,
    why: "The older a key, the more copies there are of it, and the longer ago the leak may be that is found today.",
    fix: "aws iam create-access-key --user-name USER, put it where the old one was, then aws iam update-access-key --status \
          Inactive --user-name USER --access-key-id OLD; better, put a role in its place.",
    needs: &[MADE, REPORT],
    read: |view| {
        let at = view.facts().at;
        each(view, |line, key, read| {
            if let Some(made) = key.made.filter(|made| is_old(*made, at)) {
                read.fail(name(line, key), format!("was made on {}", day(made)));
            }
        })
    },
};

/// Looks at every active key of users.
fn each(view: &View<'_>, look: impl Fn(&Line, &ActiveKey, &mut Read)) -> Read {
    let mut read = Read::default();
    for line in read.known(lines(view)).unwrap_or_default() {
        if !line.is_root() {
            line.active_keys().for_each(|key| look(&line, &key, &mut read));
        }
    }
    read
}

fn name(line: &Line, key: &ActiveKey) -> String {
    format!("access key {} of user {}", key.number, line.user())
}

fn is_old(time: Timestamp, at: Timestamp) -> bool {
    at.duration_since(time) > DAYS_90
}

fn day(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d").to_string()
}
