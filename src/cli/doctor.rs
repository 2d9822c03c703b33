use std::collections::BTreeSet;
use std::fmt::Write as _;

use futures::future::{join, try_join_all};
use serde_json::json;

use super::carry_out::new_run;
use super::error::Failure;
use super::options::{AwsOptions, InputOptions};
use super::prepare::prepare;
use super::screen::{Output, Screen};
use super::session;
use crate::engine::ports::{Access, Lane, Sessions};
use crate::model::{ActionError, Caller, Catalog, ErrorKind, Finding, Runbook, Target, Targets};
use crate::report::style::{Colour, laid_out, table};
use crate::report::text::{counted, shown};

/// Check whether everything is ready: credentials, endpoint, accounts, regions, permissions
///
/// Sends reading calls only. With a runbook it also enters the runbook's accounts and names the permissions that the
/// caller lacks for it, as far as AWS can say beforehand.
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Examples:\n  quell doctor\n  quell doctor cryptojack --input leaked_key=AKIAIOSFODNN7EXAMPLE"
)]
pub struct Args {
    /// A file, or the name of a shipped runbook
    #[arg(value_name = "RUNBOOK")]
    runbook: Option<String>,
    #[command(flatten)]
    inputs: InputOptions,
    #[command(flatten)]
    aws: AwsOptions,
}

/// What was found out.
struct Diagnosis {
    caller: Caller,
    lanes: Vec<(Target, Result<(), ActionError>)>,
    /// Permissions that are missing, or could not be checked.
    findings: Vec<Finding>,
}

/// Carries the command out.
pub async fn run(args: &Args, screen: &Screen) -> Result<u8, Failure> {
    let now = jiff::Timestamp::now();
    let actions = crate::actions::table();
    let runbook = match &args.runbook {
        Some(name) => Some(prepare(name, &args.inputs.inputs, &actions, now, screen).await?.runbook),
        None => None,
    };
    let (engine, caller) = session::open(&args.aws, (&new_run(now), now), None, screen).await?;
    let targets = runbook.as_ref().map_or_else(Targets::default, |runbook| runbook.targets.clone());
    let lanes = lanes(engine.sessions.as_ref(), &targets).await?;
    let permissions = runbook.as_ref().map(|runbook| permissions(runbook, &actions.catalog())).unwrap_or_default();
    let mut findings = Vec::new();
    for (target, state) in &lanes {
        if target.region.is_global() && state.is_ok() && !permissions.is_empty() {
            for finding in engine.sessions.lacking(target, &permissions).await {
                // What the caller lacks in its own account is found again for every account that needs it.
                if !findings.contains(&finding) {
                    findings.push(finding);
                }
            }
        }
    }
    let diagnosis = Diagnosis { caller, lanes, findings };
    match screen.output {
        Output::Text => screen.print(&render(&diagnosis, screen.colour()))?,
        Output::Json | Output::Jsonl => screen.document(&document(&diagnosis))?,
    }
    Ok(if diagnosis.is_well() { 0 } else { 5 })
}

/// The lanes that the targets stand for: per account a global one and its regions.
async fn lanes(sessions: &dyn Sessions, targets: &Targets) -> Result<Vec<Lane>, ActionError> {
    let accounts = sessions.accounts(targets).await?;
    let of_account = accounts.into_iter().map(|(account, state)| async move {
        let global = Target::global(account);
        if state.is_err() {
            return Ok::<Vec<Lane>, ActionError>(vec![(global, state)]);
        }
        let (entered, regions) =
            join(sessions.enter(&global, Access::Read), sessions.regions(&global.account, &targets.regions)).await;
        let mut lanes = regions?;
        lanes.insert(0, (global.clone(), entered.map(drop)));
        Ok(lanes)
    });
    Ok(try_join_all(of_account).await?.into_iter().flatten().collect())
}

/// All that the runbook's steps and sets need.
fn permissions(runbook: &Runbook, catalog: &Catalog) -> Vec<&'static str> {
    let sets = runbook.sets.values().filter_map(|set| catalog.sources.get(set.from.as_str()));
    let mut all: BTreeSet<&'static str> = sets.flat_map(|source| source.permissions).copied().collect();
    all.extend(runbook.steps.iter().flat_map(|step| catalog.permissions(runbook, step)));
    all.into_iter().collect()
}

impl Diagnosis {
    fn closed(&self) -> impl Iterator<Item = (&Target, &ActionError)> {
        let closed = self.lanes.iter().filter_map(|(target, state)| Some((target, state.as_ref().err()?)));
        closed.filter(|(_, error)| error.kind != ErrorKind::Disabled)
    }

    fn is_well(&self) -> bool {
        self.closed().next().is_none() && self.findings.is_empty()
    }
}

fn render(diagnosis: &Diagnosis, colour: Colour) -> String {
    let caller = &diagnosis.caller;
    let mut rows = table();
    rows.add_row(["caller", &shown(&caller.arn)]);
    rows.add_row(["account", caller.account.as_str()]);
    rows.add_row(["endpoint", &caller.endpoint.as_deref().map_or_else(|| "AWS".to_owned(), shown)]);
    let open = diagnosis.lanes.iter().filter(|(target, state)| state.is_ok() && !target.region.is_global());
    let disabled = diagnosis.lanes.len()
        - diagnosis.lanes.iter().filter(|(_, state)| state.is_ok()).count()
        - diagnosis.closed().count();
    rows.add_row(["regions", &format!("{} open, {disabled} disabled", open.count())]);
    let mut text = laid_out(&rows);
    for (target, error) in diagnosis.closed() {
        let _ = writeln!(text, "{} {target}: {}", colour.red("cannot enter"), shown(&error.to_string()));
    }
    for finding in &diagnosis.findings {
        let place = finding.target.as_ref().map(|target| format!(" {}", target.account)).unwrap_or_default();
        let _ = writeln!(text, "{}{place}: {}", colour.yellow("permission"), shown(&finding.message));
    }
    let open_points = diagnosis.closed().count() + diagnosis.findings.len();
    let verdict = if diagnosis.is_well() {
        colour.green("Ready.")
    } else {
        colour.yellow(format!("{} to look at.", counted(open_points, "thing")))
    };
    let _ = writeln!(text, "{verdict}");
    text
}

fn document(diagnosis: &Diagnosis) -> serde_json::Value {
    let lane = |(target, state): &(Target, Result<(), ActionError>)| json!({ "account": target.account, "region": target.region, "error": state.as_ref().err() });
    json!({
        "caller": diagnosis.caller,
        "ready": diagnosis.is_well(),
        "lanes": diagnosis.lanes.iter().map(lane).collect::<Vec<_>>(),
        "findings": diagnosis.findings,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Severity, example};

    #[test]
    fn a_disabled_region_is_no_illness() {
        let disabled = Err(ActionError::new(ErrorKind::Disabled, "not enabled"));
        let lanes = vec![
            (example::target("global"), Ok(())),
            (example::target("eu-west-1"), Ok(())),
            (example::target("ap-east-1"), disabled),
        ];
        let diagnosis = Diagnosis { caller: example::plan().caller, lanes, findings: Vec::new() };
        insta::assert_snapshot!(render(&diagnosis, Colour::Plain), @r"
          caller    arn:aws:sts::111122223333:assumed-role/IRResponder/anna
          account   111122223333
          endpoint  AWS
          regions   1 open, 1 disabled
        Ready.
        ");
        assert_eq!(document(&diagnosis)["ready"], true);
    }

    #[test]
    fn what_cannot_be_entered_or_done_is_named() {
        let denied = ActionError::new(ErrorKind::Denied, "no role ir/IRResponder");
        let finding = Finding {
            severity: Severity::Warning,
            step: None,
            target: Some(example::target("global")),
            message: "ec2:StopInstances is missing".into(),
        };
        let diagnosis = Diagnosis {
            caller: example::plan().caller,
            lanes: vec![(example::target("global"), Err(denied))],
            findings: vec![finding],
        };
        let text = render(&diagnosis, Colour::Plain);
        assert!(text.contains("cannot enter 111122223333/global: no role ir/IRResponder\n"));
        assert!(text.contains("permission 111122223333: ec2:StopInstances is missing\n"));
        assert!(text.ends_with("2 things to look at.\n"));
    }
}
