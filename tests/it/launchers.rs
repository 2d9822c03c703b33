//! What launches machines again: the wrong order loses visibly, the right one wins and goes back.

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_autoscaling::types::LaunchTemplateSpecification;
use aws_sdk_ec2::types::{
    AttributeBooleanValue, Filter, FleetLaunchTemplateConfigRequest, FleetLaunchTemplateSpecification,
    FleetLaunchTemplateSpecificationRequest, FleetType, Instance, InstanceMarketOptionsRequest, InstanceType,
    LaunchTemplateConfig, MarketType, RequestLaunchTemplateData, Reservation, SpotFleetRequestConfigData,
    SpotInstanceType, SpotMarketOptions, TargetCapacitySpecificationRequest,
};
use aws_types::SdkConfig;
use quell::approval::Flags;
use quell::cloud::{CloudSessions, Options};
use quell::engine::Engine;
use quell::engine::ports::{Access, Clock as _, Reporter, Sessions as _, TokioClock};
use quell::engine::rollback;
use quell::engine::run::Run;
use quell::engine::state::{Progress, State};
use quell::journal::{self, Journal};
use quell::model::{Event, Outcome, Plan, Role, RunId, RunOutcome, Runbook, Summary, Target, Tier};
use quell::sim::Sim;
use quell::sim::scenario::{Facts, Scenario};
use quell::{actions, runbook};
use tokio::sync::watch;

/// The name of the intruder's group.
const MINERS: &str = "miners";
/// The filter by which a group's machines are found.
const OF_GROUP: (&str, &str) = ("tag:aws:autoscaling:groupName", MINERS);
/// The filter by which Spot machines are found.
const SPOT: (&str, &str) = ("instance-lifecycle", "spot");

/// A small breached organisation, and one region of it in which the intruder has launchers.
pub struct Lab {
    pub sim: Sim,
    clock: TokioClock,
    pub facts: Facts,
    credentials: SharedCredentialsProvider,
    /// The intruder's long-term key.
    attacker: SharedCredentialsProvider,
    pub target: Target,
    state: tempfile::TempDir,
}

struct Silent;

impl Reporter for Silent {
    fn event(&mut self, _: &Event) {}
}

fn case() -> RunId {
    RunId::new("case-1").unwrap()
}

impl Lab {
    pub fn new() -> Self {
        let scenario = Scenario::named("cryptojack-small").unwrap();
        let built = scenario.build(1, "2026-03-03T18:00:00Z".parse().unwrap()).unwrap();
        let clock = TokioClock::starting_at(built.begins);
        let sim = Sim::new(built.world, move || clock.now());
        let keys = |name: &str| {
            let keys = &built.credentials[name];
            let (id, secret) = (keys.access_key_id.as_str(), keys.secret_access_key.0.clone());
            SharedCredentialsProvider::new(Credentials::new(id, secret, None, None, "scenario"))
        };
        let (credentials, attacker) = (keys("responder"), keys("attacker"));
        let first = &built.facts.machines["rogue"][0];
        let target = Target::new(first.account.clone(), first.region.clone());
        Self { sim, clock, facts: built.facts, credentials, attacker, target, state: tempfile::tempdir().unwrap() }
    }

    async fn engine(&self) -> Engine {
        let options = Options {
            profile: None,
            region: Some("us-east-1".into()),
            http: Some(self.sim.http_client()),
            credentials: Some(self.credentials.clone()),
            endpoint_url: None,
            evidence: None,
            clock: Arc::new(self.clock),
            case: case(),
            now: self.clock.now(),
        };
        let sessions = CloudSessions::new(options).await.unwrap();
        sessions.assume(Some(&Role { name: "ir/IRResponder".into(), external_id: None, source_identity: None }));
        Engine { sessions: Arc::new(sessions), table: actions::table(), clock: Arc::new(self.clock) }
    }

    /// What the responder's clients in the region are made from.
    pub async fn responder(&self) -> SdkConfig {
        self.engine().await.sessions.enter(&self.target, Access::Write).await.unwrap().sdk
    }

    /// What the intruder's are made from.
    pub async fn intruder(&self) -> SdkConfig {
        self.responder().await.into_builder().credentials_provider(self.attacker.clone()).build()
    }

    async fn clients(&self) -> (aws_sdk_ec2::Client, aws_sdk_autoscaling::Client) {
        let cx = self.engine().await.sessions.enter(&self.target, Access::Write).await.unwrap();
        (aws_sdk_ec2::Client::new(&cx.sdk), aws_sdk_autoscaling::Client::new(&cx.sdk))
    }

    /// What the intruder's launchers launch.
    async fn found_template(&self) {
        let (ec2, _) = self.clients().await;
        let images = ec2.describe_images().owners("amazon").send().await.unwrap();
        let image = images.images()[0].image_id().unwrap();
        let data = RequestLaunchTemplateData::builder().image_id(image).instance_type(InstanceType::C54xlarge);
        let template = ec2.create_launch_template().launch_template_name(MINERS);
        template.launch_template_data(data.build()).send().await.unwrap();
    }

    /// A group that keeps three machines running.
    async fn found_group(&self) {
        self.found_template().await;
        let (_, scaling) = self.clients().await;
        let template = LaunchTemplateSpecification::builder().launch_template_name(MINERS).build();
        let zone = format!("{}a", self.target.region);
        let group = scaling.create_auto_scaling_group().auto_scaling_group_name(MINERS).launch_template(template);
        group.min_size(1).max_size(3).desired_capacity(3).availability_zones(zone).send().await.unwrap();
        wait(60).await;
    }

    /// The intruder's machine of a persistent Spot request.
    async fn request_spot(&self) {
        let (ec2, _) = self.clients().await;
        let images = ec2.describe_images().owners("amazon").send().await.unwrap();
        let spot = SpotMarketOptions::builder().spot_instance_type(SpotInstanceType::Persistent).build();
        let market = InstanceMarketOptionsRequest::builder().market_type(MarketType::Spot).spot_options(spot).build();
        let run = ec2.run_instances().image_id(images.images()[0].image_id().unwrap()).instance_market_options(market);
        run.min_count(1).max_count(1).send().await.unwrap();
        wait(60).await;
    }

    /// A fleet of each kind that maintains two Spot machines.
    async fn found_fleets(&self) {
        self.found_template().await;
        let (ec2, _) = self.clients().await;
        let template = FleetLaunchTemplateSpecificationRequest::builder().launch_template_name(MINERS).build();
        let template = FleetLaunchTemplateConfigRequest::builder().launch_template_specification(template).build();
        let capacity = TargetCapacitySpecificationRequest::builder().total_target_capacity(2).build();
        let fleet = ec2.create_fleet().launch_template_configs(template).target_capacity_specification(capacity);
        fleet.r#type(FleetType::Maintain).send().await.unwrap();
        let template = FleetLaunchTemplateSpecification::builder().launch_template_name(MINERS).build();
        let template = LaunchTemplateConfig::builder().launch_template_specification(template).build();
        let config = SpotFleetRequestConfigData::builder().target_capacity(2).launch_template_configs(template);
        let config = config.iam_fleet_role(format!("arn:aws:iam::{}:role/fleet", self.target.account)).build();
        ec2.request_spot_fleet().spot_fleet_request_config(config).send().await.unwrap();
        wait(60).await;
    }

    /// The states of the machines that a filter lets pass, sorted; terminated ones as long as they are shown.
    pub async fn states(&self, filter: (&str, &str)) -> Vec<String> {
        let (ec2, _) = self.clients().await;
        let filter = Filter::builder().name(filter.0).values(filter.1).build();
        let answer = ec2.describe_instances().filters(filter).send().await.unwrap();
        let instances = answer.reservations().iter().flat_map(Reservation::instances);
        let state = |instance: &Instance| instance.state()?.name().map(ToString::to_string);
        let mut states: Vec<String> = instances.filter_map(state).collect();
        states.sort();
        states
    }

    async fn suspended(&self) -> usize {
        let (_, scaling) = self.clients().await;
        let groups = scaling.describe_auto_scaling_groups().auto_scaling_group_names(MINERS).send().await.unwrap();
        groups.auto_scaling_groups()[0].suspended_processes().len()
    }

    pub async fn run(&self, unfilled: &Runbook) -> Summary {
        self.run_as(unfilled, case().as_str()).await
    }

    /// The same, as a case of its own.
    pub async fn run_as(&self, unfilled: &Runbook, case: &str) -> Summary {
        let case = RunId::new(case).unwrap();
        let known =
            [("account", self.facts.breached_account.to_string()), ("leaked_key", self.facts.leaked_key.to_string())];
        let given = known.into_iter().filter(|(name, _)| unfilled.inputs.contains_key(*name));
        let given: Vec<_> = given.map(|(name, value)| (name.to_owned(), value)).collect();
        let inputs = runbook::inputs::read(unfilled, &given, self.clock.now()).unwrap();
        let filled = runbook::resolve(unfilled, &inputs).unwrap();
        let engine = self.engine().await;
        let planned = engine.plan(&filled, &inputs, &case, self.clock.now(), &mut |_| {}).await.unwrap();
        self.carry_out(planned.plan, &case).await
    }

    async fn carry_out(&self, plan: Plan, run: &RunId) -> Summary {
        let journal = Journal::create(self.state.path(), run).unwrap();
        let (_never, stop) = watch::channel(false);
        let approver = Arc::new(Flags::new(Tier::ALL, "test"));
        let (engine, mut silent) = (self.engine().await, Silent);
        let run = Run::start(engine, journal, run.clone(), plan.into(), (approver, &mut silent, stop)).unwrap();
        run.execute().await.unwrap()
    }

    fn state_of(&self, run: &str) -> State {
        let run = RunId::new(run).unwrap();
        State::fold_all(&journal::read(self.state.path(), &run).unwrap().events).unwrap()
    }

    pub async fn take_back(&self) -> Summary {
        let plan = self.plan_back().await;
        self.carry_out(plan, &RunId::new("back-1").unwrap()).await
    }

    /// The plan that takes the run back.
    pub async fn plan_back(&self) -> Plan {
        let state = self.state_of(case().as_str());
        let caller = self.engine().await.sessions.caller().await.unwrap();
        rollback::plan(&state, caller, self.clock.now())
    }
}

pub async fn wait(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

pub fn shipped(name: &str) -> Runbook {
    let (_, text) = runbook::shipped().iter().find(|(shipped, _)| *shipped == name).unwrap();
    runbook::load(name, text, &actions::table().catalog()).unwrap().0
}

/// A runbook for the machines of the region that a predicate names.
fn on_those(lab: &Lab, predicate: &str, steps: &str) -> Runbook {
    let text = format!(
        "quell: 1\nname: test\ntitle: Some machines\n\
         targets: {{ accounts: [\"{}\"], regions: [{}], role: ir/IRResponder }}\n\
         sets: {{ rogue: {{ from: ec2.instances, where: {predicate} && state != \"terminated\" }} }}\n\
         steps:\n{steps}\n\
         until: {{ clean_sweeps: 2, every: 60s, at_most: 4, newcomers: contain }}\n",
        lab.facts.breached_account, lab.target.region
    );
    runbook::load("test", &text, &actions::table().catalog()).unwrap().0
}

#[tokio::test(start_paused = true)]
async fn a_group_that_goes_on_replaces_what_is_stopped() {
    let lab = Lab::new();
    lab.found_group().await;
    let summary = lab
        .run(&on_those(
            &lab,
            "autoscaling_group == \"miners\"",
            "  - { id: stop, uses: ec2.stop-instances, on: rogue }",
        ))
        .await;
    assert_ne!(summary.outcome, RunOutcome::Contained, "{summary:#?}");
    wait(300).await;
    let states = lab.states(OF_GROUP).await;
    assert!(!states.contains(&"stopped".to_owned()), "the group terminates what was stopped: {states:?}");
    assert_eq!(states.iter().filter(|state| *state == "running").count(), 3, "and launches others: {states:?}");
}

#[tokio::test(start_paused = true)]
async fn the_shipped_runbook_suspends_the_group_first_and_takes_it_back_last() {
    let lab = Lab::new();
    lab.found_group().await;
    let summary = lab.run(&shipped("rogue-instances")).await;
    assert_eq!(summary.outcome, RunOutcome::Contained, "{summary:#?}");
    wait(1800).await;
    assert_eq!(lab.states(OF_GROUP).await, ["stopped"; 3], "nothing was replaced, and no evidence was lost");
    assert_eq!(lab.suspended().await, 9);

    let back = lab.take_back().await;
    assert_eq!(back.outcome, RunOutcome::RolledBack, "{back:#?}");
    wait(600).await;
    assert_eq!(lab.states(OF_GROUP).await, ["running"; 3], "the same machines, none terminated");
    assert_eq!(lab.suspended().await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_group_is_one_change_for_all_its_machines_and_each_of_them_waits_for_it() {
    let lab = Lab::new();
    lab.found_group().await;
    let steps = "  - { id: launchers, uses: ec2.suspend-launchers, on: rogue }\n\
                 \x20 - { id: stop, uses: ec2.stop-instances, on: rogue, needs: [launchers] }";
    let runbook = on_those(&lab, "autoscaling_group == \"miners\"", steps);
    let engine = lab.engine().await;
    let planned = engine.plan(&runbook, &serde_json::Map::new(), &case(), lab.clock.now(), &mut |_| {}).await.unwrap();
    let suspended: Vec<_> = planned.plan.changes.iter().filter(|change| change.step.as_str() == "launchers").collect();
    assert_eq!(suspended.len(), 1);
    assert_eq!(suspended[0].members().count(), 3);
    lab.carry_out(planned.plan, &case()).await;
    wait(1800).await;
    assert_eq!(lab.states(OF_GROUP).await, ["stopped"; 3], "no machine was stopped before the group stood still");
}

#[tokio::test(start_paused = true)]
async fn a_group_that_cannot_be_looked_at_keeps_its_own_machines_only_from_being_stopped() {
    let lab = Lab::new();
    lab.found_group().await;
    lab.sim.set_faults(vec!["autoscaling:DescribeAutoScalingGroups=deny".parse().unwrap()]);
    let summary = lab.run(&shipped("rogue-instances")).await;
    assert_eq!(summary.outcome, RunOutcome::CoverageIncomplete, "{summary:#?}");
    assert_eq!(lab.states(OF_GROUP).await, ["running"; 3], "the group would end what is stopped, and launch others");
    let rogue = &lab.facts.machines["rogue"];
    let here = rogue.iter().find(|machine| machine.region == lab.target.region).unwrap();
    assert_eq!(lab.states(("instance-id", &here.id)).await, ["stopped"]);

    lab.sim.set_faults(Vec::new());
    let again = lab.run_as(&shipped("rogue-instances"), "case-2").await;
    assert_eq!(again.outcome, RunOutcome::Contained, "{again:#?}");
    assert_eq!(lab.states(OF_GROUP).await, ["stopped"; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_somebody_terminated_meanwhile_is_named_on_the_way_back_and_holds_up_nothing() {
    let lab = Lab::new();
    lab.found_group().await;
    let summary = lab.run(&shipped("rogue-instances")).await;
    assert_eq!(summary.outcome, RunOutcome::Contained, "{summary:#?}");
    let (ec2, _) = lab.clients().await;
    let of_group = Filter::builder().name(OF_GROUP.0).values(OF_GROUP.1).build();
    let answer = ec2.describe_instances().filters(of_group).send().await.unwrap();
    let one = answer.reservations()[0].instances()[0].instance_id().unwrap();
    let open = AttributeBooleanValue::builder().value(false).build();
    ec2.modify_instance_attribute().instance_id(one).disable_api_termination(open).send().await.unwrap();
    ec2.terminate_instances().instance_ids(one).send().await.unwrap();
    wait(300).await;

    let back = lab.take_back().await;
    assert_eq!((back.outcome, back.changes.failed), (RunOutcome::Incomplete, 0), "{back:#?}");
    assert!(back.seconds.prove < 120.0, "nobody waits for what does not come back: {back:#?}");
    let taken_back = lab.state_of("back-1");
    let drifted = taken_back.changes().iter().filter_map(|tracked| match &tracked.progress {
        Progress::Ended(Outcome::Drifted { why }) => Some((tracked.change.step.as_str(), why.as_str())),
        _ => None,
    });
    let drifted: std::collections::BTreeMap<&str, &str> = drifted.collect();
    assert!(drifted["stop"].contains("it is terminated") && drifted["stop"].contains("snapshots"), "{drifted:?}");
    assert!(drifted["protect"].contains("it is terminated"), "{drifted:?}");
    wait(600).await;
    assert_eq!(lab.states(OF_GROUP).await.iter().filter(|state| *state == "running").count(), 3);
}

#[tokio::test(start_paused = true)]
async fn terminating_the_machine_of_a_live_request_brings_another() {
    let lab = Lab::new();
    lab.request_spot().await;
    let (ec2, _) = lab.clients().await;
    let spot = Filter::builder().name(SPOT.0).values(SPOT.1).build();
    let first = ec2.describe_instances().filters(spot).send().await.unwrap();
    let first = first.reservations()[0].instances()[0].instance_id().unwrap();
    ec2.terminate_instances().instance_ids(first).send().await.unwrap();
    wait(300).await;
    assert_eq!(lab.states(SPOT).await, ["running", "terminated"]);
}

#[tokio::test(start_paused = true)]
async fn a_persistent_request_is_stopped_then_cancelled_then_its_machine_terminated() {
    let lab = Lab::new();
    lab.request_spot().await;
    let steps = "  - { id: evidence, uses: ec2.snapshot-volumes, on: rogue }\n\
                 \x20 - { id: stop, uses: ec2.stop-instances, on: rogue, needs: [evidence] }\n\
                 \x20 - { id: cancel, uses: ec2.cancel-spot-requests, on: rogue, needs: [stop] }\n\
                 \x20 - { id: end, uses: ec2.terminate-instances, on: rogue, needs: [evidence, cancel] }";
    let summary = lab.run(&on_those(&lab, "lifecycle == \"spot\"", steps)).await;
    assert_eq!(summary.outcome, RunOutcome::Contained, "{summary:#?}");
    wait(1800).await;
    assert_eq!(lab.states(SPOT).await, ["terminated"], "and no other");
}

#[tokio::test(start_paused = true)]
async fn a_stopped_machine_of_a_persistent_request_stays_stopped() {
    let lab = Lab::new();
    lab.request_spot().await;
    let summary = lab.run(&shipped("rogue-instances")).await;
    assert_eq!(summary.outcome, RunOutcome::Contained, "{summary:#?}");
    wait(1800).await;
    assert_eq!(lab.states(SPOT).await, ["stopped"]);
    let back = lab.take_back().await;
    assert_eq!(back.outcome, RunOutcome::RolledBack, "{back:#?}");
    assert_eq!(lab.states(SPOT).await, ["running"]);
}

#[tokio::test(start_paused = true)]
async fn fleets_are_emptied_before_their_machines_end_and_refilled_on_the_way_back() {
    let lab = Lab::new();
    lab.found_fleets().await;
    let steps = "  - { id: launchers, uses: ec2.suspend-launchers, on: rogue }\n\
                 \x20 - { id: end, uses: ec2.terminate-instances, on: rogue, needs: [launchers], \
                 with: { evidence: waived } }";
    let summary = lab.run(&on_those(&lab, "lifecycle == \"spot\"", steps)).await;
    assert_eq!(summary.outcome, RunOutcome::Contained, "{summary:#?}");
    wait(1800).await;
    assert_eq!(lab.states(SPOT).await, ["terminated"; 4], "two of each kind, and no others");

    lab.take_back().await;
    wait(300).await;
    let running = lab.states(SPOT).await.into_iter().filter(|state| state == "running").count();
    assert_eq!(running, 4, "both have their capacity back");
}
