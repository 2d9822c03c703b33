//! One action, driven by hand: what the engine would do with it, a call at a time.

use quell::engine::action::{Decision, Found, Item};
use quell::engine::ports::Access;
use quell::engine::table::DynAction;
use quell::model::{ChangeId, Effect, Resource, StepId, Target, Verdict};
use serde_json::{Map, Value};

use super::lab::{Lab, object};

/// An action on its way through a run.
pub struct Drive<'a> {
    lab: &'a Lab,
    pub action: &'a dyn DynAction,
    pub with: Map<String, Value>,
    target: Target,
    members: Vec<Resource>,
}

impl<'a> Drive<'a> {
    pub fn new(lab: &'a Lab, action: &str, with: Value, target: &Target, members: &[Resource]) -> Self {
        let action = lab.table.action(action).unwrap();
        // As in all looks but the survey's: what was listed once is not known any more.
        let bare = |member: &Resource| Resource { fields: Map::new(), ..member.clone() };
        Self { lab, action, with: object(with), target: target.clone(), members: members.iter().map(bare).collect() }
    }

    /// What a look finds. Under the read-only guard, as in a survey.
    pub async fn look(&self) -> Vec<Found<Value>> {
        let cx = self.lab.enter(&self.target, Access::Read).await;
        self.action.discover(&cx, &self.with, &self.members).await.unwrap()
    }

    pub async fn decide(&self, found: &Found<Value>) -> Decision {
        let cx = self.lab.enter(&self.target, Access::Read).await;
        self.action.plan(&cx.view, &self.with, found).unwrap()
    }

    /// The changes that a plan would hold, each with what was found.
    pub async fn items(&self) -> Vec<Item<Value>> {
        let step = StepId::new("step").unwrap();
        let mut items = Vec::new();
        for found in self.look().await {
            if let Decision::Change(_) = self.decide(&found).await {
                let change = ChangeId::of(&step, &self.target, &found.resource);
                items.push(Item { change, member: found.member, resource: found.resource, prior: found.prior });
            }
        }
        items
    }

    /// Applies in batches; one that fails is taken apart, as the engine does.
    pub async fn apply(&self, items: &[Item<Value>]) -> Vec<Effect> {
        let cx = self.lab.enter(&self.target, Access::Write).await;
        let mut effects = Vec::new();
        for batch in items.chunks(self.action.batch()) {
            match self.action.apply(&cx, &self.with, batch).await {
                Ok(made) => effects.extend(made),
                Err(error) => {
                    assert!(batch.len() > 1, "{error}");
                    for item in batch {
                        effects.extend(self.action.apply(&cx, &self.with, std::slice::from_ref(item)).await.unwrap());
                    }
                }
            }
        }
        assert_eq!(effects.len(), items.len(), "one effect per change");
        effects
    }

    pub async fn assert_proven(&self, items: &[Item<Value>]) {
        let cx = self.lab.enter(&self.target, Access::Read).await;
        let found = self.look().await;
        for item in items {
            let found = found.iter().find(|found| found.resource == item.resource).expect("it is still there");
            let verdict = self.action.verify(&cx.view, &self.with, found).unwrap();
            assert!(!matches!(verdict, Verdict::Unproven { .. }), "{}: {verdict:?}", item.resource);
        }
    }

    pub async fn undo(&self, items: &[Item<Value>], effects: &[Effect]) {
        let cx = self.lab.enter(&self.target, Access::Write).await;
        for (item, effect) in items.iter().zip(effects).rev() {
            self.action.undo(&cx, &self.with, item, effect).await.unwrap();
        }
    }

    /// Everything is as it was before.
    pub async fn assert_restored(&self, items: &[Item<Value>]) {
        let found = self.look().await;
        for item in items {
            let now = found.iter().find(|found| found.resource == item.resource).expect("it is still there");
            assert_eq!(self.action.drift(&item.prior, &now.prior).unwrap(), None, "{}", item.resource);
            assert!(matches!(self.decide(now).await, Decision::Change(_)), "{} can be changed again", item.resource);
        }
    }

    /// Plan, preflight, apply twice, look, undo twice, look; and once more without an effect, as after a crash.
    pub async fn there_and_back(&self) {
        let items = self.items().await;
        assert!(!items.is_empty(), "nothing to change");
        let cx = self.lab.enter(&self.target, Access::Read).await;
        assert_eq!(self.action.preflight(&cx, &self.with, &items).await.unwrap(), []);

        let effects = self.apply(&items).await;
        self.assert_proven(&items).await;
        self.apply(&items).await;
        self.assert_proven(&items).await;
        self.undo(&items, &effects).await;
        self.assert_restored(&items).await;
        self.undo(&items, &effects).await;
        self.assert_restored(&items).await;
    }

    /// A run that was cut off has no effects to tell: the way back must do without.
    pub async fn back_without_effects(&self) {
        let items = self.items().await;
        self.apply(&items).await;
        self.undo(&items, &vec![Value::Null; items.len()]).await;
        self.assert_restored(&items).await;
    }
}
