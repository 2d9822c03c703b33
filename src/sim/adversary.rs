//! The intruder of a scenario, who fights back: every few seconds it switches keys on again, takes denies off, enters roles,
//! makes users and keys, starts machines and spoils evidence, with whatever credentials it ever got.
//!
//! It signs its calls like everybody, and they pass the same authentication, authorisation and budgets. It loses only when
//! it is locked out.

mod moves;
mod wallet;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::watch;

use super::Sim;
use super::authenticate::sign::AccessKey;
use super::client::{Answer, Ask, call};
use crate::model::{AccountId, Region};
use wallet::{Credential, Wallet};

/// What a scenario says of its intruder.
#[derive(Debug, Clone)]
pub struct Intruder {
    /// When it begins to fight.
    pub begins: Begins,
    /// How long it waits between two rounds.
    pub every: Duration,
    /// The account that it broke into.
    pub account: AccountId,
    /// The long-term keys that it holds: of which account and user, and the key.
    pub keys: Vec<(AccountId, String, AccessKey)>,
    /// Users that it takes care of beside those of its keys.
    pub users: Vec<String>,
    /// ARNs of the roles that it enters.
    pub roles: Vec<String>,
    /// Its machines: region and instance id.
    pub machines: Vec<(Region, String)>,
    /// What it did and does again.
    pub deeds: Vec<Deed>,
}

/// When an intruder begins to fight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Begins {
    /// With the drill: it sees the responders come.
    AtOnce,
    /// When the responders believe that they are done.
    Afterwards,
}

/// A call that the intruder made.
#[derive(Debug, Clone)]
pub struct Deed {
    /// Where.
    pub region: Region,
    /// `ec2`.
    pub service: String,
    /// `RunInstances`.
    pub operation: String,
    /// Its parameters.
    pub with: Value,
}

/// What an attempt is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aim {
    /// To get credentials for a role or a session. By itself it gains nothing.
    Enter,
    /// To start machines or other workloads.
    Compute,
    /// To read or destroy evidence.
    Evidence,
    /// To change identities, their credentials and policies.
    Policy,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// It succeeded.
    Succeeded,
    /// It was not let in: AWS's code.
    Refused(String),
    /// It was let in, and failed for another reason: AWS's code.
    Failed(String),
}

/// A call that the intruder tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// When.
    pub at: Timestamp,
    /// With which of its credentials: `key AKIA… of mara.weiss`.
    pub with: String,
    /// What for.
    pub aim: Aim,
    /// Where.
    pub region: String,
    /// `ec2:RunInstances`.
    pub action: String,
    /// How it ended.
    pub end: End,
}

/// The codes by which AWS says that somebody may not.
const LOCKED: [&str; 9] = [
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "RequestExpired",
    "UnauthorizedOperation",
    "UnrecognizedClientException",
];

/// The longest pause between two rounds.
const LONGEST: Duration = Duration::from_mins(1);

/// An intruder at work.
#[derive(Debug)]
pub struct Adversary {
    sim: Sim,
    intruder: Intruder,
    wallet: Wallet,
    /// The users whose denies it takes off: those of its keys, and those that it made.
    users: BTreeSet<String>,
    rounds: usize,
    attempts: Vec<Attempt>,
}

impl Adversary {
    /// An intruder who has done what the scenario says, and nothing yet beyond it.
    pub fn new(sim: Sim, intruder: Intruder) -> Self {
        let of_account = intruder.keys.iter().filter(|(account, ..)| *account == intruder.account);
        let users = of_account.map(|(_, user, _)| user.clone()).chain(intruder.users.iter().cloned()).collect();
        let wallet = Wallet::of(&intruder.keys);
        Self { sim, intruder, wallet, users, rounds: 0, attempts: Vec::new() }
    }

    /// Fights until `over` says so, round after round. A round that was begun is ended. After one that brought nothing it
    /// waits twice as long, a minute at the most.
    pub async fn fight(mut self, over: watch::Receiver<bool>) -> Vec<Attempt> {
        let mut pause = self.intruder.every;
        while !*over.borrow() {
            let before = self.attempts.len();
            self.round().await;
            let gained = |attempt: &Attempt| attempt.aim != Aim::Enter && attempt.end == End::Succeeded;
            pause =
                if self.attempts[before..].iter().any(gained) { self.intruder.every } else { LONGEST.min(pause * 2) };
            tokio::time::sleep(pause).await;
        }
        self.attempts
    }

    /// Tries everything with every credential, in the account that it broke into; what it gets on the way it uses in the
    /// next round.
    async fn round(&mut self) {
        for credential in self.wallet.all() {
            self.enter(&credential).await;
            // A key of an account of its own is good for entering only.
            if credential.account == self.intruder.account {
                self.unlock(&credential).await;
                self.compute(&credential).await;
                self.spoil(&credential).await;
            }
        }
        self.rounds += 1;
    }

    /// The region of this round.
    fn here(&self) -> Option<Region> {
        let of_deeds = self.intruder.deeds.iter().map(|deed| &deed.region);
        let regions: BTreeSet<&Region> =
            self.intruder.machines.iter().map(|(region, _)| region).chain(of_deeds).collect();
        regions.iter().nth(self.rounds % regions.len().max(1)).map(|region| (*region).clone())
    }

    /// Makes a call and remembers how it ended.
    async fn attempt(&mut self, with: &Credential, aim: Aim, ask: Ask<'_>) -> Option<Answer> {
        let at = self.sim.now();
        let answer = call(&self.sim, &with.key, ask).await;
        let end = match &answer {
            Ok(_) => End::Succeeded,
            Err(refused) if LOCKED.contains(&refused.code.as_str()) => End::Refused(refused.code.clone()),
            Err(refused) => End::Failed(refused.code.clone()),
        };
        let (region, action) = (ask.region.to_owned(), format!("{}:{}", ask.service, ask.operation));
        self.attempts.push(Attempt { at, with: with.name.clone(), aim, region, action, end });
        answer.ok()
    }
}
