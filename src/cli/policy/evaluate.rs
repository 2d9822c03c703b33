//! `quell policy evaluate`.

use std::io::{BufRead, Write};

use serde_json::json;

use crate::bounded::{self, CASE};
use crate::cli::error::Failure;
use crate::policy::{Case, Others, explain};
use crate::report::text::{escaped_json, shown};

/// Decide cases given as JSON lines on standard input: who may do what, and why
///
/// Each line is an object with `principal`, `action`, `resource`, `context` (condition keys; null for one that the request
/// does not have), `scps` and `rcps` (lists of policies, level by level from the root to the account), `identity`, `boundary`,
/// `session` and `resource_policy` (a role's trust policy, for sts:AssumeRole). Each gets a line with `decision` (allowed,
/// explicit-deny, implicit-deny or unknown) and `because`. A line that is no case is named on standard error and decided as
/// unknown; the exit code is then 2. No account is asked.
#[derive(Debug, Clone, clap::Args)]
#[command(after_long_help = "Example:\n  quell policy evaluate < cases.jsonl")]
pub struct Args {
    /// What it means that a case does not name a condition key
    #[arg(long, value_enum, value_name = "MEANING", default_value_t)]
    pub absent_keys: AbsentKeys,
}

/// What it means that a condition key is not named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum AbsentKeys {
    /// The request may have it with any value: what it decides is unknown.
    #[default]
    Unknown,
    /// The request does not have it.
    Absent,
}

impl From<AbsentKeys> for Others {
    fn from(keys: AbsentKeys) -> Self {
        match keys {
            AbsentKeys::Unknown => Self::Unknown,
            AbsentKeys::Absent => Self::Absent,
        }
    }
}

/// Decides line by line; `remark` is told of lines that are no cases.
pub fn run(
    args: &Args,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
    remark: &mut dyn FnMut(&str),
) -> Result<u8, Failure> {
    let mut bad = 0_usize;
    for number in 1_usize.. {
        let Some(line) = bounded::line(input, &CASE)? else { break };
        if line.as_ref().is_ok_and(|line| line.trim_ascii().is_empty()) {
            continue;
        }
        let line = line.map_err(|error| format!("{error}: {}", error.way_out().unwrap_or_default()));
        let (decision, because) =
            line.and_then(|line| decide(&line, args.absent_keys.into())).unwrap_or_else(|cause| {
                bad += 1;
                let because = format!("line {number}: {}", shown(&cause));
                remark(&because);
                ("unknown", vec![because])
            });
        let line = json!({ "decision": decision, "because": because }).to_string();
        writeln!(out, "{}", escaped_json(&line))?;
    }
    out.flush()?;
    if bad == 0 {
        return Ok(0);
    }
    let (lines, verb) = if bad == 1 { ("line", "is") } else { ("lines", "are") };
    Err(Failure::usage(format!("{bad} {lines} of the input {verb} no case"))
        .hint("`quell policy evaluate --help` tells what a case holds"))
}

fn decide(line: &[u8], others: Others) -> Result<(&'static str, Vec<String>), String> {
    let case: Case = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let (request, layers) = case.read(others).map_err(|error| error.to_string())?;
    let explanation = explain(&request, &layers);
    Ok((explanation.verdict.as_str(), explanation.because))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluated(input: &str, absent_keys: AbsentKeys) -> (Result<u8, Failure>, String, Vec<String>) {
        let (mut out, mut remarks) = (Vec::new(), Vec::new());
        let mut remark = |text: &str| remarks.push(text.to_owned());
        let result = run(&Args { absent_keys }, &mut input.as_bytes(), &mut out, &mut remark);
        (result, String::from_utf8(out).unwrap(), remarks)
    }

    const EVE: &str = r#""principal": "arn:aws:iam::111122223333:user/eve", "action": "ec2:StopInstances""#;

    #[test]
    fn every_line_gets_a_decision() {
        let all = r#"{"Version":"2012-10-17","Statement":{"Sid":"All","Effect":"Allow","Action":"*","Resource":"*"}}"#;
        let input = format!("{{{EVE}}}\n\n{{{EVE}, \"identity\": [{all}]}}\n");
        let (result, out, remarks) = evaluated(&input, AbsentKeys::Unknown);
        assert_eq!(result.unwrap(), 0);
        assert_eq!(
            out,
            "{\"decision\":\"implicit-deny\",\"because\":[\"no identity-based policy allows ec2:StopInstances\"]}\n\
             {\"decision\":\"allowed\",\"because\":[\"identity-based policy `identity[0]`, statement `All` allows it\"]}\n"
        );
        assert!(remarks.is_empty());
    }

    #[test]
    fn lines_that_are_no_cases_are_named_and_never_allowed() {
        let input = format!("{{{EVE}}}\nnonsense\n{{\"principal\": 1}}\n");
        let (result, out, remarks) = evaluated(&input, AbsentKeys::Unknown);
        assert_eq!(result.unwrap_err().exit_code(), 2);
        assert_eq!(out.lines().filter(|line| line.starts_with(r#"{"decision":"unknown""#)).count(), 2);
        assert!(remarks[0].starts_with("line 2: ") && remarks[1].starts_with("line 3: "), "{remarks:?}");
    }

    #[test]
    fn what_an_absent_key_means_can_be_said() {
        let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*",
            "Condition":{"BoolIfExists":{"aws:MultiFactorAuthPresent":"true"}}}}"#
            .replace('\n', " ");
        let input = format!("{{{EVE}, \"identity\": [{policy}]}}");
        assert!(evaluated(&input, AbsentKeys::Unknown).1.contains("unknown"));
        assert!(evaluated(&input, AbsentKeys::Absent).1.contains("allowed"));
    }
}
