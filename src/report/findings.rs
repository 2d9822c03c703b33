//! The sets that are findings: what was found and is left to a person, set by set.

use std::fmt::Write as _;

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::style::Colour;
use super::text::{counted, shown};
use crate::model::{Listed, Plan, SetName};

/// What is not worth a word behind a member's id: it stands before it, or is long.
const ELSEWHERE: [&str; 4] = ["account", "id", "region", "tags"];

/// A section with the members of every such set, at most so many of each; nothing when there are none.
pub fn section(plan: &Plan, most: usize, colour: Colour) -> String {
    if plan.listed.is_empty() {
        return String::new();
    }
    let mut sets: IndexMap<&SetName, Vec<&Listed>> = IndexMap::new();
    for listed in &plan.listed {
        sets.entry(&listed.set).or_default().push(listed);
    }
    let found = format!("Found, and left to a person: {}", counted(plan.listed.len(), "thing"));
    let mut text = format!("{}\n", colour.yellow(found));
    for (set, members) in sets {
        let finding = plan.runbook.sets.get(set).and_then(|set| set.finding.as_deref()).unwrap_or_default();
        let _ = writeln!(text, "  {set} ({}): {}", members.len(), shown(finding));
        for member in members.iter().take(most) {
            let id = shown(member.member.as_str());
            let _ = writeln!(text, "    {id} in {}  {}", member.target, colour.dim(words(&member.fields)));
        }
        if members.len() > most {
            let _ = writeln!(text, "    and {} more: --output json has them all", members.len() - most);
        }
    }
    text
}

/// The same for a JSON document.
pub fn document(plan: &Plan) -> Value {
    let entry = |listed: &Listed| {
        json!({
            "set": listed.set, "account": listed.target.account, "region": listed.target.region,
            "member": listed.member, "fields": listed.fields,
        })
    };
    plan.listed.iter().map(entry).collect()
}

/// `name miner · created 2026-11-22T03:04:05Z`: what has a value. A time that is not known is the year 1970.
fn words(fields: &Map<String, Value>) -> String {
    let word = |(name, value): (&String, &Value)| {
        let value = match value {
            Value::String(text) if !text.is_empty() && !text.starts_with("1970-") => shown(text),
            Value::Bool(true) => return Some(name.replace('_', " ")),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        Some(format!("{} {value}", name.replace('_', " ")))
    };
    let named = fields.iter().filter(|(name, _)| !ELSEWHERE.contains(&name.as_str()));
    named.filter_map(word).collect::<Vec<_>>().join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ResourceId, example};

    #[test]
    fn members_stand_under_what_to_make_of_them_and_hostile_names_are_harmless() {
        let mut plan = example::plan();
        let sets = json!({ "images": { "from": "ec2.images", "finding": "made since: they can be launched again" } });
        plan.runbook.sets = serde_json::from_value(sets).unwrap();
        let fields = json!({
            "id": "ami-1", "name": "miner\u{1b}[2K", "created": "2026-11-22T03:04:05Z", "source": "", "public": true,
            "gone": "1970-01-01T00:00:00Z", "tags": { "a": "b" },
        });
        let listed = |id: &str| Listed {
            set: SetName::new("images").unwrap(),
            target: plan.targets[2].clone(),
            member: ResourceId::new(id).unwrap(),
            fields: fields.as_object().cloned().unwrap(),
        };
        let three = ["ami-1", "ami-2", "ami-3"].map(listed);
        plan.listed = three.to_vec();
        insta::assert_snapshot!(section(&plan, 2, Colour::Plain), @r"
        Found, and left to a person: 3 things
          images (3): made since: they can be launched again
            ami-1 in 111122223333/eu-west-1  name miner\u{1b}[2K · created 2026-11-22T03:04:05Z · public
            ami-2 in 111122223333/eu-west-1  name miner\u{1b}[2K · created 2026-11-22T03:04:05Z · public
            and 1 more: --output json has them all
        ");
        assert_eq!(document(&plan)[2]["member"], "ami-3");
    }
}
