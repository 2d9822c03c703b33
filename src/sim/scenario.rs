//! What a simulated AWS starts from: a story in YAML, made into a [`World`] with a seed.

mod alike;
mod build;
mod deeds;
mod moment;
mod people;
mod story;
mod yaml;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::adversary::Intruder;
use super::world::{Secret, World};
use crate::model::{AccessKeyId, AccountId, Region};
use story::Story;

/// The scenarios in the binary: name and text.
const SHIPPED: [(&str, &str); 6] = [
    ("cryptojack", include_str!("../../scenarios/cryptojack.yaml")),
    ("cryptojack-small", include_str!("../../scenarios/cryptojack-small.yaml")),
    ("live", include_str!("../../scenarios/live.yaml")),
    ("organization", include_str!("../../scenarios/organization.yaml")),
    ("persistent", include_str!("../../scenarios/persistent.yaml")),
    ("smallest", include_str!("../../scenarios/smallest.yaml")),
];

/// A scenario, read and checked for form.
#[derive(Debug, Clone)]
pub struct Scenario(Story);

/// A text that is no scenario, or one that cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("scenario {name}: {cause}")]
pub struct BadScenario {
    /// Which.
    pub name: String,
    /// What is wrong, and where.
    pub cause: String,
}

/// A scenario made real.
#[derive(Debug)]
pub struct Built {
    /// The world.
    pub world: World,
    /// What its clock shows.
    pub begins: Timestamp,
    /// Whose credentials are handed out: `responder`, `attacker`.
    pub credentials: BTreeMap<String, Credentials>,
    /// Account numbers, by the accounts' names.
    pub accounts: BTreeMap<String, AccountId>,
    /// The truth, which a drill is judged by.
    pub facts: Facts,
    /// The intruder, if it fights back.
    pub adversary: Option<Intruder>,
}

/// Long-term credentials. They are of a simulated AWS, so they are serialised; they are still not in `Debug`.
#[derive(Debug, Clone, Serialize)]
pub struct Credentials {
    /// `AKIA…`.
    pub access_key_id: AccessKeyId,
    /// Its secret.
    #[serde(serialize_with = "reveal")]
    pub secret_access_key: Secret,
}

fn reveal<S: serde::Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&secret.0)
}

/// What is true in a scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// The key that leaked.
    pub leaked_key: AccessKeyId,
    /// From when on the intruder's machines were launched.
    pub since: Timestamp,
    /// The user whose key leaked.
    pub compromised_user: String,
    /// The user that the intruder took over beside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub framed_user: Option<String>,
    /// The part that each user had; who is not named had none.
    pub parts: BTreeMap<String, Part>,
    /// The account that was broken into; the first of several.
    pub breached_account: AccountId,
    /// Where to look for more, as the input `accounts` of a runbook is given it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accounts: Option<String>,
    /// Machines, by group: `rogue`, `legitimate`, `production`.
    pub machines: BTreeMap<String, Vec<Machine>>,
}

/// The part that a user had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// It did it.
    Guilty,
    /// Somebody else used its credentials.
    Compromised,
    /// Somebody else made it look as if it had done it.
    Framed,
}

/// A machine of a scenario.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Machine {
    /// Its account.
    pub account: AccountId,
    /// Its region.
    pub region: Region,
    /// Its instance id.
    pub id: String,
}

impl Scenario {
    /// Reads a scenario.
    pub fn load(text: &str) -> Result<Self, BadScenario> {
        let bad = |cause: String| BadScenario { name: "file".to_owned(), cause };
        let mut told = yaml::read(text).map_err(bad)?;
        if let Some(name) = told.get("like").and_then(Value::as_str) {
            let like = yaml::read(shipped(name)?).map_err(bad)?;
            told = completed(told, like);
        }
        let mut story: Story = serde_json::from_value(told).map_err(|error| bad(error.to_string()))?;
        if story.scenario != 1 {
            return Err(bad(format!("version {} of the form is not known; this quell knows 1", story.scenario)));
        }
        alike::counted(&mut story).map_err(bad)?;
        Ok(Self(story))
    }

    /// A scenario of the binary.
    pub fn named(name: &str) -> Result<Self, BadScenario> {
        Self::load(shipped(name)?)
    }

    /// The names of the scenarios in the binary.
    pub fn names() -> impl Iterator<Item = &'static str> {
        SHIPPED.iter().map(|(name, _)| *name)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What it tells, in one line.
    pub fn title(&self) -> &str {
        &self.0.title
    }

    /// When it begins, told at `now`: at its own time of day, today or, where that is still to come, yesterday.
    pub fn begins(&self, now: Timestamp) -> Timestamp {
        let today = self.0.begins.on(now);
        if today <= now { today } else { today - SignedDuration::from_hours(24) }
    }

    /// Makes it real. The same seed on the same day gives the same world, ids and secrets included.
    pub fn build(&self, seed: u64, now: Timestamp) -> Result<Built, BadScenario> {
        let begins = self.begins(now);
        build::build(&self.0, seed, begins).map_err(|cause| BadScenario { name: self.0.name.clone(), cause })
    }
}

/// The text of a scenario of the binary.
fn shipped(name: &str) -> Result<&'static str, BadScenario> {
    let shipped = SHIPPED.iter().find(|(shipped, _)| *shipped == name);
    shipped.map(|(_, text)| *text).ok_or_else(|| {
        let names: Vec<_> = Scenario::names().collect();
        BadScenario { name: name.to_owned(), cause: format!("there is none of this name, but {}", names.join(", ")) }
    })
}

/// A scenario `like` another: what it does not say itself is as it is told there.
fn completed(told: Value, like: Value) -> Value {
    match (told, like) {
        (Value::Object(mut told), Value::Object(like)) => {
            told.remove("like");
            for (name, value) in like {
                told.entry(name).or_insert(value);
            }
            Value::Object(told)
        }
        (told, _) => told,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn built(name: &str, seed: u64) -> Built {
        Scenario::named(name).unwrap().build(seed, "2026-03-03T18:00:00Z".parse().unwrap()).unwrap()
    }

    #[test]
    fn the_same_seed_gives_the_same_world() {
        let world = |seed| serde_json::to_string(&built("cryptojack-small", seed).world).unwrap();
        assert_eq!(world(7), world(7));
        assert_ne!(world(7), world(8));
    }

    #[test]
    fn cryptojack_is_as_it_is_told() {
        let built = built("cryptojack", 1);
        let rogue = &built.facts.machines["rogue"];
        let regions: BTreeSet<_> = rogue.iter().map(|machine| &machine.region).collect();
        assert_eq!((rogue.len(), regions.len()), (100, 19));
        assert_eq!(built.facts.machines["legitimate"].len(), 30);
        assert_eq!(built.facts.since.to_string(), "2026-03-03T14:44:00Z");
        for machine in rogue {
            let instance = &built.world.region(&machine.account, &machine.region).ec2.instances[&machine.id];
            assert!(instance.launch_time >= built.facts.since);
            assert!(!instance.tags.contains_key("owner"));
            assert_eq!(instance.platform.as_deref(), Some("windows"));
            assert!(!instance.block_devices.is_empty());
        }
        for machine in &built.facts.machines["legitimate"] {
            let instance = &built.world.region(&machine.account, &machine.region).ec2.instances[&machine.id];
            assert!(instance.tags.contains_key("owner"));
        }
    }

    #[test]
    fn the_history_tells_the_story_in_order() {
        let built = built("cryptojack-small", 1);
        let account = &built.facts.breached_account;
        let home = &built.world.region(account, &Region::new("us-east-1").unwrap()).cloudtrail.events;
        let at = |name: &str| home.iter().find(|event| event.name == name).map(|event| event.time).unwrap();
        assert!(at("CopyImage") < at("CreateAccessKey"));
        assert!(at("CreateAccessKey") < at("UpdateLoginProfile"));
        assert!(at("UpdateLoginProfile") < at("AttachUserPolicy"));
        assert!(at("AttachUserPolicy") < at("RunInstances"));
        let made = home.iter().find(|event| event.name == "CreateAccessKey").unwrap();
        assert_eq!(made.response["accessKey"]["accessKeyId"], built.credentials["attacker"].access_key_id.as_str());
    }

    #[test]
    fn a_story_begins_yesterday_when_its_hour_is_still_to_come() {
        let scenario = Scenario::named("cryptojack").unwrap();
        let begins = scenario.begins("2026-03-03T09:00:00Z".parse().unwrap());
        assert_eq!(begins.to_string(), "2026-03-02T15:20:00Z");
    }

    #[test]
    fn mistakes_are_named() {
        assert!(Scenario::named("nothing").unwrap_err().cause.contains("cryptojack, cryptojack-small"));
        let misspelt = include_str!("../../scenarios/cryptojack-small.yaml").replace("opted_in", "opt_in");
        assert!(Scenario::load(&misspelt).unwrap_err().cause.contains("unknown field `opt_in`"));
    }

    #[test]
    fn secrets_are_not_in_debug() {
        let built = built("cryptojack-small", 1);
        let credentials = &built.credentials["responder"];
        assert!(!format!("{credentials:?}").contains(&credentials.secret_access_key.0));
    }
}
