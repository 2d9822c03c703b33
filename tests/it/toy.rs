//! A world without AWS, for the engine: machines that are on or off, in lanes that may be dead.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use aws_types::SdkConfig;
use jiff::Timestamp;
use quell::engine::Engine;
use quell::engine::action::{Action, Ctx, Decision, Found, Item, LookBefore, Proposal, Source, View, Wanted};
use quell::engine::ports::{
    Access, Account, Approver, Boxed, Lane, Reply, Reporter, Sessions, SharedClock, TokioClock, Traffic,
};
use quell::engine::table::Table;
use quell::model::{
    AccountId, ActionError, Answer, Caller, Effect, ErrorKind, Event, FieldSpec, FieldType, Finding, Kind, KindSpec,
    Plan, Region, Regions, Resource, ResourceId, Scope, Target, Targets, Tier, Undo, Verdict,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{Duration, sleep};

/// How long a request takes.
pub const LATENCY: Duration = Duration::from_millis(80);

/// The toy world.
#[derive(Debug, Default)]
pub struct World {
    /// Machines by lane and name.
    pub machines: BTreeMap<(Target, String), Machine>,
    /// Regions that never answer.
    pub dead: BTreeSet<Region>,
    /// Machines that cannot be switched, and the error's kind.
    pub broken: BTreeMap<String, ErrorKind>,
    /// Machines whose switch is refused after it was carried out, as a repeat is when the first answer was lost.
    pub repeated: BTreeSet<String>,
    /// Every switch that was carried out, with the size of its batch.
    pub switched: Vec<(String, usize)>,
    /// The last words of whoever switches a machine off.
    pub panics: Option<String>,
    /// How many looks at a machine that was switched off still find it on its way.
    pub on_their_way: usize,
    /// How long taking evidence takes beyond the request.
    pub evidence_takes: Duration,
    /// Requests that asked for a change, carried out or not.
    pub writes: usize,
    /// Requests for the list of machines.
    pub listed: usize,
    /// How many questions for the accounts get no answer.
    pub accounts_unknown: usize,
}

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Whether it runs.
    pub on: bool,
    /// What its evidence is called, once taken.
    pub evidence: Option<String>,
    /// Whose it is.
    pub owner: String,
}

impl Machine {
    /// A machine that runs.
    pub fn running() -> Self {
        Self { on: true, evidence: None, owner: "eve".into() }
    }
}

/// A world to share.
pub type Shared = Arc<Mutex<World>>;

/// A target of the toy account.
pub fn lane(region: &str) -> Target {
    Target::new(AccountId::new("111122223333").unwrap(), Region::new(region).unwrap())
}

/// A world with so many running machines in each region.
pub fn world(regions: &[&str], each: usize) -> Shared {
    let mut world = World::default();
    for region in regions {
        for n in 0..each {
            let machine = Machine::running();
            world.machines.insert((lane(region), format!("{region}-{n}")), machine);
        }
    }
    Arc::new(Mutex::new(world))
}

/// What the engine needs, over a toy world.
pub fn engine(world: &Shared) -> Engine {
    let clock: SharedClock = Arc::new(TokioClock::starting_at("2026-11-23T15:00:00Z".parse().unwrap()));
    let table = Table {
        actions: Arc::new([
            Box::new(TakeEvidence(Arc::clone(world))) as _,
            Box::new(SwitchOff(Arc::clone(world))) as _,
        ]),
        sources: Arc::new([Box::new(Machines(Arc::clone(world))) as _]),
    };
    Engine { sessions: Arc::new(ToySessions(Arc::clone(world), Arc::clone(&clock))), table, clock }
}

/// Waits as a request does; a dead region never answers.
async fn request(world: &Shared, target: &Target) {
    let dead = world.lock().unwrap().dead.contains(&target.region);
    sleep(if dead { Duration::from_hours(10) } else { LATENCY }).await;
}

struct ToySessions(Shared, SharedClock);

impl Sessions for ToySessions {
    fn caller(&self) -> Boxed<'_, Result<Caller, ActionError>> {
        Box::pin(async { Ok(caller()) })
    }

    fn accounts<'a>(&'a self, _: &'a Targets) -> Boxed<'a, Result<Vec<Account>, ActionError>> {
        let mut world = self.0.lock().unwrap();
        if let Some(left) = world.accounts_unknown.checked_sub(1) {
            world.accounts_unknown = left;
            let error = ActionError::new(ErrorKind::Unreachable, "nobody answers");
            return Box::pin(async move { Err(error) });
        }
        let lanes: BTreeSet<AccountId> = world.machines.keys().map(|(lane, _)| lane.account.clone()).collect();
        Box::pin(async move { Ok(lanes.into_iter().map(|account| (account, Ok(()))).collect()) })
    }

    fn regions<'a>(&'a self, account: &'a AccountId, _: &'a Regions) -> Boxed<'a, Result<Vec<Lane>, ActionError>> {
        let lanes: BTreeSet<Target> = self.0.lock().unwrap().machines.keys().map(|(lane, _)| lane.clone()).collect();
        let lanes = lanes.into_iter().filter(|lane| lane.account == *account);
        Box::pin(async move { Ok(lanes.map(|lane| (lane, Ok(()))).collect()) })
    }

    fn assume(&self, _: Option<&quell::model::Role>) {}

    fn enter<'a>(&'a self, target: &'a Target, _: Access) -> Boxed<'a, Result<Ctx, ActionError>> {
        let view = View { case: quell::model::RunId::new("toy-run").unwrap(), caller: caller(), now: self.1.now() };
        let sdk = SdkConfig::builder().build();
        let cx =
            Ctx { target: target.clone(), view, home: sdk.clone(), sdk, clock: Arc::clone(&self.1), evidence: None };
        Box::pin(async move { Ok(cx) })
    }

    fn lacking<'a>(&'a self, _: &'a Target, _: &'a [&'static str]) -> Boxed<'a, Vec<Finding>> {
        Box::pin(async { Vec::new() })
    }

    fn heard(&self, _: &Target) -> Option<tokio::time::Instant> {
        None
    }

    fn traffic(&self) -> Traffic {
        Traffic::default()
    }
}

/// The toy responder.
pub fn caller() -> Caller {
    Caller {
        arn: "arn:aws:iam::111122223333:user/responder".into(),
        account: AccountId::new("111122223333").unwrap(),
        user_id: "AIDAEXAMPLE".into(),
        access_key: None,
        endpoint: None,
    }
}

/// No parameters.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

static MACHINE: KindSpec = KindSpec {
    name: "toy.machine",
    scope: Scope::Regional,
    fields: &[
        FieldSpec { name: "id", field_type: FieldType::Text, help: "Its name." },
        FieldSpec { name: "on", field_type: FieldType::Bool, help: "Whether it runs." },
    ],
};

struct Machines(Shared);

impl Source for Machines {
    type Params = Nothing;
    const NAME: &'static str = "toy.machines";
    const KIND: &'static KindSpec = &MACHINE;
    const TITLE: &'static str = "Lists toy machines.";
    const PERMISSIONS: &'static [&'static str] = &["toy:ListMachines"];

    async fn list(&self, cx: &Ctx, _: &Nothing, _: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        request(&self.0, &cx.target).await;
        let mut world = self.0.lock().unwrap();
        world.listed += 1;
        let here = world.machines.iter().filter(|((lane, _), _)| *lane == cx.target);
        let resource = |((lane, name), machine): (&(Target, String), &Machine)| Resource {
            kind: Kind::new("toy.machine"),
            id: ResourceId::new(name).unwrap(),
            target: lane.clone(),
            fields: json!({"id": name, "on": machine.on}).as_object().unwrap().clone(),
        };
        Ok(here.map(resource).collect())
    }
}

/// The state that both toy actions find: a part of the machine's.
fn discover<P>(world: &Shared, cx: &Ctx, members: &[Resource], prior: impl Fn(&Machine) -> P) -> Vec<Found<P>> {
    let world = world.lock().unwrap();
    let found = |member: &Resource| {
        let machine = world.machines.get(&(cx.target.clone(), member.id.to_string()))?;
        Some(Found { member: member.id.clone(), resource: member.id.clone(), prior: prior(machine) })
    };
    members.iter().filter_map(found).collect()
}

struct SwitchOff(Shared);

impl Action for SwitchOff {
    type Params = Nothing;
    type Prior = (bool, String);
    const NAME: &'static str = "toy.switch-off";
    const TIER: Tier = Tier::Disruptive;
    const KINDS: &'static [&'static str] = &["toy.machine"];
    const TITLE: &'static str = "Switches machines off.";
    const DESCRIPTION: &'static str = "";
    const UNDO: &'static str = "Switches them on again.";
    const PERMISSIONS: &'static [&'static str] = &["toy:Switch"];
    const UNDO_PERMISSIONS: &'static [&'static str] = &[];
    const EXAMPLE: &'static str = "{ id: off, uses: toy.switch-off, on: machines }";
    const BATCH: usize = 8;
    const LOOK_BEFORE: LookBefore = LookBefore::Ahead;

    async fn discover(
        &self,
        cx: &Ctx,
        _: &Nothing,
        members: &[Resource],
    ) -> Result<Vec<Found<(bool, String)>>, ActionError> {
        request(&self.0, &cx.target).await;
        Ok(discover(&self.0, cx, members, |machine| (machine.on, machine.owner.clone())))
    }

    fn plan(&self, _: &View, _: &Nothing, found: &Found<(bool, String)>) -> Decision {
        if !found.prior.0 {
            return Decision::Already;
        }
        let summary = format!("switch off {}", found.resource);
        Decision::Change(Proposal::new(summary, "on", "off", Undo::by("switch it on")))
    }

    async fn apply(&self, cx: &Ctx, _: &Nothing, items: &[Item<(bool, String)>]) -> Result<Vec<Effect>, ActionError> {
        request(&self.0, &cx.target).await;
        let panics = self.0.lock().unwrap().panics.clone();
        if let Some(words) = panics {
            panic!("{words}");
        }
        let mut world = self.0.lock().unwrap();
        world.writes += 1;
        if let Some(kind) = items.iter().find_map(|item| world.broken.get(item.resource.as_str())) {
            return Err(ActionError::new(*kind, "one of them cannot be switched"));
        }
        for item in items {
            world.switched.push((item.resource.to_string(), items.len()));
            if let Some(machine) = world.machines.get_mut(&(cx.target.clone(), item.resource.to_string())) {
                machine.on = false;
            }
        }
        match items.iter().find(|item| world.repeated.contains(item.resource.as_str())) {
            Some(item) => Err(ActionError::new(ErrorKind::WrongState, format!("{} is off", item.resource))),
            None => Ok(items.iter().map(|_| Effect::Null).collect()),
        }
    }

    fn verify(&self, _: &View, _: &Nothing, found: &Found<(bool, String)>) -> Verdict {
        let on_their_way = &mut self.0.lock().unwrap().on_their_way;
        match (found.prior.0, on_their_way.checked_sub(1)) {
            (true, _) => Verdict::Unproven { why: "it is on".into() },
            (false, None) => Verdict::Proven,
            (false, Some(left)) => {
                *on_their_way = left;
                Verdict::Pending { why: "it is on its way".into() }
            }
        }
    }

    async fn undo(&self, cx: &Ctx, _: &Nothing, item: &Item<(bool, String)>, _: &Effect) -> Result<(), ActionError> {
        request(&self.0, &cx.target).await;
        let mut world = self.0.lock().unwrap();
        world.writes += 1;
        if let Some(machine) = world.machines.get_mut(&(cx.target.clone(), item.resource.to_string())) {
            machine.on = item.prior.0;
        }
        Ok(())
    }
}

struct TakeEvidence(Shared);

impl Action for TakeEvidence {
    type Params = Nothing;
    type Prior = Option<String>;
    const NAME: &'static str = "toy.take-evidence";
    const TIER: Tier = Tier::Reversible;
    const KINDS: &'static [&'static str] = &["toy.machine"];
    const TITLE: &'static str = "Takes evidence of machines.";
    const DESCRIPTION: &'static str = "";
    const UNDO: &'static str = "Forgets it.";
    const PERMISSIONS: &'static [&'static str] = &["toy:Evidence"];
    const UNDO_PERMISSIONS: &'static [&'static str] = &[];
    const EXAMPLE: &'static str = "{ id: evidence, uses: toy.take-evidence, on: machines }";

    async fn discover(
        &self,
        cx: &Ctx,
        _: &Nothing,
        members: &[Resource],
    ) -> Result<Vec<Found<Option<String>>>, ActionError> {
        request(&self.0, &cx.target).await;
        let blind = self.0.lock().unwrap().broken.get(&format!("a look at evidence in {}", cx.target.region)).copied();
        match blind {
            Some(kind) => Err(ActionError::new(kind, "evidence is not to be seen")),
            None => Ok(discover(&self.0, cx, members, |machine| machine.evidence.clone())),
        }
    }

    fn plan(&self, _: &View, _: &Nothing, found: &Found<Option<String>>) -> Decision {
        if found.prior.is_some() {
            return Decision::Already;
        }
        let summary = format!("take evidence of {}", found.resource);
        Decision::Change(Proposal::new(summary, "no evidence", "evidence", Undo::by("forget it")))
    }

    async fn apply(&self, cx: &Ctx, _: &Nothing, items: &[Item<Option<String>>]) -> Result<Vec<Effect>, ActionError> {
        request(&self.0, &cx.target).await;
        let takes = self.0.lock().unwrap().evidence_takes;
        sleep(takes).await;
        let mut world = self.0.lock().unwrap();
        world.writes += 1;
        let item = &items[0];
        if let Some(kind) = world.broken.get(&format!("evidence of {}", item.resource)) {
            return Err(ActionError::new(*kind, "no evidence to be had"));
        }
        let machine = world.machines.get_mut(&(cx.target.clone(), item.resource.to_string())).unwrap();
        assert_eq!(machine.evidence, None, "evidence is taken once");
        machine.evidence = Some(item.change.to_string());
        Ok(vec![json!(item.change.as_str())])
    }

    async fn undo(&self, cx: &Ctx, _: &Nothing, item: &Item<Option<String>>, _: &Effect) -> Result<(), ActionError> {
        request(&self.0, &cx.target).await;
        let mut world = self.0.lock().unwrap();
        world.writes += 1;
        let machine = world.machines.get_mut(&(cx.target.clone(), item.resource.to_string())).unwrap();
        machine.evidence.clone_from(&item.prior);
        Ok(())
    }
}

/// Answers every question alike, and remembers what it was asked.
#[derive(Debug)]
pub struct Always(pub Answer, pub Mutex<Vec<Tier>>);

impl Always {
    /// Says yes.
    pub fn yes() -> Arc<Self> {
        Arc::new(Self(Answer::Approved, Mutex::default()))
    }

    /// Says no.
    pub fn no() -> Arc<Self> {
        Arc::new(Self(Answer::Refused, Mutex::default()))
    }
}

impl Approver for Always {
    fn ask<'a>(&'a self, _: &'a Plan, tier: Tier) -> Boxed<'a, Reply> {
        self.1.lock().unwrap().push(tier);
        Box::pin(async { Reply { answer: self.0, by: "a test".into(), through: "test".into() } })
    }
}

/// Keeps all events, and tells when enough of them have come.
#[derive(Debug, Default)]
pub struct Seen {
    /// The events.
    pub events: Vec<Event>,
    /// Told at each event.
    pub count: Option<tokio::sync::watch::Sender<usize>>,
}

impl Reporter for Seen {
    fn event(&mut self, event: &Event) {
        self.events.push(event.clone());
        if let Some(count) = &self.count {
            count.send_replace(self.events.len());
        }
    }
}

/// When a test's plan is made.
pub fn now() -> Timestamp {
    "2026-11-23T15:00:00Z".parse().unwrap()
}
