//! Options that several commands share.

use std::path::PathBuf;

use clap::Args;

use super::error::Failure;
use crate::bounded::{self, FAULTS};
use crate::model::Tier;
use crate::report::text::shown;
use crate::sim::faults::{Fault, FaultPlan};

/// Which credentials to use, and where to send requests.
#[derive(Debug, Clone, Default, Args)]
pub struct AwsOptions {
    /// The profile of the AWS configuration; otherwise AWS_PROFILE, or the default chain
    #[arg(long, value_name = "NAME", help_heading = "AWS")]
    pub profile: Option<String>,
    /// The region of the caller's own session; the regions to contain are the runbook's business
    #[arg(long, value_name = "REGION", help_heading = "AWS")]
    pub region: Option<String>,
    /// Assume this role first, and work as it (its ARN)
    #[arg(long, value_name = "ARN", help_heading = "AWS")]
    pub work_as: Option<String>,
    /// The MFA device that this role demands (its serial number); the code is asked for, once
    #[arg(long, value_name = "SERIAL", requires = "work_as", help_heading = "AWS")]
    pub mfa: Option<String>,
    /// The code of that device, where nobody can be asked
    #[arg(
        long,
        value_name = "CODE",
        requires = "mfa",
        env = "QUELL_MFA_CODE",
        hide_env_values = true,
        help_heading = "AWS"
    )]
    pub mfa_code: Option<String>,
    /// Accept that another endpoint than AWS's is configured (AWS_ENDPOINT_URL), without being asked
    #[arg(long, help_heading = "AWS")]
    pub trust_endpoint: bool,
}

/// What a runbook asks for.
#[derive(Debug, Clone, Default, Args)]
pub struct InputOptions {
    /// An input of the runbook, as NAME=VALUE; lists are divided by commas
    #[arg(long = "input", value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub inputs: Vec<(String, String)>,
}

/// What is approved beforehand.
#[derive(Debug, Clone, Default, Args)]
pub struct ApprovalOptions {
    /// Tiers that are approved without a question: reversible, disruptive, destructive
    #[arg(long, value_name = "TIER,...", value_delimiter = ',', value_parser = tier)]
    pub approve: Vec<Tier>,
}

/// What goes wrong in a simulated AWS.
#[derive(Debug, Clone, Default, Args)]
pub struct FaultOptions {
    /// What goes wrong, as WHERE=WHAT: eu-west-3=no-answer, ec2:StopInstances=throttle@0.2, iam=latency:2s
    #[arg(long = "fault", value_name = "WHERE=WHAT")]
    pub one_by_one: Vec<Fault>,
    /// What goes wrong, as a file of rules: where, when, how often
    #[arg(long = "faults", value_name = "FILE")]
    pub file: Option<PathBuf>,
}

impl FaultOptions {
    /// All of it: the rules given one by one come first.
    pub fn plan(&self) -> Result<FaultPlan, Failure> {
        let mut plan = match &self.file {
            None => FaultPlan::default(),
            Some(path) => {
                let name = shown(&path.display().to_string());
                let text = bounded::text(path, &FAULTS)
                    .map_err(|error| Failure::usage(format!("cannot read the faults `{name}`: {error}")))?;
                FaultPlan::load(&text, &name).map_err(|error| {
                    Failure::usage(error)
                        .hint("docs/faults.md describes the form, `quell drill --help` shows an example")
                })?
            }
        };
        plan.rules.splice(0..0, self.one_by_one.iter().cloned());
        Ok(plan)
    }
}

/// Splits `NAME=VALUE`.
pub fn name_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("give it as NAME=VALUE".to_owned()),
    }
}

fn tier(text: &str) -> Result<Tier, String> {
    match text.parse()? {
        Tier::Read => Err("reading needs no approval; the tiers are reversible, disruptive, destructive".to_owned()),
        tier => Ok(tier),
    }
}

/// The name of the person, as the operating system has it.
pub fn person() -> String {
    ["USER", "LOGNAME", "USERNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok())
        .unwrap_or_else(|| "unknown".into())
}

/// Asks a yes-or-no question on standard error; no answer is a no.
pub async fn confirm(question: String) -> Result<bool, Failure> {
    let ask = move || crate::approval::yes(&question);
    tokio::task::spawn_blocking(ask).await.map_err(|_| Failure::failed("the question could not be asked"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_names_and_values() {
        assert_eq!(name_and_value("since=now - 14d").unwrap(), ("since".into(), "now - 14d".into()));
        assert_eq!(name_and_value("filter=a=b").unwrap(), ("filter".into(), "a=b".into()));
        assert!(name_and_value("since").is_err());
        assert!(name_and_value("=x").is_err());
    }

    #[test]
    fn reading_is_no_tier_to_approve() {
        assert_eq!(tier("disruptive"), Ok(Tier::Disruptive));
        assert!(tier("read").is_err());
        assert!(tier("everything").unwrap_err().contains("the tiers are"));
    }
}
