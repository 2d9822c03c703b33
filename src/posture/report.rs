//! IAM's credential report.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use super::facts::{Missing, View};

/// The operation that answers it.
pub(super) const REPORT: &str = "iam:GetCredentialReport";
/// The operation that has it made.
pub(super) const MADE: &str = "iam:GenerateCredentialReport";

/// A line of the report: a user, or root.
#[derive(Debug)]
pub(super) struct Line {
    names: Vec<String>,
    cells: Vec<String>,
}

impl Line {
    fn cell(&self, name: &str) -> &str {
        let place = self.names.iter().position(|known| known == name);
        place.and_then(|place| self.cells.get(place)).map_or("", String::as_str)
    }

    /// The user's name.
    pub fn user(&self) -> &str {
        self.cell("user")
    }

    /// Whether it is the root user.
    pub fn is_root(&self) -> bool {
        self.user() == "<root_account>"
    }

    /// Whether the console can be entered with a password.
    pub fn has_password(&self) -> bool {
        self.cell("password_enabled") == "true"
    }

    /// Whether it has an MFA device.
    pub fn has_mfa(&self) -> bool {
        self.cell("mfa_active") == "true"
    }

    /// The active keys: their number, when each was made, and when it was last used.
    pub fn active_keys(&self) -> impl Iterator<Item = ActiveKey> + '_ {
        [1, 2].into_iter().filter(|number| self.cell(&format!("access_key_{number}_active")) == "true").map(|number| {
            let time = |what: &str| self.cell(&format!("access_key_{number}_{what}")).parse().ok();
            ActiveKey { number, made: time("last_rotated"), used: time("last_used_date") }
        })
    }
}

/// An active key, which the report knows by its number alone.
#[derive(Debug)]
pub(super) struct ActiveKey {
    pub number: u8,
    pub made: Option<Timestamp>,
    pub used: Option<Timestamp>,
}

/// Reads it.
pub(super) fn lines(view: &View<'_>) -> Result<Vec<Line>, Missing> {
    let answer = view.one(REPORT)?;
    let unreadable = || Missing { region: None, why: format!("{REPORT}: the report cannot be read") };
    let content: String = answer["Content"].as_str().unwrap_or_default().split_whitespace().collect();
    let bytes = STANDARD.decode(content).map_err(|_| unreadable())?;
    let text = String::from_utf8(bytes).map_err(|_| unreadable())?;
    let mut rows = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let names = rows.next().filter(|names| names.iter().any(|name| name == "mfa_active")).ok_or_else(unreadable)?;
    Ok(rows.filter(|cells| cells.len() > 1).map(|cells| Line { names: names.clone(), cells }).collect())
}
