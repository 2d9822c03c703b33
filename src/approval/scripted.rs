use std::collections::VecDeque;
use std::sync::Mutex;

use crate::engine::ports::{Approver, Boxed, Reply};
use crate::model::{Answer, Plan, Tier};

/// Answers that were written down beforehand, for tests. When they run out, the answer is no.
#[derive(Debug, Default)]
pub struct Scripted {
    answers: Mutex<VecDeque<Answer>>,
    asked: Mutex<Vec<Tier>>,
}

impl Scripted {
    /// Gives these answers, in this order.
    pub fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self { answers: Mutex::new(answers.into_iter().collect()), asked: Mutex::default() }
    }

    /// The tiers that were asked about so far.
    pub fn asked(&self) -> Vec<Tier> {
        self.asked.lock().expect("no holder of this lock panics").clone()
    }
}

impl Approver for Scripted {
    fn ask<'a>(&'a self, _: &'a Plan, tier: Tier) -> Boxed<'a, Reply> {
        self.asked.lock().expect("no holder of this lock panics").push(tier);
        let answer = self.answers.lock().expect("no holder of this lock panics").pop_front().unwrap_or(Answer::Refused);
        Box::pin(async move { Reply { answer, by: "script".into(), through: "script".into() } })
    }
}
