//! Progress without a terminal: one line per phase, and one per step and region when it ends. Never one per change.

use std::io::Write;

use super::progress::{Count, Progress, StepEnded};
use super::text::{seconds, shown};
use crate::engine::ports::Reporter;
use crate::model::{Answer, Event, EventKind, Phase};

/// Writes plain lines. What cannot be written is dropped: the journal has everything.
#[derive(Debug)]
pub struct Plain<W> {
    out: W,
    progress: Progress,
}

impl<W: Write> Plain<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Self { out, progress: Progress::default() }
    }

    fn line(&mut self, line: &str) {
        // A report that cannot be written must not end a containment.
        let _ = writeln!(self.out, "{line}");
    }
}

impl<W: Write + Send> Reporter for Plain<W> {
    fn event(&mut self, event: &Event) {
        if let Some(ended) = self.progress.fold(event) {
            self.line(&step_line(&ended));
        }
        if let Some(line) = line(event, self.progress.total()) {
            self.line(&line);
        }
    }
}

/// `stop 111122223333/eu-west-1: 6 done, 1 failed`.
pub fn step_line(ended: &StepEnded) -> String {
    format!("{} {}: {}", ended.step, ended.target, count_words(ended.count))
}

/// `6 done, 1 failed, 2 skipped`.
pub fn count_words(count: Count) -> String {
    let named = [(count.good, "done"), (count.bad, "FAILED"), (count.skipped, "skipped")];
    let words: Vec<_> = named.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    if words.is_empty() { "nothing done".to_owned() } else { words.join(", ") }
}

/// The line for an event that is no single change's.
pub fn line(event: &Event, total: Count) -> Option<String> {
    match &event.kind {
        EventKind::RunStarted { run, plan, .. } => Some(format!("run {run}: {} changes", plan.changes.len())),
        EventKind::RunResumed { .. } => {
            Some(format!("taken up again: {} of {} changes have ended", total.ended(), total.planned))
        }
        EventKind::PhaseEnded { phase, seconds: took } => Some(format!("{}: {}", phase_words(*phase), seconds(*took))),
        EventKind::ApprovalAnswered { approval } => {
            let answer = match approval.answer {
                Answer::Approved => "approved",
                Answer::Refused => "REFUSED",
            };
            Some(format!("{} {answer} by {} ({})", approval.tier, shown(&approval.by), shown(&approval.through)))
        }
        EventKind::SweepEnded { sweep, newcomers, reverted, .. } => {
            let taken_back = if *reverted > 0 { format!(", {reverted} taken back") } else { String::new() };
            Some(format!("sweep {sweep}: {newcomers} newcomers{taken_back}"))
        }
        EventKind::PlanExtended { changes, .. } => Some(format!("the plan has {} more changes", changes.len())),
        EventKind::StopRequested => Some("stopping: what is in flight ends, nothing else begins".to_owned()),
        EventKind::PhaseStarted { .. }
        | EventKind::ApprovalAsked { .. }
        | EventKind::ChangeStarted { .. }
        | EventKind::ChangeEnded { .. }
        | EventKind::ChangeProven { .. }
        | EventKind::ChangeReverted { .. }
        | EventKind::RunEnded { .. } => None,
    }
}

/// What a phase does.
pub fn phase_words(phase: Phase) -> &'static str {
    match phase {
        Phase::Survey => "surveying",
        Phase::Plan => "planning",
        Phase::Preflight => "checking permissions and guards",
        Phase::Approval => "waiting for approval",
        Phase::Apply => "applying",
        Phase::Prove => "proving",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example;

    #[test]
    fn one_line_per_phase_and_per_step_and_region() {
        let mut written = Vec::new();
        let mut plain = Plain::new(&mut written);
        for event in &example::run() {
            plain.event(event);
        }
        insta::assert_snapshot!(String::from_utf8(written).unwrap(), @r"
        run 20261123-145000-cryptojack: 5 changes
        reversible approved by anna (--approve)
        disruptive approved by anna (--approve)
        waiting for approval: 2.0 s
        keys 111122223333/global: 1 done
        evidence 111122223333/eu-west-1: 1 done
        evidence 111122223333/us-east-1: 1 done
        stop 111122223333/eu-west-1: 1 done
        stop 111122223333/us-east-1: 1 FAILED
        applying: 6.5 s
        sweep 1: 0 newcomers
        proving: 1.0 s
        ");
    }

    #[test]
    fn a_run_taken_up_again_counts_on() {
        let mut events = example::run();
        events.truncate(10);
        events.push(example::event(10, EventKind::RunResumed { caller: example::plan().caller }));
        let mut written = Vec::new();
        let mut plain = Plain::new(&mut written);
        for event in &events {
            plain.event(event);
        }
        assert!(String::from_utf8(written).unwrap().ends_with("taken up again: 1 of 5 changes have ended\n"));
    }
}
