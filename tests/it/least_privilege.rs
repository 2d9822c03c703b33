//! The policy that `quell policy` prints: enough for the runbook and the way back, and hardly more.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use jiff::SignedDuration;
use quell::approval::Flags;
use quell::cli::policy::{Holder, Rollback, policy};
use quell::cloud::{CloudSessions, Options};
use quell::engine::ports::{Access, Clock as _, Reporter, TokioClock};
use quell::engine::run::Run;
use quell::engine::state::State;
use quell::engine::survey::SurveyError;
use quell::engine::{Engine, Planned, rollback};
use quell::journal::{self, Journal};
use quell::model::{Event, EventKind, Outcome, Plan, Role, RunId, RunOutcome, Runbook, Summary, Target, Tier};
use quell::sim::Sim;
use quell::sim::log::Entry;
use quell::sim::scenario::{Facts, Scenario};
use quell::{actions, runbook};
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use crate::binary::{differences, forget};

/// What the responders may do: the user that calls, and the role that it enters in every account.
struct Allowed {
    caller: Value,
    role: Value,
}

/// A small breached organisation whose responders may do what they are allowed and nothing else.
struct Lab {
    sim: Sim,
    clock: TokioClock,
    facts: Facts,
    credentials: SharedCredentialsProvider,
    state: tempfile::TempDir,
}

struct Silent;

impl Reporter for Silent {
    fn event(&mut self, _: &Event) {}
}

impl Lab {
    fn with(allowed: &Allowed) -> Self {
        let scenario = Scenario::named("cryptojack-small").unwrap();
        let built = scenario.build(1, "2026-03-03T18:00:00Z".parse().unwrap()).unwrap();
        let clock = TokioClock::starting_at(built.begins);
        let sim = Sim::new(built.world, move || clock.now());
        sim.set_latency(Duration::from_millis(80));
        sim.change(|world| world.settings.stop = SignedDuration::ZERO);
        let responder = &built.credentials["responder"];
        let (id, secret) = (responder.access_key_id.as_str(), responder.secret_access_key.0.clone());
        let credentials = SharedCredentialsProvider::new(Credentials::new(id, secret, None, None, "scenario"));
        let lab = Self { sim, clock, facts: built.facts, credentials, state: tempfile::tempdir().unwrap() };
        lab.allow(allowed);
        lab
    }

    /// Gives the responders these policies in the place of all others.
    fn allow(&self, allowed: &Allowed) {
        self.sim.change(|world| {
            for account in world.accounts.values_mut() {
                let user = account.iam.users.get_mut("noa.lindqvist").map(|user| &mut user.policies);
                let role = account.iam.roles.get_mut("IRResponder").map(|role| &mut role.policies);
                for (held, policy) in [(user, &allowed.caller), (role, &allowed.role)] {
                    let Some(held) = held else { continue };
                    held.managed.clear();
                    held.inline = [("Quell".to_owned(), policy.to_string())].into();
                }
            }
        });
    }

    /// The same lab, with a session of the role in the breached account as the caller.
    async fn in_role(mut self) -> Self {
        let sessions = self.engine(&case()).await.sessions;
        sessions.assume(Some(&Role { name: "ir/IRResponder".into(), external_id: None, source_identity: None }));
        let cx = sessions.enter(&Target::global(self.facts.breached_account.clone()), Access::Read).await.unwrap();
        let keys = cx.sdk.credentials_provider().unwrap().provide_credentials().await.unwrap();
        self.credentials = SharedCredentialsProvider::new(keys);
        self
    }

    async fn engine(&self, case: &RunId) -> Engine {
        let options = Options {
            profile: None,
            region: Some("us-east-1".into()),
            http: Some(self.sim.http_client()),
            credentials: Some(self.credentials.clone()),
            endpoint_url: None,
            evidence: None,
            clock: Arc::new(self.clock),
            case: case.clone(),
            now: self.clock.now(),
        };
        let sessions = CloudSessions::new(options).await.unwrap();
        Engine { sessions: Arc::new(sessions), table: actions::table(), clock: Arc::new(self.clock) }
    }

    /// What the scenario knows, for the inputs of a runbook.
    fn inputs(&self, unfilled: &Runbook) -> Map<String, Value> {
        let rogue: Vec<&str> = self.facts.machines["rogue"].iter().map(|machine| machine.id.as_str()).collect();
        let known = [
            ("leaked_key", self.facts.leaked_key.to_string()),
            ("account", self.facts.breached_account.to_string()),
            ("instances", rogue.join(",")),
        ];
        let given = known.into_iter().filter(|(name, _)| unfilled.inputs.contains_key(*name));
        let given: Vec<_> = given.map(|(name, value)| (name.to_owned(), value)).collect();
        runbook::inputs::read(unfilled, &given, self.clock.now()).unwrap()
    }

    async fn plan(&self, unfilled: &Runbook, case: &RunId) -> Result<Planned, SurveyError> {
        let inputs = self.inputs(unfilled);
        let filled = runbook::resolve(unfilled, &inputs).unwrap();
        self.engine(case).await.plan(&filled, &inputs, case, self.clock.now(), &mut |_| {}).await
    }

    /// Carries a plan out. `case` is the run whose evidence it works with, `run` the run itself.
    async fn carry_out(&self, plan: Plan, case: &RunId, run: &RunId) -> Summary {
        let journal = Journal::create(self.state.path(), run).unwrap();
        let (_never, stop) = watch::channel(false);
        let approver = Arc::new(Flags::new([Tier::Reversible, Tier::Disruptive], "test"));
        let (engine, mut silent) = (self.engine(case).await, Silent);
        let run = Run::start(engine, journal, run.clone(), plan.into(), (approver, &mut silent, stop)).unwrap();
        run.execute().await.unwrap()
    }

    /// Takes a run back.
    async fn take_back(&self, undone: &RunId) -> Summary {
        let state = State::fold_all(&journal::read(self.state.path(), undone).unwrap().events).unwrap();
        let caller = self.engine(undone).await.sessions.caller().await.unwrap();
        let plan = rollback::plan(&state, caller, self.clock.now());
        self.carry_out(plan, undone, &RunId::new("back-1").unwrap()).await
    }

    fn world(&self) -> Value {
        let mut world = json!(self.sim.world());
        forget(&mut world, "last_used");
        world
    }

    /// Requests that were refused for want of a permission.
    fn denied(&self) -> Vec<Entry> {
        let codes = ["AccessDenied", "AccessDeniedException", "UnauthorizedOperation"];
        self.sim.log().into_iter().filter(|entry| codes.contains(&entry.outcome.as_str())).collect()
    }

    /// The IAM actions of all requests so far.
    fn used(&self) -> BTreeSet<String> {
        self.sim.log().iter().map(|entry| format!("{}:{}", entry.service, entry.operation)).collect()
    }
}

fn case() -> RunId {
    RunId::new("case-1").unwrap()
}

/// A shipped runbook, as it is shipped.
fn shipped(name: &str) -> Runbook {
    let (_, text) = runbook::shipped().iter().find(|(shipped, _)| *shipped == name).unwrap();
    runbook::load(name, text, &actions::table().catalog()).unwrap().0
}

/// What `quell policy --with-rollback --for …` prints.
fn printed(unfilled: &Runbook, holder: Holder) -> Value {
    policy(unfilled, &actions::table().catalog(), Rollback::Included, holder)
}

/// What is printed for the caller and for the role.
fn both(unfilled: &Runbook) -> Allowed {
    Allowed { caller: printed(unfilled, Holder::Caller), role: printed(unfilled, Holder::Role) }
}

/// The actions that a policy allows.
fn actions_of(policy: &Value) -> BTreeSet<String> {
    let statements = policy["Statement"].as_array().unwrap();
    let actions = statements.iter().flat_map(|statement| match &statement["Action"] {
        Value::Array(actions) => actions.clone(),
        action => vec![action.clone()],
    });
    actions.map(|action| action.as_str().unwrap().to_owned()).collect()
}

/// The policy without some actions.
fn without(policy: &Value, taken: &[&str]) -> Value {
    let mut policy = policy.clone();
    let statements = policy["Statement"].as_array_mut().unwrap();
    for statement in statements.iter_mut() {
        match &mut statement["Action"] {
            Value::Array(actions) => actions.retain(|action| !taken.contains(&action.as_str().unwrap())),
            action if taken.contains(&action.as_str().unwrap()) => *action = json!([]),
            _ => {}
        }
    }
    statements.retain(|statement| statement["Action"] != json!([]));
    policy
}

/// What does not come back, and says so: evidence, start times, automatic addresses, a password.
fn is_lost(path: &str) -> bool {
    let ends = ["/launch_time", "/public_ip", "/public_dns_name", "/state_transition_reason"];
    path.contains("/snapshots/") || path.contains("/login_profile") || ends.iter().any(|end| path.contains(end))
}

/// Plans, contains and takes back, without a finding, without a refusal, and with nothing left behind.
async fn contain_and_take_back(lab: &Lab, unfilled: &Runbook) {
    let (name, before) = (&unfilled.name, lab.world());
    let planned = lab.plan(unfilled, &case()).await.unwrap();
    assert_eq!(planned.plan.findings, [], "{name}");
    let ended = lab.carry_out(planned.plan, &case(), &case()).await;
    assert_eq!(ended.outcome, RunOutcome::Contained, "{name}: {ended:#?}");
    let back = lab.take_back(&case()).await;
    assert_eq!(back.outcome, RunOutcome::RolledBack, "{name}: {back:#?}");
    assert_eq!(lab.denied(), [], "{name}");
    let differences = differences(&before, &lab.world());
    let unexpected: Vec<_> = differences.iter().filter(|(path, ..)| !is_lost(path)).collect();
    assert!(unexpected.is_empty(), "{name}: {unexpected:#?}");
}

/// What a policy allows and a run in the scenario does not ask for by name, and why it is allowed all the same.
const FOR_OTHER_WAYS: &[(&str, &[&str])] = &[
    // Predicates about an image's owner.
    ("", &["ec2:DescribeImages"]),
    // Where Account Management does not say which regions are enabled; the role of a caller that is a session.
    ("", &["ec2:DescribeRegions", "iam:GetRole"]),
    // The right to tag, which CreatePolicy, CreateSnapshots and CreateSecurityGroup demand for what they tag.
    ("", &["ec2:CreateTags", "organizations:TagResource"]),
    // Runbooks that look in more accounts where they are told so.
    (
        "",
        &[
            "organizations:ListAccounts",
            "organizations:ListAccountsForParent",
            "organizations:ListOrganizationalUnitsForParent",
        ],
    ),
    // Spot machines.
    ("ec2.stop-instances", &["ec2:DescribeSpotInstanceRequests"]),
    // Machines of an Auto Scaling group or a fleet.
    (
        "ec2.suspend-launchers",
        &[
            "autoscaling:DescribeAutoScalingGroups",
            "autoscaling:ResumeProcesses",
            "autoscaling:SuspendProcesses",
            "ec2:DescribeFleets",
            "ec2:DescribeSpotFleetRequests",
            "ec2:ModifyFleet",
            "ec2:ModifySpotFleetRequest",
        ],
    ),
    // Services and tasks in clusters, of which there are none.
    (
        "ecs.stop",
        &[
            "ecs:DescribeServices",
            "ecs:DescribeTasks",
            "ecs:ListServices",
            "ecs:ListTasks",
            "ecs:StopTask",
            "ecs:UpdateService",
        ],
    ),
    // Workloads of machine learning, of which there are none.
    (
        "sagemaker.stop",
        &[
            "sagemaker:AddTags",
            "sagemaker:CreateApp",
            "sagemaker:CreateEndpoint",
            "sagemaker:DeleteApp",
            "sagemaker:DeleteEndpoint",
            "sagemaker:DescribeApp",
            "sagemaker:DescribeAutoMLJob",
            "sagemaker:DescribeEndpoint",
            "sagemaker:DescribeEndpointConfig",
            "sagemaker:DescribeHyperParameterTuningJob",
            "sagemaker:DescribeNotebookInstance",
            "sagemaker:DescribeProcessingJob",
            "sagemaker:DescribeTrainingJob",
            "sagemaker:DescribeTransformJob",
            "sagemaker:ListTags",
            "sagemaker:StartNotebookInstance",
            "sagemaker:StopAutoMLJob",
            "sagemaker:StopHyperParameterTuningJob",
            "sagemaker:StopNotebookInstance",
            "sagemaker:StopProcessingJob",
            "sagemaker:StopTrainingJob",
            "sagemaker:StopTransformJob",
        ],
    ),
    // Functions, of which there are none.
    (
        "lambda.stop",
        &[
            "lambda:AddPermission",
            "lambda:DeleteFunctionConcurrency",
            "lambda:DeleteProvisionedConcurrencyConfig",
            "lambda:GetEventSourceMapping",
            "lambda:GetFunction",
            "lambda:GetFunctionConcurrency",
            "lambda:GetFunctionUrlConfig",
            "lambda:GetPolicy",
            "lambda:ListAliases",
            "lambda:ListEventSourceMappings",
            "lambda:ListFunctionUrlConfigs",
            "lambda:ListProvisionedConcurrencyConfigs",
            "lambda:ListTags",
            "lambda:ListVersionsByFunction",
            "lambda:PutFunctionConcurrency",
            "lambda:PutProvisionedConcurrencyConfig",
            "lambda:RemovePermission",
            "lambda:UpdateEventSourceMapping",
            "lambda:UpdateFunctionUrlConfig",
        ],
    ),
    // An isolation group that somebody opened; connections that are to be cut.
    ("ec2.isolate", &["ec2:RevokeSecurityGroupIngress", "ec2:AuthorizeSecurityGroupIngress"]),
    // Builds, services and apps, of which the scenario has none.
    (
        "codebuild.stop-builds",
        &[
            "codebuild:BatchGetBuilds",
            "codebuild:BatchGetProjects",
            "codebuild:CreateWebhook",
            "codebuild:DeleteWebhook",
            "codebuild:ListBuildBatchesForProject",
            "codebuild:ListBuildsForProject",
            "codebuild:StopBuild",
            "codebuild:StopBuildBatch",
            "codebuild:UpdateWebhook",
        ],
    ),
    ("codebuild.shrink-fleets", &["codebuild:BatchGetFleets", "codebuild:UpdateFleet"]),
    (
        "apprunner.pause",
        &[
            "apprunner:DescribeService",
            "apprunner:ListTagsForResource",
            "apprunner:PauseService",
            "apprunner:ResumeService",
        ],
    ),
    (
        "amplify.stop-builds",
        &[
            "amplify:CreateWebhook",
            "amplify:DeleteWebhook",
            "amplify:ListBranches",
            "amplify:ListJobs",
            "amplify:ListWebhooks",
            "amplify:StopJob",
            "amplify:UpdateApp",
            "amplify:UpdateBranch",
        ],
    ),
    // Glue's jobs and sessions, of which the scenario has none.
    (
        "glue.stop-jobs",
        &[
            "glue:BatchStopJobRun",
            "glue:GetJobRuns",
            "glue:GetTags",
            "glue:GetTriggers",
            "glue:StartTrigger",
            "glue:StopTrigger",
        ],
    ),
    ("glue.stop-sessions", &["glue:StopSession"]),
    // A key that led to roles; and where no event history says so, the policies that would have let it.
    (
        "iam.revoke-sessions",
        &[
            "iam:DeleteRolePolicy",
            "iam:GetAccountAuthorizationDetails",
            "iam:GetRolePolicy",
            "iam:GetUserPolicy",
            "iam:PutRolePolicy",
            "iam:PutUserPolicy",
            "iam:DeleteUserPolicy",
        ],
    ),
    // A region with queues or environments.
    ("batch.stop", &["batch:ListJobs", "batch:TerminateJob", "batch:UpdateJobQueue", "batch:UpdateComputeEnvironment"]),
    // Instances and container services, and regions without Lightsail where none of those is enabled.
    (
        "lightsail.stop",
        &[
            "lightsail:GetInstance",
            "lightsail:StartInstance",
            "lightsail:StopInstance",
            "lightsail:UpdateContainerService",
        ],
    ),
    // Trust anchors and profiles, of which there are none.
    (
        "rolesanywhere.disable",
        &[
            "rolesanywhere:DisableProfile",
            "rolesanywhere:DisableTrustAnchor",
            "rolesanywhere:EnableProfile",
            "rolesanywhere:EnableTrustAnchor",
            "rolesanywhere:ListTagsForResource",
        ],
    ),
    // A region with clusters.
    (
        "emr.terminate",
        &[
            "elasticmapreduce:DescribeCluster",
            "elasticmapreduce:SetTerminationProtection",
            "elasticmapreduce:TerminateJobFlows",
        ],
    ),
    // Machines that somebody terminated meanwhile: their volumes one by one.
    ("ec2.snapshot-volumes", &["ec2:CreateSnapshot", "ec2:DescribeVolumes"]),
    // Roles that the key made or opened.
    ("iam.close-trust", &["iam:UpdateAssumeRolePolicy"]),
    // A user with as many attached policies as can be: an inline policy, and with as many of those, a boundary. Principals
    // that the key led to may be roles.
    (
        "iam.deny-all",
        &[
            "iam:AttachRolePolicy",
            "iam:DeleteRolePermissionsBoundary",
            "iam:DetachRolePolicy",
            "iam:ListAttachedRolePolicies",
            "iam:PutRolePermissionsBoundary",
            "iam:DeleteUserPermissionsBoundary",
            "iam:DeleteUserPolicy",
            "iam:PutUserPermissionsBoundary",
            "iam:PutUserPolicy",
        ],
    ),
];

#[tokio::test(start_paused = true)]
async fn the_printed_policies_are_enough_and_hardly_more() {
    for (name, _) in runbook::shipped() {
        let unfilled = shipped(name);
        let allowed = both(&unfilled);
        let lab = Lab::with(&allowed);
        Box::pin(contain_and_take_back(&lab, &unfilled)).await;

        let uses = |action: &str| action.is_empty() || unfilled.steps.iter().any(|step| step.uses.as_str() == action);
        let excused: BTreeSet<&str> =
            FOR_OTHER_WAYS.iter().filter(|(action, _)| uses(action)).flat_map(|(_, ways)| *ways).copied().collect();
        let used = lab.used();
        for policy in [&allowed.caller, &allowed.role] {
            let actions = actions_of(policy);
            let idle: Vec<_> = actions.iter().filter(|action| !used.contains(*action)).collect();
            let unexplained: Vec<_> = idle.iter().filter(|action| !excused.contains(action.as_str())).collect();
            assert!(unexplained.is_empty(), "{name}: {unexplained:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_whole_policy_is_enough_for_a_role_in_its_own_account() {
    let unfilled = shipped("rogue-instances");
    let role = printed(&unfilled, Holder::Both);
    let enter = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*" },
    ] });
    let lab = Lab::with(&Allowed { caller: enter, role }).in_role().await;
    Box::pin(contain_and_take_back(&lab, &unfilled)).await;
    assert!(lab.used().contains("iam:GetRole"), "its path is asked for");
}

/// All that a plan says about what is missing: its findings, its blind spots, or why there is none.
async fn complaints(lab: &Lab, unfilled: &Runbook) -> String {
    // The budgets of the plan before are full again.
    tokio::time::sleep(Duration::from_mins(1)).await;
    match lab.plan(unfilled, &case()).await {
        Ok(Planned { plan, .. }) => format!("{}{}", json!(plan.findings), json!(plan.coverage)),
        Err(error) => error.to_string(),
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_named_before_anything_is_changed() {
    let unfilled = shipped("cryptojack");
    let whole = both(&unfilled);
    let lab = Lab::with(&whole);
    assert!(!complaints(&lab, &unfilled).await.contains("ec2:"), "nothing is missing");
    let missing = [
        (Holder::Caller, "sts:AssumeRole"),
        (Holder::Caller, "sts:GetAccessKeyInfo"),
        (Holder::Caller, "organizations:ListPolicies"),
        (Holder::Caller, "organizations:TagResource"),
        (Holder::Caller, "iam:SimulatePrincipalPolicy"),
        (Holder::Role, "iam:SimulatePrincipalPolicy"),
        (Holder::Role, "iam:GetUser"),
        (Holder::Role, "iam:UpdateAccessKey"),
        (Holder::Role, "ec2:DescribeInstances"),
        (Holder::Role, "ec2:StopInstances"),
    ];
    let before = lab.world();
    for (holder, action) in missing {
        let Allowed { mut caller, mut role } = both(&unfilled);
        let policy = if holder == Holder::Caller { &mut caller } else { &mut role };
        *policy = without(policy, &[action]);
        lab.allow(&Allowed { caller, role });
        let said = complaints(&lab, &unfilled).await;
        assert!(said.contains(action), "{action} of {holder:?} is not in: {said}");
    }
    lab.allow(&whole);
    assert!(differences(&before, &lab.world()).is_empty());

    // One way to the regions is enough.
    for action in ["account:ListRegions", "ec2:DescribeRegions"] {
        lab.allow(&Allowed { role: without(&whole.role, &[action]), ..both(&unfilled) });
        assert!(!complaints(&lab, &unfilled).await.contains("not authorized"), "{action}");
    }
    let none = without(&whole.role, &["account:ListRegions", "ec2:DescribeRegions"]);
    lab.allow(&Allowed { role: none, ..both(&unfilled) });
    let said = complaints(&lab, &unfilled).await;
    assert!(said.contains("could not tell whether the region is enabled"), "{said}");
}

/// What a run without one right of its role or caller ended with, and the errors of its changes.
async fn run_without(name: &str, action: &str) -> (RunOutcome, String) {
    let unfilled = shipped(name);
    let Allowed { caller, role } = both(&unfilled);
    let lab = Lab::with(&Allowed { caller: without(&caller, &[action]), role: without(&role, &[action]) });
    let planned = lab.plan(&unfilled, &case()).await.unwrap();
    let mut ended = lab.carry_out(planned.plan, &case(), &case()).await;
    let mut last = case();
    if ended.outcome == RunOutcome::Contained {
        ended = lab.take_back(&case()).await;
        last = RunId::new("back-1").unwrap();
    }
    let events = journal::read(lab.state.path(), &last).unwrap().events;
    let failed = events.iter().filter_map(|event| match &event.kind {
        EventKind::ChangeEnded { outcome: Outcome::Failed { error }, .. } => Some(error.to_string()),
        _ => None,
    });
    (ended.outcome, failed.collect())
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_in_a_run_or_a_rollback_is_named() {
    let missing = [
        ("rogue-instances", "ec2:StopInstances"),
        ("rogue-instances", "ec2:CreateTags"),
        ("quarantine-account", "organizations:TagResource"),
        ("preserve-evidence", "ec2:DeleteTags"),
    ];
    for (name, action) in missing {
        let (outcome, said) = Box::pin(run_without(name, action)).await;
        assert_eq!(outcome, RunOutcome::Incomplete, "{action}");
        assert!(said.contains(&format!("not authorized to perform: {action}")), "{action} is not in: {said}");
    }
}
