//! IAM's credential report.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;

/// A line of the report, by the names of its columns.
#[derive(Debug)]
pub struct Row(BTreeMap<String, String>);

impl Row {
    /// The user; `<root_account>` for root.
    pub fn user(&self) -> &str {
        self.text("user")
    }

    /// A column; empty when there is none of that name.
    pub fn text(&self, column: &str) -> &str {
        self.0.get(column).map(String::as_str).unwrap_or_default()
    }

    /// A column that holds a date, if it does: `N/A` and `no_information` are none.
    pub fn time(&self, column: &str) -> Option<Timestamp> {
        self.text(column).parse().ok()
    }
}

/// The lines of a report as `iam:GetCredentialReport` answers it. A line with more or fewer columns than the first is left out.
pub fn rows(answer: &Value) -> Vec<Row> {
    let content = answer.get("Content").and_then(Value::as_str).unwrap_or_default();
    let Ok(bytes) = STANDARD.decode(content.trim()) else { return Vec::new() };
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.lines().map(columns);
    let Some(head) = lines.next() else { return Vec::new() };
    let fitting = lines.filter(|line| line.len() == head.len());
    fitting.map(|line| Row(head.iter().cloned().zip(line).collect())).collect()
}

/// The columns of a line. The name of a user may hold a comma; then it stands in quotation marks.
fn columns(line: &str) -> Vec<String> {
    let (mut columns, mut quoted) = (vec![String::new()], false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => columns.push(String::new()),
            c => columns.last_mut().expect("there is always a column").push(c),
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_report_is_read_by_the_names_of_its_columns() {
        let text = "user,arn,password_last_used\n\"a,b\",arn:x,2026-03-03T14:44:00Z\n<root_account>,arn:y,no_information\ntorn,line\n";
        let rows = rows(&json!({ "Content": STANDARD.encode(text) }));
        assert_eq!(rows.iter().map(Row::user).collect::<Vec<_>>(), ["a,b", "<root_account>"]);
        assert_eq!(rows[0].time("password_last_used"), "2026-03-03T14:44:00Z".parse().ok());
        assert_eq!((rows[1].time("password_last_used"), rows[1].text("nothing")), (None, ""));
    }
}
