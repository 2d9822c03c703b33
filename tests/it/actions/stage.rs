//! A stage: the smallest world in which an action has something to change.

use std::future::Future;
use std::pin::Pin;

use quell::model::{Runbook, Target};
use quell::runbook;
use serde_json::{Value, json};

use super::lab::Lab;

/// An action, and how to make something that it can change.
#[derive(Clone, Copy)]
pub struct Stage {
    /// Its name.
    pub action: &'static str,
    /// What it is tried on.
    pub on: &'static str,
    /// Makes that in a new lab, and says where it is.
    pub set_up: for<'a> fn(&'a Lab) -> Setting<'a>,
}

/// A scene in the making.
pub type Setting<'a> = Pin<Box<dyn Future<Output = Scene> + 'a>>;

/// What a runbook has to say to find what was set up.
pub struct Scene {
    target: Target,
    set: Option<String>,
    with: Value,
}

impl Scene {
    /// What an account has only once; `set` is the set as it stands in a runbook.
    pub fn in_account(lab: &Lab, set: impl Into<String>) -> Self {
        Self { target: lab.global(), set: Some(set.into()), with: json!({}) }
    }

    /// What is in the region of the intruder's first machine.
    pub fn in_region(lab: &Lab, set: impl Into<String>) -> Self {
        Self { target: lab.region(), ..Self::in_account(lab, set) }
    }

    /// The same somewhere else.
    #[must_use]
    pub fn at(self, target: Target) -> Self {
        Self { target, ..self }
    }

    /// The account itself.
    pub fn account(lab: &Lab) -> Self {
        Self { target: lab.global(), set: None, with: json!({}) }
    }

    /// The parameters of the step.
    #[must_use]
    pub fn with(self, with: Value) -> Self {
        Self { with, ..self }
    }

    /// The runbook with this one step.
    pub fn runbook(&self, lab: &Lab, action: &str) -> Runbook {
        let region = if self.target.region.is_global() { "us-east-1" } else { self.target.region.as_str() };
        let (set, on) = match &self.set {
            Some(set) => (format!("members: {set}"), ", on: members"),
            None => (String::new(), ""),
        };
        let text = format!(
            "quell: 1\nname: one-step\ntitle: One step\n\
             targets: {{ accounts: [\"{}\"], regions: [{region}], role: ir/IRResponder }}\n\
             sets: {{ {set} }}\n\
             steps: [{{ id: step, uses: {action}{on}, with: {} }}]\n\
             until: {{ clean_sweeps: 1, every: 10s, at_most: 3, newcomers: report }}\n",
            self.target.account, self.with
        );
        let (runbook, _) = runbook::load("one-step", &text, &lab.table.catalog())
            .unwrap_or_else(|mistakes| panic!("{action}: {mistakes:?}\n{text}"));
        runbook
    }
}
