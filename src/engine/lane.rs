//! What happens in one account and region: look once more, change, report. A lane gets a [`Shard`] and gives back
//! [`LaneEvent`]s; it shares nothing else with the run, so that a shard could as well be carried out on another machine.

use std::collections::HashMap;

use futures::stream::{self, StreamExt as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;

use super::Engine;
use super::action::{Ctx, Decision, Found, Item};
use super::ports::Access;
use super::table::DynAction;
use crate::model::{
    ActionError, Change, ChangeId, Effect, ErrorKind, Outcome, Resource, ResourceId, Step, Target, Verdict,
};

/// How many single changes a wave makes side by side.
const SIDE_BY_SIDE: usize = 32;

/// A wave of approved changes of one step in one lane. Plain data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shard {
    /// Where.
    pub target: Target,
    /// The step, with its parameters.
    pub step: Step,
    /// What is to be done.
    pub direction: Direction,
    /// The changes.
    pub changes: Vec<Assigned>,
}

/// Forwards or back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Make the changes.
    Apply,
    /// Take them back.
    Undo,
}

/// A change in a shard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assigned {
    /// The change as approved.
    pub change: Change,
    /// Whether it was attempted before, or its outcome is not known: it may be in force, by half or whole.
    pub attempted: bool,
    /// What it made, when it is taken back.
    pub effect: Effect,
    /// What a look ahead saw of it, if it is fresh.
    pub seen: Option<Found<Value>>,
}

/// What a lane reports.
#[derive(Debug, Clone, PartialEq)]
pub enum LaneEvent {
    /// It has looked at the resources of the shard.
    Looked,
    /// It has looked ahead, and saw this.
    Foreseen(Vec<Found<Value>>),
    /// A change has its outcome.
    Ended(ChangeId, Outcome),
}

/// Carries a shard out. Every change of it ends in exactly one [`LaneEvent::Ended`].
pub async fn carry_out(engine: Engine, shard: Shard, report: impl Fn(LaneEvent) + Sync) {
    let fail_all = |error: &ActionError| {
        report(LaneEvent::Looked);
        for assigned in &shard.changes {
            report(LaneEvent::Ended(assigned.change.id.clone(), Outcome::Failed { error: error.clone() }));
        }
    };
    let Some(action) = engine.table.action(shard.step.uses.as_str()) else {
        let message = format!("this quell has no action `{}`", shard.step.uses);
        return fail_all(&ActionError::new(ErrorKind::Unsupported, message));
    };
    let cx = match engine.sessions.enter(&shard.target, Access::Write).await {
        Ok(cx) => cx,
        Err(error) => return fail_all(&error),
    };
    let found = match foreseen(&shard) {
        Some(found) => found,
        None => match look(action, &cx, &shard).await {
            Ok(found) => found,
            Err(error) => return fail_all(&error),
        },
    };
    report(LaneEvent::Looked);
    match shard.direction {
        Direction::Apply => apply_all(action, &cx, &shard, &found, &report).await,
        Direction::Undo => undo_all(action, &cx, &shard, &found, &report).await,
    }
}

/// Looks at the resources of a shard whose turn is next. Ends in exactly one [`LaneEvent::Looked`]; what could not be seen is
/// looked at when the turn has come.
pub async fn look_ahead(engine: Engine, shard: Shard, report: impl Fn(LaneEvent) + Sync) {
    if let Some(action) = engine.table.action(shard.step.uses.as_str())
        && let Ok(cx) = engine.sessions.enter(&shard.target, Access::Write).await
        && let Ok(found) = look(action, &cx, &shard).await
    {
        report(LaneEvent::Foreseen(found.into_values().collect()));
    }
    report(LaneEvent::Looked);
}

/// Adapts a channel to the report of a lane.
pub fn through(
    sender: UnboundedSender<(Target, crate::model::StepId, LaneEvent)>,
    target: Target,
    step: crate::model::StepId,
) -> impl Fn(LaneEvent) {
    // The run outlives its lanes; when it is gone there is nobody left to tell.
    move |event| drop(sender.send((target.clone(), step.clone(), event)))
}

type Seen = HashMap<ResourceId, Found<Value>>;

/// What a look ahead saw of the shard, if it saw all of it.
fn foreseen(shard: &Shard) -> Option<Seen> {
    let seen = shard.changes.iter().map(|assigned| assigned.seen.clone());
    seen.map(|found| found.map(|found| (found.resource.clone(), found))).collect()
}

async fn look(action: &dyn DynAction, cx: &Ctx, shard: &Shard) -> Result<Seen, ActionError> {
    let members = members(shard.changes.iter().map(|assigned| &assigned.change));
    let approved: Vec<_> =
        shard.changes.iter().map(|assigned| item(&assigned.change, assigned.change.prior.clone())).collect();
    let found = action.look_again(cx, &shard.step.with, &members, &approved).await?;
    Ok(found.into_iter().map(|found| (found.resource.clone(), found)).collect())
}

/// The members for which changes are made, once each. Their fields are not known here: actions work from the id.
pub(super) fn members<'a>(changes: impl Iterator<Item = &'a Change>) -> Vec<Resource> {
    let mut members: Vec<Resource> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for change in changes {
        for member in change.members().filter(|member| seen.insert(*member)) {
            members.push(Resource {
                kind: change.kind.clone(),
                id: member.clone(),
                target: change.target.clone(),
                fields: serde_json::Map::new(),
            });
        }
    }
    members
}

async fn apply_all(
    action: &dyn DynAction,
    cx: &Ctx,
    shard: &Shard,
    found: &Seen,
    report: &(impl Fn(LaneEvent) + Sync),
) {
    let mut items = Vec::new();
    for assigned in &shard.changes {
        let change = &assigned.change;
        match before_apply(action, cx, shard, assigned, found.get(&change.resource)) {
            Ok(now) => items.push(item(change, now.prior.clone())),
            Err(outcome) => report(LaneEvent::Ended(change.id.clone(), outcome)),
        }
    }
    let batches = items.chunks(action.batch()).map(<[_]>::to_vec).collect::<Vec<_>>();
    let lane = ApplyLane { action, cx, shard, report };
    stream::iter(batches).for_each_concurrent(SIDE_BY_SIDE, |batch| lane.apply(batch)).await;
}

/// Whether a change may still be made as approved.
fn before_apply<'f>(
    action: &dyn DynAction,
    cx: &Ctx,
    shard: &Shard,
    assigned: &Assigned,
    now: Option<&'f Found<Value>>,
) -> Result<&'f Found<Value>, Outcome> {
    let drifted = |why: String| Outcome::Drifted { why };
    let failed = |error: ActionError| Outcome::Failed { error };
    let Some(now) = now else {
        return Err(if assigned.attempted {
            Outcome::Done { effect: Value::Null }
        } else {
            drifted("it is not there any more".to_owned())
        });
    };
    let decision = action.plan(&cx.view, &shard.step.with, now).map_err(failed)?;
    // What cannot be changed any more may be as contained as it can be: somebody terminated the machine meanwhile.
    let is_reached = match &decision {
        Decision::Already => true,
        Decision::Skip(_) => action.verify(&cx.view, &shard.step.with, now).map_err(failed)? == Verdict::Proven,
        Decision::Change(_) | Decision::ByHand(_) | Decision::Refuse(_) | Decision::Unseen(_) => false,
    };
    match decision {
        // Found as wished after an attempt that was cut off: that attempt's doing, and undone with it.
        _ if is_reached && assigned.attempted => Err(Outcome::Done { effect: action.made(now).map_err(failed)? }),
        _ if is_reached => Err(Outcome::Already),
        Decision::Already => Err(Outcome::Already),
        Decision::Skip(why) | Decision::Refuse(why) => Err(drifted(why)),
        Decision::ByHand(work) => Err(drifted(format!("it is left to a person: {}", work.what))),
        Decision::Unseen(error) => Err(failed(error)),
        // An attempt that was cut off may have been carried out by half: that is not somebody else's doing.
        Decision::Change(_) if assigned.attempted => Ok(now),
        Decision::Change(_) => match action.drift(&assigned.change.prior, &now.prior).map_err(failed)? {
            Some(why) => Err(drifted(why)),
            None => Ok(now),
        },
    }
}

fn item(change: &Change, prior: Value) -> Item<Value> {
    Item { change: change.id.clone(), member: change.member.clone(), resource: change.resource.clone(), prior }
}

/// Applies batches in one lane.
struct ApplyLane<'a, R> {
    action: &'a dyn DynAction,
    cx: &'a Ctx,
    shard: &'a Shard,
    report: &'a R,
}

impl<R: Fn(LaneEvent) + Sync> ApplyLane<'_, R> {
    /// Applies a batch. When it fails as a whole it is halved, until what spoils it stands alone and the rest is done.
    async fn apply(&self, batch: Vec<Item<Value>>) {
        let mut open = vec![batch];
        while let Some(mut batch) = open.pop() {
            match self.action.apply(self.cx, &self.shard.step.with, &batch).await {
                Ok(effects) => {
                    let mut effects = effects.into_iter();
                    for item in batch {
                        let effect = effects.next().unwrap_or(Value::Null);
                        (self.report)(LaneEvent::Ended(item.change, Outcome::Done { effect }));
                    }
                }
                Err(error) if error.kind == ErrorKind::Unreachable => self.resolve(batch, error).await,
                Err(error) if batch.len() > 1 && may_be_one(error.kind) => {
                    let half = batch.split_off(batch.len() / 2);
                    open.push(half);
                    open.push(batch);
                }
                Err(error) => {
                    for item in batch {
                        let outcome = if may_be_a_repeat(error.kind) {
                            self.begin_anew(&item, error.clone()).await
                        } else {
                            Outcome::Failed { error: error.clone() }
                        };
                        (self.report)(LaneEvent::Ended(item.change, outcome));
                    }
                }
            }
        }
    }

    /// A change may have been refused for what it did itself: whoever takes it up like one that was cut off sees that.
    async fn begin_anew(&self, item: &Item<Value>, error: ActionError) -> Outcome {
        let (failed, with) = (|error| Outcome::Failed { error }, &self.shard.step.with);
        let assigned = self.shard.changes.iter().filter(|assigned| assigned.change.id == item.change);
        let changes = assigned.map(|assigned| Assigned { attempted: true, ..assigned.clone() }).collect();
        let shard = Shard { changes, ..self.shard.clone() };
        let [assigned] = &shard.changes[..] else { return failed(error) };
        let Ok(seen) = look(self.action, self.cx, &shard).await else { return failed(error) };
        let now = match before_apply(self.action, self.cx, &shard, assigned, seen.get(&item.resource)) {
            Ok(now) => now,
            Err(Outcome::Done { effect }) => return Outcome::Done { effect },
            Err(_) => return failed(error),
        };
        let again = Item { prior: now.prior.clone(), ..item.clone() };
        if let Err(error) = self.action.apply(self.cx, with, std::slice::from_ref(&again)).await {
            return failed(error);
        }
        // What the second attempt returns is its own part only.
        let seen = look(self.action, self.cx, &shard).await.ok();
        let made = seen.as_ref().and_then(|seen| seen.get(&item.resource));
        let made = made.and_then(|now| self.action.made(now).ok());
        Outcome::Done { effect: made.unwrap_or_default() }
    }

    /// No answer: whether the request took effect is found out by looking, never by guessing or by sending it again blindly.
    async fn resolve(&self, batch: Vec<Item<Value>>, error: ActionError) {
        let seen = look(self.action, self.cx, self.shard).await;
        for item in batch {
            let made = seen.as_ref().ok().and_then(|seen| {
                // What was there right before is gone: that was the change.
                let Some(now) = seen.get(&item.resource) else { return Some(Value::Null) };
                match self.action.plan(&self.cx.view, &self.shard.step.with, now) {
                    Ok(Decision::Already) => self.action.made(now).ok(),
                    _ => None,
                }
            });
            let outcome = match made {
                Some(effect) => Outcome::Done { effect },
                None => Outcome::Failed { error: error.clone() },
            };
            (self.report)(LaneEvent::Ended(item.change, outcome));
        }
    }
}

/// Whether one resource of many can be the reason for such an error.
fn may_be_one(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::Denied
        | ErrorKind::NotFound
        | ErrorKind::WrongState
        | ErrorKind::Quota
        | ErrorKind::Already
        | ErrorKind::Other => true,
        ErrorKind::Credentials
        | ErrorKind::Throttled
        | ErrorKind::Disabled
        | ErrorKind::Unreachable
        | ErrorKind::Unsupported
        | ErrorKind::Refused => false,
    }
}

async fn undo_all(action: &dyn DynAction, cx: &Ctx, shard: &Shard, found: &Seen, report: &(impl Fn(LaneEvent) + Sync)) {
    stream::iter(&shard.changes)
        .for_each_concurrent(SIDE_BY_SIDE, |assigned| async {
            let outcome = undo(action, cx, shard, assigned, found.get(&assigned.change.resource)).await;
            report(LaneEvent::Ended(assigned.change.id.clone(), outcome));
        })
        .await;
}

/// Takes one change back, unless somebody else has changed the resource since: their work is not overwritten.
async fn undo(
    action: &dyn DynAction,
    cx: &Ctx,
    shard: &Shard,
    assigned: &Assigned,
    now: Option<&Found<Value>>,
) -> Outcome {
    let change = &assigned.change;
    let failed = |error: ActionError| Outcome::Failed { error };
    let mut gone = None;
    match now.map(|now| (action.plan(&cx.view, &shard.step.with, now), action.drift(&change.prior, &now.prior))) {
        None => gone = Some("it is not there any more".to_owned()),
        Some((Ok(Decision::Change(_)), Ok(Some(why)))) if !assigned.attempted => return Outcome::Drifted { why },
        Some((Ok(Decision::Unseen(error)) | Err(error), _) | (_, Err(error))) => return failed(error),
        // Nobody can change it any more: somebody terminated the machine meanwhile.
        Some((Ok(Decision::Skip(_)), Ok(drift))) => gone = drift,
        // Not in force any more: an earlier way back may have been cut short, and left something behind.
        Some((Ok(Decision::Change(_) | Decision::Already | Decision::ByHand(_) | Decision::Refuse(_)), Ok(_))) => {}
    }
    let item = item(change, change.prior.clone());
    let mut answer = action.undo(cx, &shard.step.with, &item, &assigned.effect).await;
    if answer.as_ref().is_err_and(|error| may_be_a_repeat(error.kind)) {
        answer = action.undo(cx, &shard.step.with, &item, &assigned.effect).await;
    }
    match (answer, gone) {
        (Ok(()), _) => Outcome::Done { effect: Value::Null },
        (Err(error), Some(why)) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::WrongState) => {
            Outcome::Drifted { why: format!("{why}: {}", error.message) }
        }
        (Err(error), _) => failed(error),
    }
}

/// Whether a request may have been refused for what it did itself: it was carried out, its answer was lost, and the SDK sent it
/// once more. Who begins anew sees that.
fn may_be_a_repeat(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::WrongState | ErrorKind::Already | ErrorKind::Other)
}
