//! `quell policy`.

use std::collections::BTreeSet;
use std::io::{self, Write};

use serde_json::{Value, json};

use crate::model::{Accounts, Catalog, Runbook};

/// Print the least IAM policy with which a runbook can be carried out
///
/// For the principal that runs quell and for the role it assumes: what it must be able to read, what it must be able to
/// change, and, on demand, what taking it back needs. RUNBOOK is a file or the name of a shipped runbook.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// A file, or the name of a shipped runbook
    pub runbook: String,
    /// Include the permissions that only a rollback needs
    #[arg(long)]
    pub with_rollback: bool,
}

/// Verbs of operations that change nothing.
const READING: &[&str] = &["Describe", "Get", "List", "Lookup", "Simulate"];

/// Prints the policy of a runbook that was loaded.
pub fn run(args: &Args, runbook: &Runbook, catalog: &Catalog, out: &mut dyn Write) -> io::Result<u8> {
    let rollback = if args.with_rollback { Rollback::Included } else { Rollback::Left };
    writeln!(out, "{:#}", policy(runbook, catalog, rollback))?;
    Ok(0)
}

/// Whether a policy allows a rollback too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rollback {
    /// It does.
    Included,
    /// It does not.
    Left,
}

/// The least policy for a runbook: the permissions of its actions and sources, and what quell itself asks AWS.
pub fn policy(runbook: &Runbook, catalog: &Catalog, rollback: Rollback) -> Value {
    let actions: Vec<_> = runbook.steps.iter().filter_map(|step| catalog.actions.get(step.uses.as_str())).collect();
    let sources = runbook.sets.values().filter_map(|set| catalog.sources.get(set.from.as_str()));
    let needed: BTreeSet<&str> = actions
        .iter()
        .flat_map(|action| action.permissions)
        .chain(sources.flat_map(|source| source.permissions))
        .copied()
        .chain(basics(runbook))
        .collect();
    let (reads, changes): (BTreeSet<_>, BTreeSet<_>) = needed.iter().partition(|permission| is_read(permission));

    let mut statements = vec![statement("QuellReads", &reads)];
    if !changes.is_empty() {
        statements.push(statement("QuellContains", &changes));
    }
    let undo: BTreeSet<&str> = actions.iter().flat_map(|action| action.undo_permissions).copied().collect();
    let only_undo: BTreeSet<&str> = undo.difference(&needed).copied().collect();
    if rollback == Rollback::Included && !only_undo.is_empty() {
        statements.push(statement("QuellRollsBack", &only_undo));
    }
    if let Some(role) = &runbook.targets.role {
        // What a template stands for is not known here.
        let name = if role.name.contains("${{") { "*" } else { role.name.as_str() };
        statements.push(json!({
            "Sid": "QuellEntersAccounts",
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Resource": format!("arn:aws:iam::*:role/{name}"),
        }));
    }
    json!({ "Version": "2012-10-17", "Statement": statements })
}

/// What quell asks AWS whatever the runbook does. `sts:GetCallerIdentity` needs no permission, but an explicit one does no
/// harm and survives a boundary.
fn basics(runbook: &Runbook) -> impl Iterator<Item = &'static str> {
    let accounts: &[&str] = match runbook.targets.accounts {
        Accounts::Own | Accounts::Listed(_) => &[],
        Accounts::OfKey(_) => &["sts:GetAccessKeyInfo"],
        Accounts::Organization => &["organizations:ListAccounts"],
        Accounts::Ou(_) => &["organizations:ListAccountsForParent", "organizations:ListOrganizationalUnitsForParent"],
    };
    let always = [
        "account:ListRegions",
        "ec2:DescribeRegions",
        "iam:ListAccountAliases",
        "iam:SimulatePrincipalPolicy",
        "sts:GetCallerIdentity",
    ];
    always.into_iter().chain(accounts.iter().copied())
}

fn is_read(permission: &str) -> bool {
    permission.split_once(':').is_some_and(|(_, verb)| READING.iter().any(|reading| verb.starts_with(reading)))
}

fn statement(sid: &str, permissions: &BTreeSet<&str>) -> Value {
    json!({ "Sid": sid, "Effect": "Allow", "Action": permissions, "Resource": "*" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ActionSpec, Tier};

    fn catalog() -> Catalog {
        let stop = ActionSpec {
            name: "ec2.stop-instances",
            tier: Tier::Disruptive,
            kinds: &["ec2.instance"],
            title: "",
            description: "",
            undo: "",
            permissions: &["ec2:StopInstances", "ec2:DescribeInstances"],
            undo_permissions: &["ec2:StartInstances", "ec2:DescribeInstances"],
            params: schemars::Schema::default(),
            example: "",
        };
        Catalog { actions: [(stop.name.to_owned(), stop)].into(), ..Catalog::default() }
    }

    fn runbook() -> Runbook {
        serde_json::from_value(json!({
            "quell": 1, "name": "n", "title": "t",
            "targets": { "accounts": { "of_key": "AKIAIOSFODNN7EXAMPLE" }, "role": { "name": "ir/Responder" } },
            "steps": [{ "id": "stop", "uses": "ec2.stop-instances" }],
        }))
        .unwrap()
    }

    #[test]
    fn a_policy_allows_what_the_runbook_needs_and_no_more() {
        let policy = policy(&runbook(), &catalog(), Rollback::Left);
        assert_eq!(
            policy["Statement"],
            json!([
                { "Sid": "QuellReads", "Effect": "Allow", "Resource": "*", "Action": [
                    "account:ListRegions", "ec2:DescribeInstances", "ec2:DescribeRegions", "iam:ListAccountAliases",
                    "iam:SimulatePrincipalPolicy", "sts:GetAccessKeyInfo", "sts:GetCallerIdentity",
                ] },
                { "Sid": "QuellContains", "Effect": "Allow", "Resource": "*", "Action": ["ec2:StopInstances"] },
                { "Sid": "QuellEntersAccounts", "Effect": "Allow", "Action": "sts:AssumeRole",
                  "Resource": "arn:aws:iam::*:role/ir/Responder" },
            ])
        );
    }

    #[test]
    fn a_rollback_needs_more() {
        let policy = policy(&runbook(), &catalog(), Rollback::Included);
        assert_eq!(policy["Statement"][2]["Sid"], "QuellRollsBack");
        assert_eq!(policy["Statement"][2]["Action"], json!(["ec2:StartInstances"]));
    }
}
