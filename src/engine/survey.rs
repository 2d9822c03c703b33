//! Looks: who am I, which lanes are there, who is in the sets, in what state. Reads only: its sessions cannot write.
//!
//! Every lane goes its own way from its sets to what the steps would find there, and the global lane of an account does not
//! wait until the account's regions are known: a survey takes as long as the longest of these ways, not the sum of their
//! longest parts.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::future::{join, join_all, join3, ready};
use futures::stream::{self, StreamExt as _};
use indexmap::{IndexMap, IndexSet};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::sync::{OnceCell, mpsc};

use super::Engine;
use super::action::{Found, Listed, View, Wanted};
use super::patience::{ask_all, ask_each};
use super::places::{Place, Places};
use super::ports::{Access, Boxed, Lane};
use super::preflight;
use crate::model::{
    AccountId, ActionError, Caller, Coverage, CoverageStatus, ErrorKind, Finding, Kind, Resource, ResourceId, RunId,
    Runbook, Scope, SetName, SetSpec, Step, StepId, Target,
};
use crate::runbook::predicate::{Fault, Predicate};

/// In how many lanes of a region all that the steps would find is asked for at once: that takes a dozen requests in each.
const CLOSELY: usize = 16;

/// What a survey saw.
#[derive(Debug, Clone)]
pub struct Survey {
    /// What the plan will know of the run.
    pub view: View,
    /// The lanes, also those that cannot be entered.
    pub lanes: Vec<Target>,
    /// The members of each set.
    pub sets: IndexMap<SetName, Vec<Resource>>,
    /// What each step's action found, per lane.
    pub found: IndexMap<StepId, Vec<FoundInLane>>,
    /// The steps that could not be looked at in a lane, and why.
    pub unseen: BTreeMap<(StepId, Target), String>,
    /// What was looked at.
    pub coverage: Coverage,
    /// What could not be looked at, in words.
    pub gaps: Vec<(Target, String)>,
    /// What AWS says of the permissions that the changes need.
    pub findings: Vec<Finding>,
}

/// What one step's action found in one lane.
pub type FoundInLane = (Target, Vec<Found<Value>>);

/// Why there is no survey at all.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SurveyError {
    /// Nobody can say who the caller is.
    #[error("cannot find out who is calling: {0}")]
    Caller(ActionError),
    /// The target accounts cannot be found out.
    #[error("cannot find out the target accounts and regions: {0}")]
    Targets(ActionError),
    /// A set names something that is not there.
    #[error("set `{set}`: {error}")]
    Set {
        /// The set.
        set: SetName,
        /// Why.
        error: ActionError,
    },
    /// A guard does not let this caller look any further.
    #[error("set `{set}`: {why}")]
    Refused {
        /// The set that tells it.
        set: SetName,
        /// Why, and the way out.
        why: String,
    },
    /// The runbook asks for something this quell does not have, or in a form it does not understand.
    #[error("{0}")]
    Runbook(String),
}

/// Where a survey has got to, for the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The caller is known.
    Caller(Caller),
    /// So many lanes are looked at.
    Lanes(usize),
    /// One of them is done with.
    Lane,
}

/// Members, by where they are and for which step.
pub type Known<'a> = HashMap<&'a Target, BTreeSet<(&'a StepId, &'a ResourceId)>>;

/// What a survey is made for.
#[derive(Debug)]
pub enum Purpose<'a> {
    /// A plan. AWS is asked at once, lane by lane, whether what would be changed may be.
    Plan,
    /// A sweep.
    Sweep {
        /// Members that need not be looked at for a step, because something else does.
        known: Known<'a>,
        /// The lanes that are known already.
        lanes: Vec<&'a Target>,
    },
}

/// Surveys all lanes of a runbook.
pub async fn survey(
    engine: &Engine,
    runbook: &Runbook,
    inputs: &Map<String, Value>,
    (case, now): (&RunId, Timestamp),
    purpose: &Purpose<'_>,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Survey, SurveyError> {
    let (caller, accounts) = join(engine.sessions.caller(), engine.sessions.accounts(&runbook.targets)).await;
    let caller = caller.map_err(SurveyError::Caller)?;
    progress(Progress::Caller(caller.clone()));
    let view = View { case: case.clone(), caller, now };
    let accounts = accounts.map_err(SurveyError::Targets)?;
    let (ends, mut ended) = mpsc::unbounded_channel();
    let look = Look::new(engine, runbook, inputs, view, purpose, ends, progress)?;
    tokio::select! {
        () = look.everywhere(accounts) => {}
        Some(error) = ended.recv() => return Err(error),
    }
    // It may have ended in the moment of the last answer.
    ended.try_recv().map_or(Ok(()), Err)?;
    look.finish()
}

/// A survey that is under way.
struct Look<'a> {
    engine: &'a Engine,
    runbook: &'a Runbook,
    inputs: &'a Map<String, Value>,
    view: View,
    purpose: &'a Purpose<'a>,
    predicates: HashMap<&'a SetName, Predicate>,
    /// What the runbook's steps need in an account. A sweep does not ask.
    permissions: Vec<&'static str>,
    /// Places for the lanes in which there is something to look at.
    closely: Places,
    /// Takes what ends the survey before its time.
    ends: mpsc::UnboundedSender<SurveyError>,
    seen: Mutex<Seen<'a>>,
}

/// What a survey has seen so far.
struct Seen<'a> {
    survey: Survey,
    /// What was asked and is not answered yet: where, which service, for which set or step.
    open: BTreeSet<(Target, &'a str, &'a str)>,
    /// The permissions that were asked for and are not known yet: where, and for which step.
    unchecked: BTreeSet<(Target, Option<&'a StepId>)>,
    /// The accounts that a set has led to, and the steps that were asked about them for that.
    led_to: BTreeSet<(Target, &'a StepId)>,
    /// The accounts that regional sets have led to: they are asked about when the regions have answered, as the accounts
    /// that they are. What takes long there must not count as the silence of a region.
    to_follow: BTreeSet<(Target, &'a SetName)>,
    /// What a source says does not exist.
    absent: Vec<(&'a SetName, ActionError)>,
    progress: &'a mut (dyn FnMut(Progress) + Send),
}

impl<'a> Look<'a> {
    fn new(
        engine: &'a Engine,
        runbook: &'a Runbook,
        inputs: &'a Map<String, Value>,
        view: View,
        purpose: &'a Purpose<'a>,
        ends: mpsc::UnboundedSender<SurveyError>,
        progress: &'a mut (dyn FnMut(Progress) + Send),
    ) -> Result<Self, SurveyError> {
        let predicates = predicates(engine, runbook)?;
        if let Some(step) = runbook.steps.iter().find(|step| engine.table.action(step.uses.as_str()).is_none()) {
            return Err(unknown(step.uses.as_str()));
        }
        let survey = Survey {
            view: view.clone(),
            lanes: Vec::new(),
            sets: runbook.sets.keys().map(|name| (name.clone(), Vec::new())).collect(),
            found: runbook.steps.iter().map(|step| (step.id.clone(), Vec::new())).collect(),
            unseen: BTreeMap::new(),
            coverage: Coverage::default(),
            gaps: Vec::new(),
            findings: Vec::new(),
        };
        let seen = Mutex::new(Seen {
            survey,
            open: BTreeSet::new(),
            unchecked: BTreeSet::new(),
            led_to: BTreeSet::new(),
            to_follow: BTreeSet::new(),
            absent: Vec::new(),
            progress,
        });
        let permissions = match purpose {
            Purpose::Plan => preflight::needed(engine, runbook),
            Purpose::Sweep { .. } => Vec::new(),
        };
        let closely = Places::of(CLOSELY);
        Ok(Self { engine, runbook, inputs, view, purpose, predicates, permissions, closely, ends, seen })
    }

    /// Looks at all lanes of these accounts: at the global ones at once, at the regional ones as soon as they are known.
    async fn everywhere(&self, accounts: Vec<(AccountId, Result<(), ActionError>)>) {
        let mut open = Vec::new();
        for (account, state) in accounts {
            let global = Target::global(account.clone());
            self.expect(&global, &state);
            if state.is_ok() {
                open.push(account);
            }
        }
        let accounts: HashSet<&AccountId> = open.iter().collect();
        let known: IndexSet<&Target> = match self.purpose {
            Purpose::Plan => IndexSet::new(),
            Purpose::Sweep { lanes, .. } => {
                lanes.iter().copied().filter(|lane| accounts.contains(&lane.account)).collect()
            }
        };
        let is_new = |lane: &Target| ready(!known.contains(lane));
        let at_once = open.iter().cloned().map(Target::global).chain(known.iter().copied().cloned());
        let regional = stream::once(self.regions(open.clone())).flat_map(stream::iter).filter(is_new);
        let lanes = stream::iter(at_once).chain(regional).filter(|lane| ready(self.has_questions(lane)));
        let questions = lanes.map(|lane| {
            let here = lane.clone();
            (lane, move || -> Boxed<'_, ()> { Box::pin(self.at(here)) })
        });
        ask_each(self.engine.sessions.as_ref(), questions).await;
        let led_to = std::mem::take(&mut self.seen().to_follow);
        let questions = led_to
            .into_iter()
            .map(|(account, set)| (account.clone(), move || async move { self.account_of(&account, set).await }));
        ask_all(self.engine.sessions.as_ref(), questions).await;
    }

    /// The regional lanes of these accounts that can be looked at.
    async fn regions(&self, accounts: Vec<AccountId>) -> Vec<Target> {
        let wanted = &self.runbook.targets.regions;
        let sessions = &self.engine.sessions;
        let questions =
            accounts.iter().map(|account| (Target::global(account.clone()), move || sessions.regions(account, wanted)));
        let answers = ask_all(self.engine.sessions.as_ref(), questions).await;
        let mut open = Vec::new();
        for (account, answer) in accounts.into_iter().zip(answers) {
            match answer {
                Some(Ok(lanes)) => open.extend(lanes.into_iter().filter_map(|lane| self.lane(lane))),
                Some(Err(error)) => self.end(SurveyError::Targets(error)),
                None => self.without_regions(&account),
            }
        }
        let lanes = self.seen().survey.lanes.len();
        (self.seen().progress)(Progress::Lanes(lanes));
        open
    }

    /// Enters a lane into the ledger; gives it back if it can be looked at.
    fn lane(&self, (target, state): Lane) -> Option<Target> {
        self.expect(&target, &state);
        state.is_ok().then_some(target)
    }

    /// Opens the cells of the ledger that the runbook needs of a lane, and closes them if it cannot be entered.
    fn expect(&self, target: &Target, state: &Result<(), ActionError>) {
        let seen = &mut *self.seen();
        seen.survey.lanes.push(target.clone());
        for service in self.services(target) {
            match state {
                Ok(()) => seen.survey.coverage.expect(target.clone(), service),
                Err(error) => {
                    seen.survey.coverage.note(target.clone(), service, status(error), Some(error.to_string()));
                }
            }
        }
        if let Err(error) = state
            && error.kind != ErrorKind::Disabled
        {
            seen.survey.gaps.push((target.clone(), error.to_string()));
        }
    }

    /// An account that did not say in time which regions it has.
    fn without_regions(&self, account: &AccountId) {
        let (global, why) = (Target::global(account.clone()), "which regions the account has: no answer");
        let seen = &mut *self.seen();
        for set in self.runbook.sets.values().filter(|set| !self.is_global(set)) {
            let status = CoverageStatus::Unreachable;
            seen.survey.coverage.note(global.clone(), service(set.from.as_str()), status, Some(why.to_owned()));
        }
        seen.survey.gaps.push((global, why.to_owned()));
    }

    /// Looks at a lane: its sets and, if it is the account's global one, the steps that work on the account itself.
    async fn at(&self, lane: Target) {
        let closely = OnceCell::new();
        let mut queries: IndexMap<(&str, String), Vec<&SetName>> = IndexMap::new();
        for (name, set) in self.sets(&lane) {
            queries.entry((set.from.as_str(), json!(set.with).to_string())).or_default().push(name);
        }
        let sets = join_all(queries.values().map(|names| self.query(&lane, names, &closely)));
        let steps = self.runbook.steps.iter().filter(|step| step.is_on_every_account() && lane.region.is_global());
        let steps = join_all(steps.map(|step| self.step(&lane, step, vec![account(&lane)])));
        join3(sets, steps, self.lacking(&lane)).await;
        (self.seen().progress)(Progress::Lane);
    }

    /// Lists the members of sets that ask for the same, in a lane, and finds what the steps on them would change.
    async fn query(&self, lane: &Target, names: &[&'a SetName], closely: &OnceCell<Place>) {
        let set = &self.runbook.sets[names[0]];
        let Some(source) = self.engine.table.source(set.from.as_str()) else { return };
        let ask = async {
            let cx = self.engine.sessions.enter(lane, Access::Read).await?;
            match source.list(&cx, &set.with, &self.wanted(lane, names)).await {
                // One that says that what was asked for is not there has answered.
                Err(error) if error.kind == ErrorKind::NotFound => Ok(Err(error)),
                listed => listed.map(Ok),
            }
        };
        let leads_to =
            |step: &&Step| names.iter().any(|name| step.on.as_ref() == Some(name) || step.accounts_of.contains(name));
        let steps: Vec<&Step> = self.runbook.steps.iter().filter(leads_to).collect();
        let listed = self.asked(lane, service(set.from.as_str()), names[0].as_str(), &steps, ask).await;
        let members = match listed {
            Ok(Ok(Listed { members, asked })) => {
                for (service, answer) in asked {
                    let survey = &mut self.seen().survey;
                    match answer {
                        Ok(()) => survey.coverage.note(lane.clone(), service, CoverageStatus::Clean, None),
                        Err(error) => gap(survey, lane.clone(), service, &error),
                    }
                }
                members
            }
            Ok(Err(absent)) => return self.seen().absent.extend(names.iter().map(|name| (*name, absent.clone()))),
            Err(_) => return,
        };
        if lane.account == self.view.caller.account {
            match source.refuse(&self.view, &set.with, &members) {
                Ok(None) => {}
                Ok(Some(why)) => return self.end(SurveyError::Refused { set: names[0].clone(), why }),
                Err(error) => return self.end(SurveyError::Set { set: names[0].clone(), error }),
            }
        }
        join_all(names.iter().map(|name| self.set(lane, name, members.clone(), closely))).await;
    }

    /// What sets that ask for the same want to know together.
    fn wanted(&self, lane: &Target, names: &[&'a SetName]) -> Wanted<'a> {
        let fields = names.iter().filter_map(|name| self.predicates.get(*name)).flat_map(Predicate::fields);
        let mut known = self.known(lane, names[0]);
        for name in &names[1..] {
            let also = self.known(lane, name);
            known.retain(|id| also.contains(id));
        }
        Wanted { fields: fields.collect(), known: known.into_iter().collect() }
    }

    /// Finds what the steps on a set would change for those of its members that are in a lane.
    async fn set(&self, lane: &Target, name: &'a SetName, members: Vec<Resource>, closely: &OnceCell<Place>) {
        let predicate = self.predicates.get(name);
        let members = self.belonging(lane, members, name, predicate);
        if !members.is_empty() {
            closely.get_or_init(|| self.closely.enter(lane.region.as_str())).await;
        }
        let listed = members.iter().map(|member| self.as_listed(name, member));
        self.seen().survey.sets[name].extend(listed);
        let steps = self.runbook.steps.iter().filter(|step| step.on.as_ref() == Some(name));
        let steps = steps.map(|step| {
            let is_new = |member: &&Resource| match self.purpose {
                Purpose::Plan => true,
                Purpose::Sweep { known, .. } => {
                    !known.get(lane).is_some_and(|here| here.contains(&(&step.id, &member.id)))
                }
            };
            self.step(lane, step, members.iter().filter(is_new).cloned().collect())
        });
        let on_account = async {
            if members.is_empty() {
                return;
            }
            if lane.region.is_global() {
                self.account_of(lane, name).await;
            } else {
                self.seen().to_follow.insert((Target::global(lane.account.clone()), name));
            }
        };
        join(join_all(steps), on_account).await;
    }

    /// A member as the plan will know it: of one that is no finding, no field is shown.
    fn as_listed(&self, name: &SetName, member: &Resource) -> Resource {
        let is_finding = self.runbook.sets[name].finding.is_some();
        let fields = if is_finding { member.fields.clone() } else { Map::new() };
        Resource { kind: member.kind.clone(), id: member.id.clone(), target: member.target.clone(), fields }
    }

    /// Finds what the steps on accounts that hold members of a set would change in this one; once, whichever set is the
    /// first to lead there.
    async fn account_of(&self, global: &Target, name: &SetName) {
        let steps = self.runbook.steps.iter().filter(|step| step.accounts_of.contains(name));
        let first: Vec<_> = steps.filter(|step| self.seen().led_to.insert((global.clone(), &step.id))).collect();
        join_all(first.into_iter().map(|step| self.step(global, step, vec![account(global)]))).await;
    }

    /// The members that belong to the set. One of which that cannot be told is said to be unseen: whoever made it such must
    /// not keep the others from being contained.
    fn belonging(
        &self,
        lane: &Target,
        members: Vec<Resource>,
        name: &SetName,
        predicate: Option<&Predicate>,
    ) -> Vec<Resource> {
        let Some(predicate) = predicate else { return members };
        let belongs = |member: &Resource| {
            predicate.matches(&member.fields, self.inputs, self.view.now).unwrap_or_else(|error| {
                let why = format!("whether {} belongs to the set `{name}` cannot be told: {error}", member.id);
                let service = service(self.runbook.sets[name].from.as_str());
                let seen = &mut *self.seen();
                let status = CoverageStatus::Unreachable;
                seen.survey.coverage.note(lane.clone(), service, status, Some(why.clone()));
                seen.survey.gaps.push((lane.clone(), why));
                false
            })
        };
        members.into_iter().filter(belongs).collect()
    }

    /// Finds what a step would change for these members of its set.
    async fn step(&self, lane: &Target, step: &'a Step, members: Vec<Resource>) {
        let Some(action) = self.engine.table.action(step.uses.as_str()).filter(|_| !members.is_empty()) else { return };
        let ask = async {
            let cx = self.engine.sessions.enter(lane, Access::Read).await?;
            action.discover(&cx, &step.with, &members).await
        };
        if let Ok(mut found) = self.asked(lane, service(step.uses.as_str()), step.id.as_str(), &[step], ask).await {
            found.sort_by(|a, b| (&a.member, &a.resource).cmp(&(&b.member, &b.resource)));
            self.seen().survey.found[&step.id].push((lane.clone(), found.clone()));
            if let Purpose::Plan = self.purpose {
                self.checked(lane, Some(&step.id), preflight::dry_run(self.engine, lane, step, &found)).await;
            }
        }
    }

    /// Asks which permissions the runbook's steps lack in an account.
    async fn lacking(&self, lane: &Target) {
        if let Purpose::Plan = self.purpose
            && lane.region.is_global()
        {
            self.checked(lane, None, self.engine.sessions.lacking(lane, &self.permissions)).await;
        }
    }

    /// Notes what a check of permissions finds.
    async fn checked(&self, lane: &Target, step: Option<&'a StepId>, check: impl Future<Output = Vec<Finding>>) {
        self.seen().unchecked.insert((lane.clone(), step));
        let findings = check.await;
        let seen = &mut *self.seen();
        seen.unchecked.remove(&(lane.clone(), step));
        seen.survey.findings.extend(findings);
    }

    /// The members of a set in a lane that the run knows already.
    fn known(&self, lane: &Target, name: &SetName) -> BTreeSet<&'a ResourceId> {
        let Purpose::Sweep { known, .. } = self.purpose else { return BTreeSet::new() };
        let of_set = |step: &StepId| self.runbook.step(step).is_some_and(|step| step.on.as_ref() == Some(name));
        let here = known.get(lane).into_iter().flatten();
        here.filter(|(step, _)| of_set(step)).map(|(_, member)| *member).collect()
    }

    /// Asks, and notes in the ledger how it went. Until there is an answer, `steps` count as not looked at.
    async fn asked<T>(
        &self,
        lane: &Target,
        service: &'a str,
        what: &'a str,
        steps: &[&'a Step],
        ask: impl Future<Output = Result<T, ActionError>>,
    ) -> Result<T, ActionError> {
        let unseen = |error: &ActionError| {
            let why = error.to_string();
            steps.iter().map(move |step| ((step.id.clone(), lane.clone()), why.clone())).collect::<Vec<_>>()
        };
        {
            let seen = &mut *self.seen();
            seen.open.insert((lane.clone(), service, what));
            seen.survey.unseen.extend(unseen(&no_answer()));
        }
        let answer = ask.await;
        let seen = &mut *self.seen();
        seen.open.remove(&(lane.clone(), service, what));
        match &answer {
            Err(error) => {
                gap(&mut seen.survey, lane.clone(), service, error);
                seen.survey.unseen.extend(unseen(error));
            }
            Ok(_) => {
                seen.survey.coverage.note(lane.clone(), service, CoverageStatus::Clean, None);
                for step in steps {
                    seen.survey.unseen.remove(&(step.id.clone(), lane.clone()));
                }
            }
        }
        answer
    }

    /// What was seen, when nothing more is waited for.
    fn finish(self) -> Result<Survey, SurveyError> {
        let Seen { mut survey, open, unchecked, absent, .. } =
            self.seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        for (lane, service, _) in open {
            gap(&mut survey, lane, service, &no_answer());
        }
        // If it is nowhere, that is the run's end. Where a lane did not answer, it may be there.
        if let Some((set, error)) = absent.into_iter().find(|(name, _)| survey.sets[*name].is_empty())
            && survey.gaps.is_empty()
        {
            return Err(SurveyError::Set { set: set.clone(), error });
        }
        survey
            .findings
            .extend(unchecked.into_iter().map(|(lane, step)| preflight::unchecked(step, &lane, "no answer")));
        survey.findings.sort_by(|a, b| (&a.target, &a.step).cmp(&(&b.target, &b.step)));
        survey.lanes.sort_by(|a, b| a.account.cmp(&b.account));
        for members in survey.sets.values_mut() {
            members.sort_by(|a, b| (&a.target, &a.id).cmp(&(&b.target, &b.id)));
        }
        for found in survey.found.values_mut() {
            found.sort_by(|(a, _), (b, _)| a.cmp(b));
        }
        Ok(survey)
    }

    /// Whether there is anything to ask in a lane. One without questions must not count as one that has answered.
    fn has_questions(&self, lane: &Target) -> bool {
        let checks_permissions = matches!(self.purpose, Purpose::Plan) && lane.region.is_global();
        checks_permissions || !self.services(lane).is_empty()
    }

    /// The sets that are asked for in a lane. A sweep looks for what steps work on; what is only listed is in the plan.
    fn sets<'s>(&'s self, lane: &'s Target) -> impl Iterator<Item = (&'a SetName, &'a SetSpec)> + use<'s, 'a> {
        let steps = &self.runbook.steps;
        let is_used =
            |name: &SetName| steps.iter().any(|step| step.on.as_ref() == Some(name) || step.accounts_of.contains(name));
        let here = self.runbook.sets.iter().filter(|(_, set)| self.is_global(set) == lane.region.is_global());
        here.filter(move |(name, _)| matches!(self.purpose, Purpose::Plan) || is_used(name))
    }

    /// The services that the runbook needs of a lane.
    fn services(&self, lane: &Target) -> BTreeSet<&'a str> {
        let sets = self.sets(lane).map(|(_, set)| set);
        let steps = self.runbook.steps.iter().filter(|step| step.is_on_every_account() && lane.region.is_global());
        sets.map(|set| set.from.as_str()).chain(steps.map(|step| step.uses.as_str())).map(service).collect()
    }

    fn is_global(&self, set: &SetSpec) -> bool {
        self.engine.table.source(set.from.as_str()).is_some_and(|source| source.kind().scope == Scope::Global)
    }

    fn seen(&self) -> MutexGuard<'_, Seen<'a>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, error: SurveyError) {
        // The survey listens for as long as anybody looks.
        let _ = self.ends.send(error);
    }
}

/// The account itself, as the member that a step without a set works on.
fn account(lane: &Target) -> Resource {
    Resource {
        kind: Kind::new("account"),
        id: ResourceId::new(lane.account.as_str()).expect("an account id is a resource id"),
        target: lane.clone(),
        fields: Map::new(),
    }
}

fn predicates<'a>(engine: &Engine, runbook: &'a Runbook) -> Result<HashMap<&'a SetName, Predicate>, SurveyError> {
    let mut predicates = HashMap::new();
    for (name, set) in &runbook.sets {
        let source = engine.table.source(set.from.as_str()).ok_or_else(|| unknown(set.from.as_str()))?;
        let Some(text) = &set.predicate else { continue };
        let wrong = |faults: Vec<Fault>| {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            SurveyError::Runbook(format!("set `{name}`: {}", faults.join("; ")))
        };
        predicates.insert(name, Predicate::compile(text, source.kind(), &runbook.inputs).map_err(wrong)?);
    }
    Ok(predicates)
}

fn gap(survey: &mut Survey, lane: Target, service: &str, error: &ActionError) {
    survey.coverage.note(lane.clone(), service, status(error), Some(error.to_string()));
    if error.kind != ErrorKind::Disabled {
        survey.gaps.push((lane, format!("{service}: {error}")));
    }
}

/// What an error says about how well a lane was looked at.
pub(super) fn status(error: &ActionError) -> CoverageStatus {
    match error.kind {
        ErrorKind::Denied | ErrorKind::Credentials | ErrorKind::Refused => CoverageStatus::Denied,
        ErrorKind::Disabled => CoverageStatus::Disabled,
        ErrorKind::Unreachable | ErrorKind::Throttled => CoverageStatus::Unreachable,
        ErrorKind::NotFound
        | ErrorKind::WrongState
        | ErrorKind::Quota
        | ErrorKind::Already
        | ErrorKind::Unsupported
        | ErrorKind::Other => CoverageStatus::Unknown,
    }
}

fn no_answer() -> ActionError {
    ActionError::new(ErrorKind::Unreachable, "no answer within the time the others needed")
}

fn service(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

fn unknown(name: &str) -> SurveyError {
    SurveyError::Runbook(format!("this quell has no `{name}`; `quell actions` lists what it has"))
}
