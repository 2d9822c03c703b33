//! Each call of each action goes wrong: too fast, refused, answered into the void.

use std::collections::BTreeSet;
use std::sync::Mutex;

use quell::model::{RunOutcome, Severity};
use quell::sim::faults::FaultKind;

use super::side_by_side::on_every_stage;
use super::trial::{Called, Ready, Trial, back};
use super::{go_back, report};
use crate::actions::case;
use quell::cli::selftest::shape::Shape;

/// A run with which nothing went wrong.
struct Clean {
    /// What planning asks, and nothing after it.
    planning: Vec<Called>,
    /// What carrying out asks.
    carrying_out: Vec<Called>,
    /// What is there afterwards.
    end: Shape,
}

impl Clean {
    async fn of(ready: &Ready) -> Self {
        let trial = ready.trial().await;
        let planned = trial.plan().await;
        let asked = trial.asked();
        trial.carry_out(planned, &case()).await;
        let calls = |from| trial.calls_since(from).into_keys();
        let carrying_out: Vec<Called> = calls(asked).collect();
        let planning = calls(0).filter(|call| !carrying_out.contains(call)).collect();
        Self { planning, carrying_out, end: trial.shape().await }
    }

    /// Every call of the run. What every run asks before it comes to its action is there once only.
    fn calls(&self, tried: &Mutex<BTreeSet<Called>>) -> Vec<Called> {
        let of_every_run = |call: &Called| {
            ["account", "sts"].contains(&call.service.as_str()) || call.operation == "SimulatePrincipalPolicy"
        };
        let calls = self.planning.iter().chain(&self.carrying_out);
        let mut tried = tried.lock().unwrap();
        calls.filter(|call| !of_every_run(call) || tried.insert((*call).clone())).cloned().collect()
    }
}

#[test]
fn a_call_that_is_throttled_is_made_again() {
    let tried = Mutex::new(BTreeSet::new());
    on_every_stage(async |stage, wrong| {
        let ready = Ready::new(stage).await.without_sweeps();
        let clean = Clean::of(&ready).await;
        for call in &clean.calls(&tried) {
            let place = format!("{}, {call} throttled", ready.name());
            let trial = ready.trial().await;
            trial.spoil(call, FaultKind::Throttle, Some(2));
            let ended = trial.run().await;
            if ended.outcome != RunOutcome::Contained || ended.throttled == 0 {
                wrong.push(format!("{place}: {:?} {:?}", ended.outcome, trial.told(&case())));
            }
            report(wrong, &place, "ended", clean.end.differences(&trial.shape().await, |_| false));
        }
    });
}

#[test]
fn a_call_that_is_refused_is_named_and_what_is_done_is_known() {
    on_every_stage(async |stage, wrong| {
        let ready = Ready::new(stage).await.without_sweeps();
        let clean = Clean::of(&ready).await;
        for call in &clean.carrying_out {
            let place = format!("{}, {call} refused after the plan", ready.name());
            let trial = ready.trial().await;
            let planned = trial.plan().await;
            trial.spoil(call, FaultKind::Deny, None);
            let ended = trial.carry_out(planned, &case()).await;
            trial.mend();
            judge(wrong, &place, &trial, &clean, (call, ended.outcome)).await;
            recover(wrong, &place, &trial, &clean).await;
        }
    });
}

#[test]
fn a_call_that_is_refused_from_the_start_leaves_no_false_end() {
    let tried = Mutex::new(BTreeSet::new());
    on_every_stage(async |stage, wrong| {
        let ready = Ready::new(stage).await.without_sweeps();
        let clean = Clean::of(&ready).await;
        for call in &clean.calls(&tried) {
            let place = format!("{}, {call} refused from the start", ready.name());
            let trial = ready.trial().await;
            trial.spoil(call, FaultKind::Deny, None);
            let planned = match trial.try_plan().await {
                Ok(planned) => planned,
                Err(error) => {
                    if !error.to_string().contains(&call.operation) {
                        wrong.push(format!("{place}: not planned, without a word of it: {error}"));
                    }
                    continue;
                }
            };
            let refused = planned.plan.findings.iter().find(|finding| finding.severity == Severity::Refusal);
            if let Some(refused) = refused {
                wrong.extend(
                    (!refused.message.contains(&call.operation))
                        .then(|| format!("{place}: refused, without a word of it: {}", refused.message)),
                );
                continue;
            }
            let ended = trial.carry_out(planned, &case()).await;
            trial.mend();
            judge(wrong, &place, &trial, &clean, (call, ended.outcome)).await;
        }
    });
}

#[test]
fn an_answer_that_is_lost_is_found_out_by_looking() {
    on_every_stage(async |stage, wrong| {
        let ready = Ready::new(stage).await.without_sweeps();
        let clean = Clean::of(&ready).await;
        for call in clean.carrying_out.iter().filter(|call| call.writes()) {
            for kind in [FaultKind::Reset, FaultKind::LostAnswer] {
                let place = format!("{}, {call} answered once into the void ({kind:?})", ready.name());
                let trial = ready.trial().await;
                trial.spoil(call, kind, Some(1));
                let ended = trial.run().await;
                if ended.outcome != RunOutcome::Contained {
                    wrong.push(format!("{place}: {:?} {:?}", ended.outcome, trial.told(&case())));
                }
                report(wrong, &place, "ended", clean.end.differences(&trial.shape().await, |_| false));
            }
            let place = format!("{}, {call} never answered", ready.name());
            let trial = ready.trial().await;
            trial.spoil(call, FaultKind::LostAnswer, None);
            let ended = trial.run().await;
            trial.mend();
            if ended.outcome == RunOutcome::Contained {
                report(wrong, &place, "contained", clean.end.differences(&trial.shape().await, |_| false));
            }
            wrong.extend(trial.false_claims(&case()).await.into_iter().map(|claim| format!("{place}: {claim}")));
            recover(wrong, &place, &trial, &clean).await;
        }
    });
}

#[test]
fn a_way_back_that_is_refused_or_unanswered_is_gone_again() {
    on_every_stage(async |stage, wrong| {
        let ready = Ready::new(stage).await.without_sweeps();
        let done = ready.trial().await;
        done.run().await;
        if !done.can_go_back() {
            return;
        }
        let clean = done.fork().await;
        clean.take_back(&back()).await;
        for (call, _) in clean.calls_since(0) {
            let kinds = [
                (FaultKind::Throttle, Some(2)),
                (FaultKind::Deny, None),
                (FaultKind::Reset, Some(1)),
                (FaultKind::LostAnswer, Some(1)),
                (FaultKind::LostAnswer, None),
            ];
            let concerns = |kind| call.writes() || matches!(kind, FaultKind::Throttle | FaultKind::Deny);
            for (kind, times) in kinds.into_iter().filter(|(kind, _)| concerns(*kind)) {
                let place = format!("{} on its way back, {call} {kind:?} {times:?}", ready.name());
                let trial = done.fork().await;
                let plan = trial.plan_back().await;
                trial.spoil(&call, kind, times);
                let ended = trial.carry_out(plan.into(), &first()).await;
                let struck = trial.calls_since(0).get(&call).is_some_and(|outcomes| !outcomes.contains("ok"));
                trial.mend();
                let claims = trial.false_claims(&first()).await;
                wrong.extend(claims.into_iter().map(|claim| format!("{place}: {claim}")));
                let differences = trial.before().differences(&trial.shape().await, super::is_lost);
                if ended.outcome == RunOutcome::RolledBack {
                    report(wrong, &place, "taken back", differences);
                } else if times.is_some() {
                    wrong.push(format!("{place}: {:?} {}", ended.outcome, trial.told(&first())));
                } else if struck && kind == FaultKind::Deny && !trial.told(&first()).contains(&call.operation) {
                    wrong.push(format!("{place}: without a word of it: {}", trial.told(&first())));
                }
                go_back(wrong, &format!("{place}, once more"), &trial).await;
            }
        }
    });
}

fn first() -> quell::model::RunId {
    quell::model::RunId::new("back-0").unwrap()
}

/// A run in which a call was refused says nothing that is not so, and names the call unless it did without.
async fn judge(
    wrong: &mut Vec<String>,
    place: &str,
    trial: &Trial<'_>,
    clean: &Clean,
    (call, outcome): (&Called, RunOutcome),
) {
    wrong.extend(trial.false_claims(&case()).await.into_iter().map(|claim| format!("{place}: {claim}")));
    if outcome == RunOutcome::Contained {
        report(wrong, place, "contained", clean.end.differences(&trial.shape().await, |_| false));
    } else if !trial.told(&case()).contains(&call.operation) {
        wrong.push(format!("{place}: {outcome:?} without a word of it: {}", trial.told(&case())));
    }
}

/// When nothing goes wrong any more, the run can be taken up and ends as a clean one, or be taken back.
async fn recover(wrong: &mut Vec<String>, place: &str, trial: &Trial<'_>, clean: &Clean) {
    if trial.can_go_back() {
        go_back(wrong, place, &trial.fork().await).await;
    }
    let ended = trial.resume(&case()).await;
    if ended.outcome != RunOutcome::Contained {
        wrong.push(format!("{place}, resumed: {:?} {:?}", ended.outcome, trial.told(&case())));
    }
    report(wrong, place, "resumed", clean.end.differences(&trial.shape().await, |_| false));
}
