//! `quell policy`.

pub mod evaluate;
pub mod explain;

use std::collections::BTreeSet;
use std::io::{self, Write};

use serde_json::{Value, json};

use crate::model::{Accounts, Catalog, InputType, Runbook, Step, is_of_caller};
use crate::report::text::escaped_json;
use crate::runbook::input_of;

/// Print the least IAM policy with which a runbook can be carried out, or tell what policies allow
///
/// What must be read, what must be changed, and, on demand, what taking it back needs. RUNBOOK is a file or the name of a
/// shipped runbook (write a file that is named like a command here with its folder: ./evaluate). The policy is for a principal
/// that works in its own account; where the runbook enters other accounts by a role, --for caller and --for role print what
/// each of the two needs.
#[derive(Debug, Clone, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    /// Something else that is asked about policies.
    #[command(subcommand)]
    pub question: Option<Question>,
    /// A file, or the name of a shipped runbook
    #[arg(required = true)]
    pub runbook: Option<String>,
    /// Include the permissions that only a rollback needs
    #[arg(long)]
    pub with_rollback: bool,
    /// Whose policy
    #[arg(long = "for", value_enum, value_name = "WHOM", default_value_t)]
    pub holder: Holder,
}

/// What can be asked about policies.
#[derive(Debug, Clone, clap::Subcommand)]
#[expect(missing_docs, reason = "what the arguments say of themselves is the help")]
pub enum Question {
    Evaluate(evaluate::Args),
    Explain(Box<explain::Args>),
}

/// Who is to have a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Holder {
    /// Who calls and does all the work itself, or does both parts.
    #[default]
    Both,
    /// Who calls: enters the accounts, and speaks to Organizations.
    Caller,
    /// The role that is entered in every account.
    Role,
}

/// Verbs of operations that change nothing.
const READING: &[&str] = &["Describe", "Get", "List", "Lookup", "Simulate"];

/// Prints the policy of a runbook that was loaded.
pub fn run(args: &Args, runbook: &Runbook, catalog: &Catalog, out: &mut dyn Write) -> io::Result<u8> {
    let rollback = if args.with_rollback { Rollback::Included } else { Rollback::Left };
    let policy = policy(runbook, catalog, rollback, args.holder);
    writeln!(out, "{}", escaped_json(&format!("{policy:#}")))?;
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

/// The least policy for a runbook: the permissions of its steps and sets, and what quell itself asks AWS.
pub fn policy(runbook: &Runbook, catalog: &Catalog, rollback: Rollback, holder: Holder) -> Value {
    let of_steps = |of: fn(&Catalog, &Runbook, &Step) -> Vec<&'static str>| {
        let all = runbook.steps.iter().flat_map(move |step| of(catalog, runbook, step));
        all.filter(|permission| holder.has(permission)).collect::<BTreeSet<_>>()
    };
    let sources = runbook.sets.values().filter_map(|set| catalog.sources.get(set.from.as_str()));
    let of_sets = sources.flat_map(|source| source.permissions).copied().filter(|permission| holder.has(permission));
    let mut needed = of_steps(Catalog::permissions);
    needed.extend(of_sets.chain(basics(runbook, holder)));
    let (reads, changes): (BTreeSet<_>, BTreeSet<_>) = needed.iter().partition(|permission| is_read(permission));

    let mut statements = vec![statement("QuellReads", &reads)];
    if !changes.is_empty() {
        statements.push(statement("QuellContains", &changes));
    }
    let undo = of_steps(Catalog::undo_permissions);
    let only_undo: BTreeSet<&str> = undo.difference(&needed).copied().collect();
    if rollback == Rollback::Included && !only_undo.is_empty() {
        statements.push(statement("QuellRollsBack", &only_undo));
    }
    if let Some(role) = runbook.targets.role.as_ref().filter(|_| holder != Holder::Role) {
        // What a template stands for is not known here.
        let name = if role.name.contains("${{") { "*" } else { role.name.trim_start_matches('/') };
        let enters = match role.source_identity {
            Some(_) => json!(["sts:AssumeRole", "sts:SetSourceIdentity"]),
            None => json!("sts:AssumeRole"),
        };
        statements.push(json!({
            "Sid": "QuellEntersAccounts",
            "Effect": "Allow",
            "Action": enters,
            "Resource": format!("arn:aws:iam::*:role/{name}"),
        }));
    }
    json!({ "Version": "2012-10-17", "Statement": statements })
}

impl Holder {
    fn has(self, permission: &str) -> bool {
        match self {
            Self::Both => true,
            Self::Caller => is_of_caller(permission),
            Self::Role => !is_of_caller(permission),
        }
    }
}

/// What quell asks AWS whatever the runbook does.
fn basics(runbook: &Runbook, holder: Holder) -> Vec<&'static str> {
    // Permissions are simulated for the caller and for the role alike.
    let mut basics = vec!["iam:SimulatePrincipalPolicy"];
    if holder != Holder::Caller {
        basics.extend(["account:ListRegions", "ec2:DescribeRegions"]);
    }
    if holder != Holder::Role {
        // A caller that is a role is simulated by the role's ARN, whose path no session tells. `sts:GetCallerIdentity` needs
        // no permission, but an explicit one does no harm and survives a boundary.
        basics.extend(["iam:GetRole", "sts:GetCallerIdentity"]);
        basics.extend(match &runbook.targets.accounts {
            Accounts::Listed(items) => items.iter().flat_map(|item| of_item(runbook, item)).collect(),
            one => of_accounts(one).to_vec(),
        });
    }
    basics
}

/// What finding out the accounts of any choice may take.
const ANY: [&str; 4] = [
    "organizations:ListAccounts",
    "organizations:ListAccountsForParent",
    "organizations:ListOrganizationalUnitsForParent",
    "sts:GetAccessKeyInfo",
];

/// What finding out the accounts of a choice takes.
fn of_accounts(accounts: &Accounts) -> &'static [&'static str] {
    match accounts {
        Accounts::Own | Accounts::Listed(_) => &[],
        Accounts::File(_) => &ANY,
        Accounts::OfKey(_) => &["sts:GetAccessKeyInfo"],
        Accounts::Organization => &["organizations:ListAccounts"],
        Accounts::Ou(_) => &["organizations:ListAccountsForParent", "organizations:ListOrganizationalUnitsForParent"],
    }
}

/// What finding out the accounts of an item in a list takes; of a template, whatever its input may stand for.
fn of_item(runbook: &Runbook, item: &str) -> Vec<&'static str> {
    if let Ok(accounts) = Accounts::item(item) {
        return of_accounts(&accounts).to_vec();
    }
    let input = input_of(item).and_then(|name| runbook.inputs.get(name));
    match input.map(|input| input.input_type) {
        Some(InputType::AccountId) => Vec::new(),
        Some(InputType::AccessKeyId) => of_accounts(&Accounts::OfKey(String::new())).to_vec(),
        _ => ANY.to_vec(),
    }
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
            only_on: &[],
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
        let policy = policy(&runbook(), &catalog(), Rollback::Left, Holder::Both);
        assert_eq!(
            policy["Statement"],
            json!([
                { "Sid": "QuellReads", "Effect": "Allow", "Resource": "*", "Action": [
                    "account:ListRegions", "ec2:DescribeInstances", "ec2:DescribeRegions", "iam:GetRole",
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
        let policy = policy(&runbook(), &catalog(), Rollback::Included, Holder::Both);
        assert_eq!(policy["Statement"][2]["Sid"], "QuellRollsBack");
        assert_eq!(policy["Statement"][2]["Action"], json!(["ec2:StartInstances"]));
    }
}
