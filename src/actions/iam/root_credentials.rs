//! `iam.root-credentials`: what the root user of an account signs in with.

use std::collections::HashMap;

use aws_sdk_iam::Client;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Duration, sleep};

use crate::actions::field::{field, resource, time};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, ErrorKind, FieldType, KindSpec, Resource, Scope};

/// Reads the root user's row of the credential report.
pub struct RootCredentials;

/// The source has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// How often to ask for a report that is being made, and for how long.
const ASK: Duration = Duration::from_secs(2);
const PATIENCE: u32 = 30;

/// `iam.root`; a member's id is the ARN of the root user.
pub static KIND: KindSpec = KindSpec {
    name: "iam.root",
    scope: Scope::Global,
    fields: &[
        field("arn", FieldType::Text, "its ARN"),
        field("keys", FieldType::Integer, "how many access keys it has, active or not, when the report was made"),
        field("keys_created", FieldType::Timestamp, "when the newest of them was made"),
        field(
            "last_used",
            FieldType::Timestamp,
            "when a key or the password was last used; use within 15 minutes counts once",
        ),
        field("certificates", FieldType::Integer, "how many active signing certificates it has"),
        field("mfa", FieldType::Bool, "whether it has an MFA device"),
        field("keys_now", FieldType::Bool, "whether it has access keys at this moment"),
        field(
            "generated",
            FieldType::Timestamp,
            "when the report was made: AWS makes a new one every four hours at most",
        ),
    ],
};

impl Source for RootCredentials {
    type Params = Params;

    const NAME: &'static str = "iam.root-credentials";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "The root user of an account, with what it signs in with";
    const PERMISSIONS: &'static [&'static str] =
        &["iam:GenerateCredentialReport", "iam:GetCredentialReport", "iam:GetAccountSummary"];

    async fn list(&self, cx: &Ctx, _: &Params, _: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let client = super::client(cx);
        let (report, generated) = report(&client).await?;
        let now = summary(&client).await?;
        let rows = rows(&report);
        let root = rows.iter().find(|row| row.get("user").is_some_and(|user| *user == "<root_account>"));
        let root = root.ok_or_else(|| {
            ActionError::new(ErrorKind::Unsupported, "the credential report has no row for the root user")
        })?;
        let text = |column: &str| root.get(column).copied().unwrap_or_default();
        let made = |number: u8| text(&format!("access_key_{number}_last_rotated")).parse::<Timestamp>().ok();
        let active = |number: u8| text(&format!("access_key_{number}_active")) == "true";
        let keys = [1, 2].into_iter().filter(|number| active(*number) || made(*number).is_some()).count();
        let used = ["password_last_used", "access_key_1_last_used_date", "access_key_2_last_used_date"];
        let used = used.into_iter().filter_map(|column| text(column).parse::<Timestamp>().ok()).max();
        let certificates = ["cert_1_active", "cert_2_active"].into_iter().filter(|column| text(column) == "true");
        let at = |time: Option<Timestamp>| time.unwrap_or(Timestamp::UNIX_EPOCH).to_string();
        let fields = json!({
            "arn": text("arn"),
            "keys": keys,
            "keys_created": at([made(1), made(2)].into_iter().flatten().max()),
            "last_used": at(used),
            "certificates": certificates.count(),
            "mfa": text("mfa_active") == "true",
            "keys_now": now.keys,
            "generated": generated,
        });
        Ok(resource(cx, KIND.name, text("arn"), fields).into_iter().collect())
    }
}

/// The report, and when it was made. One that is younger than four hours is given again.
async fn report(client: &Client) -> Result<(String, String), ActionError> {
    client.generate_credential_report().send().await?;
    for _ in 0..PATIENCE {
        match client.get_credential_report().send().await.map_err(ActionError::from) {
            Ok(answer) => {
                let content = answer.content.map(aws_sdk_iam::primitives::Blob::into_inner).unwrap_or_default();
                let text = String::from_utf8_lossy(&content).into_owned();
                return Ok((text, time(answer.generated_time.as_ref())));
            }
            Err(error) if error.is("ReportInProgress") || error.is("ReportNotPresent") => sleep(ASK).await,
            Err(error) => return Err(error),
        }
    }
    let waited = SignedDuration::try_from(ASK * PATIENCE).unwrap_or_default();
    Err(ActionError::new(ErrorKind::Unreachable, format!("no credential report after {waited:#}: look again")))
}

/// Rows by the names of their columns: AWS adds columns at will. No value of this report holds a comma.
fn rows(report: &str) -> Vec<HashMap<&str, &str>> {
    let mut lines = report.lines();
    let columns: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    lines.map(|line| columns.iter().copied().zip(line.split(',')).collect()).collect()
}

/// What the root user has at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Summary {
    pub keys: bool,
    pub certificates: bool,
    pub password: bool,
    pub mfa: bool,
}

/// Asks what the root user has: unlike the report, this is never old.
pub(super) async fn summary(client: &Client) -> Result<Summary, ActionError> {
    let answer = client.get_account_summary().send().await?;
    let has = |name: &str| {
        let entries = answer.summary_map.iter().flatten();
        entries.into_iter().any(|(key, value)| key.as_str() == name && *value > 0)
    };
    Ok(Summary {
        keys: has("AccountAccessKeysPresent"),
        certificates: has("AccountSigningCertificatesPresent"),
        password: has("AccountPasswordPresent"),
        mfa: has("AccountMFAEnabled"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_by_the_names_of_their_columns() {
        let rows = rows("user,new_column,arn\n<root_account>,x,arn:aws:iam::111122223333:root\neve,y,z\n");
        assert_eq!(rows[0]["arn"], "arn:aws:iam::111122223333:root");
        assert_eq!(rows[1].get("mfa_active"), None);
    }
}
