//! A shipped runbook in a small world, ready to be run.

use aws_credential_types::Credentials;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::shape::{Known, Shape};
use super::trial::Trial;
use crate::cli::error::Failure;
use crate::cli::rehearsal;
use crate::model::Runbook;
use crate::runbook;
use crate::sim::scenario::Scenario;
use crate::sim::world::World;

/// The day of every self-test: the same seed gives the same worlds on every day.
const DAY: &str = "2026-03-03T18:00:00Z";

/// A runbook in a world in which everything is ready.
#[derive(Debug)]
pub struct Stage {
    /// The name of the runbook.
    pub name: String,
    /// The runbook, filled in.
    pub runbook: Runbook,
    /// Its inputs.
    pub inputs: Map<String, Value>,
    /// The account that was broken into.
    pub account: crate::model::AccountId,
    world: World,
    at: Timestamp,
    responder: Credentials,
    known: Known,
    before: Shape,
}

impl Stage {
    /// Sets the shipped runbook of this name in the world of a scenario.
    ///
    /// # Errors
    /// Where there is no such runbook or scenario.
    pub fn of(name: &str, scenario: &str, seed: u64) -> Result<Self, Failure> {
        let today = DAY.parse().map_err(Failure::failed)?;
        let built = Scenario::named(scenario).and_then(|told| told.build(seed, today)).map_err(Failure::usage)?;
        let text = runbook::shipped().iter().find(|(shipped, _)| *shipped == name).map(|(_, text)| *text);
        let text = text.ok_or_else(|| Failure::usage(format!("there is no shipped runbook `{name}`")))?;
        let (loaded, _) = runbook::load(name, text, &crate::actions::table().catalog()).map_err(Failure::usage)?;
        let given = rehearsal::inputs(&loaded, &built.facts, &[]);
        let inputs = runbook::inputs::read(&loaded, &given, built.begins).map_err(Failure::usage)?;
        let runbook = runbook::resolve(&loaded, &inputs).map_err(Failure::usage)?;
        let responder = rehearsal::responder(&built);
        let dump = json!(built.world);
        let known = Known::of(&dump);
        let before = known.shape(&dump);
        let account = built.facts.breached_account;
        let (world, at) = (built.world, built.begins);
        Ok(Self { name: name.to_owned(), runbook, inputs, account, world, at, responder, known, before })
    }

    /// The same without a sweep after the run, for what no sweep has a part in.
    #[must_use]
    pub fn without_sweeps(mut self) -> Self {
        self.runbook.until.clean_sweeps = 0;
        self
    }

    /// A trial that begins with the stage's world. Must be called inside a tokio runtime.
    pub async fn trial(&self) -> Result<Trial<'_>, Failure> {
        self.trial_from((self.world.clone(), self.at)).await
    }

    /// A trial that begins with another state of it.
    pub async fn trial_from(&self, world: (World, Timestamp)) -> Result<Trial<'_>, Failure> {
        Trial::begin(self, world, (self.responder.clone(), self.at)).await
    }

    /// The world before anything was done.
    pub fn before(&self) -> &Shape {
        &self.before
    }

    /// What a state of the world looks like.
    pub fn shape(&self, world: &World) -> Shape {
        self.known.shape(&json!(world))
    }
}
