//! A plan as a person reads it before saying yes: who, where, how many; what cannot be seen, done or taken back; and on
//! demand every single change.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use indexmap::IndexMap;

use super::style::{Colour, laid_out, table};
use super::text::{counted, shown};
use super::unseen;
use crate::model::{
    Change, CoverageStatus, Finding, LeftByHand, Plan, Region, Severity, Skip, StepId, Tally, Target, Tier,
};

/// How much of a plan to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Counts by step and region.
    Counts,
    /// Every change.
    Changes,
}

/// Renders a plan.
pub fn render(plan: &Plan, detail: Detail, colour: Colour) -> String {
    let sections = [
        heading(plan, colour),
        changes(plan, colour),
        match detail {
            Detail::Counts => String::new(),
            Detail::Changes => every_change(plan, colour),
        },
        findings(plan, colour),
        super::findings::section(plan, if detail == Detail::Changes { usize::MAX } else { FEW_MEMBERS }, colour),
        not_seen(plan, colour),
        skips(plan, detail, colour),
        by_hand(&plan.by_hand, colour),
        know(plan, colour),
        not_undoable(plan, colour),
        approvals(plan, colour),
    ];
    sections.into_iter().filter(|section| !section.is_empty()).collect::<Vec<_>>().join("\n")
}

fn heading(plan: &Plan, colour: Colour) -> String {
    let caller = &plan.caller;
    let mut rows = table();
    rows.add_row(["caller", &shown(&caller.arn)]);
    if let Some(endpoint) = &caller.endpoint {
        rows.add_row(["endpoint", &colour.yellow(format!("{} (not AWS)", shown(endpoint)))]);
    }
    let mut accounts: Vec<_> = plan.targets.iter().map(|target| target.account.as_str()).collect();
    accounts.dedup();
    let regions: Vec<_> =
        plan.targets.iter().map(|target| &target.region).filter(|region| !region.is_global()).collect();
    let regions: std::collections::BTreeSet<_> = regions.into_iter().collect();
    let accounts = match accounts.as_slice() {
        [account] => format!("account {account}"),
        _ => counted(accounts.len(), "account"),
    };
    rows.add_row(["targets", &format!("{accounts}, {}", counted(regions.len(), "region"))]);
    if !plan.sets.is_empty() {
        let sets: Vec<_> = plan.sets.iter().map(|(name, members)| format!("{name} {members}")).collect();
        rows.add_row(["sets", &sets.join(", ")]);
    }
    if !plan.inputs.is_empty() {
        let inputs = plan.inputs.iter().map(|(name, value)| {
            format!("{name} = {}", value.as_str().map_or_else(|| shown(&value.to_string()), shown))
        });
        rows.add_row(["inputs", &inputs.collect::<Vec<_>>().join(", ")]);
    }
    rows.add_row(["made", &format!("{:.0}", plan.created)]);
    rows.add_row(["digest", plan.digest().as_str()]);
    let title = match &plan.undoes {
        Some(run) => format!("Taking back run {run} ({})", shown(&plan.runbook.name)),
        None => format!("{}: {}", shown(&plan.runbook.name), shown(&plan.runbook.title)),
    };
    format!("{}\n{}", colour.bold(title), laid_out(&rows))
}

fn changes(plan: &Plan, colour: Colour) -> String {
    if plan.changes.is_empty() {
        let already = match plan.already.len() {
            0 => String::new(),
            count => format!(
                " {} as wished already.",
                if count == 1 { "1 thing is".into() } else { format!("{count} things are") }
            ),
        };
        return format!("{}{already}\n", colour.bold("Nothing to change."));
    }
    let mut text = colour.bold(counted(plan.changes.len(), "change"));
    for tier in plan.tiers() {
        let count = plan.changes.iter().filter(|change| change.tier == tier).count();
        let _ = write!(text, " · {}", tier_colour(colour, tier, format!("{count} {tier}")));
    }
    if !plan.already.is_empty() {
        let _ = write!(text, " · {} already so", plan.already.len());
    }
    text.push('\n');
    let mut rows = table();
    let mut wide: IndexMap<Vec<String>, Vec<String>> = IndexMap::new();
    for tally in Tally::by_step(&plan.changes) {
        let of_step = plan.changes.iter().filter(|change| change.step == tally.step && change.tier == tally.tier);
        let tier = tier_colour(colour, tally.tier, tally.tier);
        let regions = by_region(of_step);
        let row = [tally.step.to_string(), tier, tally.to_string()];
        if regions.len() <= FEW_REGIONS {
            rows.add_row(row.into_iter().chain([colour.dim(regions.join(" · "))]));
        } else {
            wide.entry(regions).or_default().push(tally.step.to_string());
            rows.add_row(row);
        }
    }
    text + &laid_out(&rows) + &in_regions(&wide, colour)
}

/// So many members of a set that is a finding are named; `--changes` names all.
const FEW_MEMBERS: usize = 5;

/// So many regions are named behind a step; more get lines of their own, once for all steps that are alike.
const FEW_REGIONS: usize = 4;

/// `eu-west-1 6`, `eu-west-2 5`; nothing where there is no region.
fn by_region<'a>(changes: impl Iterator<Item = &'a Change>) -> Vec<String> {
    let mut counts: BTreeMap<&Region, usize> = BTreeMap::new();
    for change in changes.filter(|change| !change.target.region.is_global()) {
        *counts.entry(&change.target.region).or_default() += 1;
    }
    counts.iter().map(|(region, count)| format!("{region} {count}")).collect()
}

/// The regions of steps that work in many, in lines that fit a narrow terminal.
fn in_regions(wide: &IndexMap<Vec<String>, Vec<String>>, colour: Colour) -> String {
    let mut text = String::new();
    for (regions, steps) in wide {
        let _ = writeln!(text, "  {} in", steps.join(", "));
        for line in regions.chunks(FEW_REGIONS) {
            let _ = writeln!(text, "    {}", colour.dim(line.join(" · ")));
        }
    }
    text
}

fn every_change(plan: &Plan, colour: Colour) -> String {
    let mut grouped: IndexMap<(&StepId, &Target), Vec<&Change>> = IndexMap::new();
    for change in &plan.changes {
        grouped.entry((&change.step, &change.target)).or_default().push(change);
    }
    let mut text = format!("{}\n", colour.bold("Every change"));
    for ((step, target), changes) in grouped {
        let _ = writeln!(text, "  {step} in {target}");
        for change in changes {
            let state = format!("{} → {}", shown(&change.before), shown(&change.after));
            let _ = writeln!(text, "    {}  {}", shown(&change.summary), colour.dim(state));
            for note in &change.notes {
                let _ = writeln!(text, "      note: {}", shown(note));
            }
            let undo = match &change.undo.how {
                Some(how) => format!("undo: {}", shown(how)),
                None => "cannot be undone".to_owned(),
            };
            let _ = writeln!(text, "      {}{}", colour.dim(undo), losses(&change.undo.loses));
        }
    }
    text
}

fn losses(loses: &[String]) -> String {
    match loses {
        [] => String::new(),
        _ => format!("; loses {}", loses.iter().map(|loss| shown(loss)).collect::<Vec<_>>().join(", ")),
    }
}

fn findings(plan: &Plan, colour: Colour) -> String {
    let mut findings: Vec<_> = plan.findings.iter().collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let mut alike: IndexMap<_, Vec<&Finding>> = IndexMap::new();
    for finding in findings {
        let account = finding.target.as_ref().map(|target| &target.account);
        alike.entry((finding.severity, &finding.step, account, &finding.message)).or_default().push(finding);
    }
    let mut text = String::new();
    for ((severity, step, account, message), findings) in alike {
        let severity = match severity {
            Severity::Refusal => colour.red("refused"),
            Severity::Warning => colour.yellow("warning"),
            Severity::Note => colour.dim("note"),
        };
        let step = step.as_ref().map(|step| format!(" [{step}]")).unwrap_or_default();
        let places = match account {
            Some(account) if findings.len() >= unseen::COUNTED => {
                vec![format!(" {account} in {} regions", findings.len())]
            }
            _ => findings.iter().map(|finding| place(finding.target.as_ref())).collect(),
        };
        for place in places {
            let _ = writeln!(text, "{severity}{step}{place}: {}", shown(message));
        }
    }
    text
}

fn place(target: Option<&Target>) -> String {
    target.map(|target| format!(" {target}")).unwrap_or_default()
}

fn not_seen(plan: &Plan, colour: Colour) -> String {
    let mut text = String::new();
    let unseen = plan.coverage.entries().filter(|entry| !entry.status.is_known()).count();
    if unseen > 0 {
        let _ = writeln!(text, "{}", colour.red(format!("Not seen: {}", counted(unseen, "place"))));
        for line in unseen::lines(&plan.coverage) {
            let _ = writeln!(text, "  {line}");
        }
    }
    let disabled = plan.coverage.entries().filter(|entry| entry.status == CoverageStatus::Disabled);
    let disabled: std::collections::BTreeSet<_> = disabled.map(|entry| entry.target.region).collect();
    if !disabled.is_empty() {
        let names: Vec<_> = disabled.iter().map(Region::as_str).collect();
        let _ = writeln!(text, "{}", colour.dim(format!("Disabled regions: {}", names.join(", "))));
    }
    text
}

fn skips(plan: &Plan, detail: Detail, colour: Colour) -> String {
    if plan.skipped.is_empty() {
        return String::new();
    }
    let mut grouped: IndexMap<(&StepId, &str), Vec<&Skip>> = IndexMap::new();
    for skip in &plan.skipped {
        grouped.entry((&skip.step, &skip.reason)).or_default().push(skip);
    }
    let mut text = format!("{}\n", colour.yellow(format!("Skipped: {}", counted(plan.skipped.len(), "resource"))));
    for ((step, reason), skips) in grouped {
        let _ = writeln!(text, "  {step}: {}", shown(reason));
        let most = if detail == Detail::Changes { usize::MAX } else { 5 };
        for skip in skips.iter().take(most) {
            let _ = writeln!(text, "    {} in {}", shown(skip.resource.as_str()), skip.target);
        }
        if skips.len() > most {
            let _ = writeln!(text, "    and {} more (--changes shows them)", skips.len() - most);
        }
    }
    text
}

/// What a person has to do, with the steps. The closing screen shows the same.
pub(super) fn by_hand(work: &[LeftByHand], colour: Colour) -> String {
    if work.is_empty() {
        return String::new();
    }
    let title = format!("For a person, quell cannot: {}", counted(work.len(), "task"));
    let mut text = format!("{}\n", colour.yellow(title));
    for work in work {
        let step = work.step.as_ref().map(|step| format!("{step}: ")).unwrap_or_default();
        let place = work.target.as_ref().map(|target| format!(" ({target})")).unwrap_or_default();
        let _ = writeln!(text, "  {step}{}{place}", shown(&work.what));
        for (number, step) in (1..).zip(&work.steps) {
            let _ = writeln!(text, "    {number}. {}", shown(step));
        }
    }
    text
}

/// What the actions say about their changes, each sentence once.
fn know(plan: &Plan, colour: Colour) -> String {
    let mut notes: IndexMap<(&StepId, &str), usize> = IndexMap::new();
    for change in &plan.changes {
        for note in &change.notes {
            *notes.entry((&change.step, note)).or_default() += 1;
        }
    }
    if notes.is_empty() {
        return String::new();
    }
    let mut text = format!("{}\n", colour.bold("To know before"));
    for ((step, note), count) in notes {
        let _ = writeln!(text, "  {step}: {} ({})", shown(note), counted(count, "change"));
    }
    text
}

fn not_undoable(plan: &Plan, colour: Colour) -> String {
    let mut lost: IndexMap<(&StepId, String), usize> = IndexMap::new();
    for change in &plan.changes {
        let undo = &change.undo;
        if undo.how.is_none() {
            let what = format!("cannot be taken back{}", losses(&undo.loses));
            *lost.entry((&change.step, what)).or_default() += 1;
        } else {
            for loss in &undo.loses {
                *lost.entry((&change.step, format!("does not bring back {}", shown(loss)))).or_default() += 1;
            }
        }
    }
    if lost.is_empty() {
        return String::new();
    }
    let mut text = format!("{}\n", colour.yellow("A rollback will not restore everything"));
    for ((step, what), count) in lost {
        let _ = writeln!(text, "  {step}: {what} ({})", counted(count, "change"));
    }
    text
}

fn approvals(plan: &Plan, colour: Colour) -> String {
    if plan.findings.iter().any(|finding| finding.severity == Severity::Refusal) {
        return format!("{}\n", colour.red("This plan is refused and will not be carried out; see above."));
    }
    let tiers: Vec<_> = plan.tiers().into_iter().map(Tier::as_str).collect();
    match tiers.as_slice() {
        [] => String::new(),
        _ => format!("To approve: --approve {}\n", tiers.join(",")),
    }
}

fn tier_colour(colour: Colour, tier: Tier, text: impl std::fmt::Display) -> String {
    match tier {
        Tier::Read => colour.dim(text),
        Tier::Reversible => colour.green(text),
        Tier::Disruptive => colour.yellow(text),
        Tier::Destructive => colour.red(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example;

    #[test]
    fn counts_come_first_and_losses_are_named() {
        insta::assert_snapshot!(render(&example::plan(), Detail::Counts, Colour::Plain), @r"
        cryptojack: Stop a cryptojacking and keep the evidence
          caller   arn:aws:sts::111122223333:assumed-role/IRResponder/anna
          targets  account 111122223333, 4 regions
          sets     intruder 1, rogue 3
          inputs   leaked_key = AKIAIOSFODNN7EXAMPLE
          made     2026-11-23T14:50:00Z
          digest   8048b669b89279301b2790ffb9790f9bbd5e4ce23d5dc18888e4ccb9e9dcfbaf

        5 changes · 3 reversible · 2 disruptive
          keys      reversible  deactivate 1 access key
          evidence  reversible  snapshot volumes of 2 instances in 2 regions  eu-west-1 1 · us-east-1 1
          stop      disruptive  stop 2 instances in 2 regions                 eu-west-1 1 · us-east-1 1

        warning [evidence]: iam:SimulatePrincipalPolicy is not allowed, so permissions could not be checked beforehand

        Not seen: 1 place
          111122223333/eu-west-3 ec2 did not answer: no answer within 3 s
        Disabled regions: ap-east-1

        Skipped: 1 resource
          stop: a one-time Spot instance cannot be stopped, only terminated
            i-0c in 111122223333/us-east-1

        To know before
          stop: tracked connections stay up until the stop (2 changes)

        A rollback will not restore everything
          stop: does not bring back the memory (2 changes)

        To approve: --approve reversible,disruptive
        ");
    }

    #[test]
    fn every_change_is_shown_on_demand_and_hostile_names_are_harmless() {
        let text = render(&example::plan(), Detail::Changes, Colour::Plain);
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
        let changes = text.split("Every change\n").nth(1).unwrap().split("\n\n").next().unwrap();
        insta::assert_snapshot!(changes, @r"
        keys in 111122223333/global
          deactivate AKIAIOSFODNN7EXAMPLE of mallory  Active → Inactive
            undo: the opposite
        evidence in 111122223333/eu-west-1
          snapshot the volumes of i-0a (good\u{1b}[2K\u{202e})  before → after
            undo: delete the snapshots
        evidence in 111122223333/us-east-1
          snapshot the volumes of i-0b (miner)  before → after
            undo: delete the snapshots
        stop in 111122223333/eu-west-1
          stop i-0a (m5.24xlarge, windows)  running → stopped
            note: tracked connections stay up until the stop
            undo: start it; loses the memory
        stop in 111122223333/us-east-1
          stop i-0b (m5.24xlarge, windows)  running → stopped
            note: tracked connections stay up until the stop
            undo: start it; loses the memory
        ");
    }

    #[test]
    fn a_refused_plan_cannot_be_approved() {
        let mut plan = example::plan();
        plan.findings[0].severity = Severity::Refusal;
        let text = render(&plan, Detail::Counts, Colour::Plain);
        assert!(text.contains("refused [evidence]: "));
        assert!(text.ends_with("This plan is refused and will not be carried out; see above.\n"));
        assert!(!text.contains("--approve"));
    }

    #[test]
    fn an_empty_plan_says_so() {
        let mut plan = example::plan();
        plan.changes.clear();
        assert!(render(&plan, Detail::Counts, Colour::Plain).contains("Nothing to change.\n"));
    }
}
