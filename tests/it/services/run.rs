//! A runbook's whole run over a lab, and the way back.

use std::sync::Arc;
use std::time::Duration;

use quell::approval::Flags;
use quell::engine::ports::{Access, Reporter, Sessions as _};
use quell::engine::rollback;
use quell::engine::run::Run;
use quell::engine::state::State;
use quell::journal::{self, Journal};
use quell::model::{Event, Plan, RunId, Summary, Tier};
use quell::runbook;
use quell::sim::organizations::{Policy, PolicyType};
use serde_json::Map;
use tokio::sync::watch;

use crate::actions::{Lab, case};

/// A lab in which runbooks are carried out.
pub struct Runs {
    pub lab: Lab,
    state: tempfile::TempDir,
}

struct Silent;

impl Reporter for Silent {
    fn event(&mut self, _: &Event) {}
}

impl Runs {
    pub async fn new() -> Self {
        Self { lab: Lab::new().await, state: tempfile::tempdir().unwrap() }
    }

    /// The responder's configuration, where the intruder's first machine is.
    pub async fn sdk(&self) -> aws_types::SdkConfig {
        self.lab.enter(&self.lab.region(), Access::Write).await.sdk
    }

    /// The intruder's, in the same place.
    pub async fn intruder(&self) -> aws_types::SdkConfig {
        let keys = aws_credential_types::provider::SharedCredentialsProvider::new(self.lab.attacker.clone());
        self.sdk().await.to_builder().credentials_provider(keys).build()
    }

    /// Carries these sets and steps out, in these regions.
    pub async fn contain(&self, regions: &str, rest: &str) -> Summary {
        let text = format!(
            "quell: 1\nname: test\ntitle: A service\n\
             targets: {{ accounts: [\"{}\"], regions: {regions}, role: ir/IRResponder }}\n{rest}\n\
             until: {{ clean_sweeps: 2, every: 60s, at_most: 4, newcomers: contain }}\n",
            self.lab.facts.breached_account
        );
        let (runbook, _) = runbook::load("test", &text, &self.lab.table.catalog()).unwrap();
        let planned = self.lab.engine().plan(&runbook, &Map::new(), &case(), self.lab.sim.now(), &mut |_| {}).await;
        self.carry_out(planned.unwrap().plan, &case()).await
    }

    pub async fn take_back(&self) -> Summary {
        let state = State::fold_all(&journal::read(self.state.path(), &case()).unwrap().events).unwrap();
        let plan = rollback::plan(&state, self.lab.sessions.caller().await.unwrap(), self.lab.sim.now());
        self.carry_out(plan, &RunId::new("back-1").unwrap()).await
    }

    async fn carry_out(&self, plan: Plan, run: &RunId) -> Summary {
        let journal = Journal::create(self.state.path(), run).unwrap();
        let (_never, stop) = watch::channel(false);
        let approver = Arc::new(Flags::new(Tier::ALL, "test"));
        let mut silent = Silent;
        let run = Run::start(self.lab.engine(), journal, run.clone(), plan.into(), (approver, &mut silent, stop));
        run.unwrap().execute().await.unwrap()
    }

    /// Closes the account to everybody but the responders, by the organisation.
    pub fn close_account(&self) {
        self.lab.sim.change(|world| {
            let organization = world.organization.as_mut().unwrap();
            let content = quell::policy::deny_all_except_roles(&["arn:aws:iam::*:role/ir/IRResponder"]);
            let (name, description, tags) = ("close".to_owned(), String::new(), std::collections::BTreeMap::new());
            let kind = PolicyType::ServiceControl;
            let policy = Policy { name, description, kind, content, aws_managed: false, tags };
            organization.policies.insert("p-close".to_owned(), policy);
            organization.attach(self.lab.facts.breached_account.as_str(), "p-close");
        });
    }
}

pub async fn wait(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}
