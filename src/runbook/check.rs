//! From the tree to the model: everything that can be found wrong without AWS, all at once.

mod by_hand;
mod fields;
mod inputs;
mod params;
mod sets;
mod steps;
mod targets;
mod until;

use indexmap::IndexMap;

use self::fields::{Fields, number};
use super::diagnostic::Mistakes;
use super::load::Node;
use super::template::{self, Piece};
use crate::model::{Catalog, Input, InputType, Runbook, SourceSpec};
use crate::runbook::suggest::did_you_mean;

const KEYS: &[&str] =
    &["quell", "name", "title", "description", "inputs", "targets", "break_glass", "sets", "steps", "by_hand", "until"];

/// What the parts of a runbook may refer to.
struct Scope<'a> {
    catalog: &'a Catalog,
    /// The inputs; `None` where the declaration itself is wrong, so that its uses are not blamed too.
    inputs: IndexMap<String, Option<InputType>>,
    /// The sets and where they come from; `None` likewise.
    sets: IndexMap<String, Option<&'a SourceSpec>>,
}

/// Builds the runbook. Returns it only if nothing was found that makes it unusable.
pub(super) fn runbook(root: &Node, catalog: &Catalog, mistakes: &mut Mistakes) -> Option<Runbook> {
    let fields = Fields::read(root, "a runbook", KEYS, mistakes)?;
    let version = version(&fields, mistakes);
    let name = fields.required("name", mistakes).and_then(|node| name(node, mistakes));
    let title = fields.required("title", mistakes).and_then(|node| fields::text(node, "a title", mistakes));
    let description = fields.get("description").and_then(|node| fields::text(node, "a description", mistakes));
    let inputs = fields.get("inputs").map(|node| inputs::read(node, mistakes)).unwrap_or_default();

    let types = |input: &Option<Input>| input.as_ref().map(|input| input.input_type);
    let mut scope = Scope {
        catalog,
        inputs: inputs.iter().map(|(name, input)| (name.clone(), types(input))).collect(),
        sets: IndexMap::new(),
    };
    let targets = match fields.get("targets") {
        Some(node) => targets::read(node, &scope, mistakes),
        None => Some(crate::model::Targets::default()),
    };
    let break_glass = fields.get("break_glass").map(|node| targets::roles(node, &scope, mistakes)).unwrap_or_default();
    let sets = fields.get("sets").map(|node| sets::read(node, &mut scope, mistakes)).unwrap_or_default();
    let steps = fields.required("steps", mistakes).map(|node| steps::read(node, &scope, mistakes));
    let by_hand = fields.get("by_hand").map(|node| by_hand::read(node, mistakes)).unwrap_or_default();
    let until = match fields.get("until") {
        Some(node) => until::read(node, mistakes),
        None => Some(crate::model::Until::default()),
    };
    if let (Some(node), Some(steps)) = (fields.get("sets"), fields.get("steps")) {
        sets::used(node, steps, mistakes);
    }

    Some(Runbook {
        quell: version?,
        name: name?,
        title: title?,
        description,
        inputs: inputs.into_iter().filter_map(|(name, input)| Some((name, input?))).collect(),
        targets: targets?,
        break_glass,
        sets,
        steps: steps?,
        by_hand,
        until: until?,
    })
}

fn version(fields: &Fields<'_>, mistakes: &mut Mistakes) -> Option<u32> {
    let node = fields.required("quell", mistakes)?;
    let version = number(node, "the version of the format", mistakes)?;
    if version != 1 {
        let message = format!("version {version} of the runbook format is not known");
        mistakes.error(&node.at, message, "this quell reads version 1").help("write `quell: 1`, or use a newer quell");
        return None;
    }
    Some(version)
}

fn name(node: &Node, mistakes: &mut Mistakes) -> Option<String> {
    let name = fields::text(node, "a name", mistakes)?;
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 64 || !name.chars().all(good) {
        let message = format!("`{name}` cannot be the name of a runbook");
        let help = "use up to 64 letters, digits, `-` and `_`; the sentence belongs into `title`";
        mistakes.error(&node.at, message, "not a name").help(help);
        return None;
    }
    Some(name)
}

impl Scope<'_> {
    /// Checks the templates of a text. Returns the type of the input that fills in the *whole* text, if one does.
    fn templates(&self, node: &Node, text: &str, mistakes: &mut Mistakes) -> Filled {
        let pieces = match template::pieces(text) {
            Ok(pieces) => pieces,
            Err(malformed) => {
                mistakes.error(&node.at, malformed.why, "in this text").help("write \"${{ inputs.NAME }}\"");
                return Filled::Unknown;
            }
        };
        let whole = matches!(pieces.as_slice(), [Piece::Input { .. }]);
        let mut filled = Filled::Text;
        for piece in &pieces {
            let Piece::Input { name, .. } = piece else { continue };
            match self.inputs.get(*name) {
                None => {
                    let help = did_you_mean(name, self.inputs.keys().map(String::as_str));
                    mistakes.error(&node.at, format!("there is no input `{name}`"), "unknown input").help(help);
                    filled = Filled::Unknown;
                }
                Some(None) => filled = Filled::Unknown,
                Some(Some(input_type)) if whole => filled = Filled::Whole(*input_type),
                Some(Some(InputType::StringList)) => {
                    let message = format!("the list `{name}` cannot stand inside a longer text");
                    mistakes.error(&node.at, message, "in this text").help("let the template be the whole text");
                }
                Some(Some(_)) => {}
            }
        }
        filled
    }
}

/// What a text will be once it is filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filled {
    /// A text.
    Text,
    /// The value of an input of this type.
    Whole(InputType),
    /// Cannot be told, for a reason that was reported.
    Unknown,
}

#[cfg(test)]
mod tests {
    use crate::runbook::{load, toy};

    const STEP: &str = "steps: [{ id: keys, uses: iam.deactivate-access-keys, on: users }]\n";
    const SETS: &str = "sets: { users: { from: iam.users } }\n";

    /// A runbook that is right but for these lines; they replace what has the same key.
    fn with(lines: &str) -> String {
        let lines = format!("{lines}\n");
        let mut text = String::from("quell: 1\nname: test\ntitle: A test\n");
        for part in [SETS, STEP] {
            if !lines.contains(part.split(':').next().unwrap_or_default()) {
                text.push_str(part);
            }
        }
        text + &lines
    }

    /// Every finding as `text under the caret | message | help`.
    fn found(text: &str) -> Vec<String> {
        let (errors, warnings) = match load("test.yaml", text, &toy::catalog()) {
            Ok((_, warnings)) => (Vec::new(), warnings),
            Err(found) => (found.errors, found.warnings),
        };
        let line = |d: &crate::runbook::Diagnostic| {
            let at = text[d.at.clone()].replace('\n', "⏎");
            format!("{at} | {} | {}", d.message, d.help.as_deref().unwrap_or("-"))
        };
        errors.iter().chain(&warnings).map(line).collect()
    }

    #[track_caller]
    fn finds(lines: &str, expected: &[&str]) {
        assert_eq!(found(&with(lines)), expected, "{lines}");
    }

    #[test]
    fn a_right_runbook_has_nothing_to_find() {
        finds("", &[]);
        finds("inputs: { names: { type: string-list, default: [a] }, on: { type: bool, default: true } }", &[]);
        finds(
            "targets: { accounts: [012345678901, \"111122223333\"], regions: [eu-west-3], role: { name: ir/R, external_id: x } }",
            &[],
        );
        finds("targets: { accounts: { ou: ou-ab12-11111111 }, role: ir/R }", &[]);
        let several =
            "targets: { accounts: [self, organization, ou-ab12-11111111, \"${{ inputs.key }}\"], role: ir/R }";
        finds(&format!("inputs: {{ key: {{ type: access-key-id }} }}\n{several}"), &[]);
    }

    #[test]
    fn the_head_of_a_file() {
        let text = with("").replace("quell: 1", "quell: 2").replace("name: test", "name: a test");
        assert_eq!(
            found(&text),
            [
                "2 | version 2 of the runbook format is not known | write `quell: 1`, or use a newer quell",
                "a test | `a test` cannot be the name of a runbook | use up to 64 letters, digits, `-` and `_`; the sentence belongs into `title`",
            ]
        );
        finds("untill: {}", &["untill | a runbook has no `untill` | did you mean `until`?"]);
        assert_eq!(
            found("a: 1"),
            [
                "a | a runbook has no `a` | there are `quell`, `name`, `title`, `description`, `inputs`, `targets`, `break_glass`, `sets`, `steps`, `by_hand`, `until`",
                "a | a runbook needs `quell` | -",
                "a | a runbook needs `name` | -",
                "a | a runbook needs `title` | -",
                "a | a runbook needs `steps` | -",
            ]
        );
        assert_eq!(found("[1]"), ["[1] | a runbook is a mapping of keys and values, and this is a list | -"]);
    }

    #[test]
    fn work_for_a_person() {
        let finds = |work: &str, expected: &[&str]| finds(&format!("{STEP}by_hand: [{work}]"), expected);
        finds("{ what: Call the owner, steps: [Look up the number, Call] }", &[]);
        finds("{ what: Call, stops: [] }", &["stops | work by hand has no `stops` | did you mean `steps`?"]);
        finds("{ what: Call }", &["what | work by hand needs `steps` | -"]);
        finds(
            "{ what: Call, steps: [] }",
            &["[] | work by hand without a step tells nobody how | name at least one step"],
        );
    }

    #[test]
    fn inputs() {
        finds(
            "inputs: { a-b: { type: text }, k: { type: access-key-id, default: none, defalt: 1 } }",
            &[
                "a-b | `a-b` cannot be the name of an input | use letters, digits and `_`, as in `a_b`",
                "text | a type is one of `access-key-id`, `account-id`, `arn`, `bool`, `duration`, `integer`, `string`, `string-list`, `timestamp`, and this is a text | there are `access-key-id`, `account-id`, `arn`, `bool`, `duration`, `integer`, `string`, `string-list`, `timestamp`",
                "none | this default is not an access key id | such as AKIAIOSFODNN7EXAMPLE",
                "defalt | an input has no `defalt` | did you mean `default`?",
            ],
        );
        finds(
            "inputs: { s: { type: timestamp, default: now - 2 weeks }, k: { type: access-key-id, default: \"\" } }",
            &[
                "now - 2 weeks | this default is not a time (RFC 3339, a date, `now` or `now - 14d`) | such as 2026-11-23T14:43:00Z",
            ],
        );
    }

    #[test]
    fn targets() {
        finds(
            "targets: { accounts: [12], regions: enabld, role: \"arn:aws:iam::111122223333:role/ir/R\" }",
            &[
                "12 | `12` is not an account id (12 digits) | -",
                "enabld | `regions` is `enabled` or a list of names | write `enabled`, or [eu-west-3, us-east-1]",
                "\"arn:aws:iam::111122223333:role/ir/R\" | `arn:aws:iam::111122223333:role/ir/R` is not the path and name of a role | write `ir/R`: it is looked for in every account",
            ],
        );
        finds(
            "targets: { accounts: organisation }",
            &[
                "organisation | `organisation` is not a choice of accounts | did you mean `organization`?; or [ids], { ou: ou-… }, { of_key: AKIA… }, { file: PATH }",
            ],
        );
        finds(
            "targets: { accounts: { ou: r-ab12, file: accounts.txt }, role: ir/R }",
            &[
                "{ ou: r-ab12, file: accounts.txt } | `of_key`, `ou` and `file` exclude each other | a list holds keys, units and ids together",
            ],
        );
        finds("targets: { accounts: { file: accounts.txt }, role: ir/R }", &[]);
        finds(
            "targets: { accounts: organization }",
            &[
                "organization | other accounts cannot be entered without a role | add `role: path/NAME`, the role to assume in the accounts that are not the caller's own",
            ],
        );
        finds(
            "inputs: { days: { type: integer } }\ntargets: { accounts: { of_key: \"${{ inputs.days }}\" }, role: r }\nbreak_glass: [Admin, \"${{ inputs.dayz }}\"]",
            &[
                "\"${{ inputs.days }}\" | an access key id is needed here, and this input is a whole number | -",
                "Admin | `Admin` is not a role | write `role/Admin`, or the role's ARN",
                "\"${{ inputs.dayz }}\" | there is no input `dayz` | did you mean `days`?",
            ],
        );
    }

    #[test]
    fn sets() {
        finds(
            "sets: { users: { from: iam.user }, 2nd: { from: iam.deny-all } }",
            &[
                "iam.user | there is no source `iam.user` | did you mean `iam.users`?",
                "2nd | `2nd` is not a set name (letters, digits, - and _, beginning with a letter) | -",
                "iam.deny-all | there is no source `iam.deny-all` | `iam.deny-all` is an action: it belongs behind `uses` in a step",
                "2nd | no step works on the set `2nd` | drop it, name it behind `on` in a step, or say under `finding` why it is to be listed",
            ],
        );
        finds(
            "sets: { users: { from: iam.owner-of-key, with: { kye: x }, where: name == 'x' && false } }",
            &[
                "kye | `iam.owner-of-key` has no parameter `kye` | did you mean `key`?",
                "name == 'x' && false | this set can never have a member | drop the part that is always false",
            ],
        );
        let folded = "sets:\n  users:\n    from: iam.users\n    where: >-\n      name == 'é'\n      && nam == 'x'\n      && name > 3";
        finds(
            folded,
            &[
                "nam | the kind iam.user has no field `nam` | did you mean `name`?",
                "name > 3 | a text cannot be compared with an integer | -",
            ],
        );
    }

    #[test]
    fn steps() {
        finds(
            "steps:\n- { id: a, uses: iam.deny, on: users, needs: [b, c] }\n- { id: a, uses: iam.users }\n- { id: 1b, uses: ec2.isolate, on: users, at_most: 0, on_failure: stop }",
            &[
                "iam.deny | there is no action `iam.deny` | did you mean `iam.deny-all`?",
                "b | there is no step `b` | there is only `1b`",
                "c | there is no step `c` | there is only `1b`",
                "a | there are two steps `a` | every step has an id of its own",
                "iam.users | there is no action `iam.users` | `iam.users` is a source: it belongs behind `from` in a set",
                "1b | `1b` is not a step id (letters, digits, - and _, beginning with a letter) | -",
                "users | `ec2.isolate` works on ec2.instance, and the members of `users` are iam.user | -",
                "0 | a step with at most 0 changes never does anything | at least 1; to leave a step out, drop it",
                "stop | `on_failure` is one of `hold`, `continue`, and this is a text | there are `hold`, `continue`",
            ],
        );
        finds(
            "steps:\n- { id: a, uses: iam.deny-all, needs: [c] }\n- { id: b, uses: organizations.deny-all, on: users, with: { exempt: [] }, needs: [a] }\n- { id: c, uses: iam.deny-all, on: user, needs: [b], approval: reversible }",
            &[
                "iam.deny-all | `iam.deny-all` works on iam.user or iam.role, and the step has no `on` | add `on: users`",
                "[c] | these steps wait for one another for ever: a → c → b → a | drop one of these `needs`",
                "users | `organizations.deny-all` works on the target accounts themselves, not on a set | drop `on`",
                "user | there is no set `user` | did you mean `users`?",
                "reversible | `iam.deny-all` is disruptive and cannot be approved as reversible | `approval` only asks for more than the action does",
            ],
        );
    }

    #[test]
    fn a_step_on_the_accounts_of_sets() {
        let exempt = "with: { exempt: [role/r] }";
        finds(&format!("steps: [{{ id: a, uses: organizations.deny-all, accounts_of: [users], {exempt} }}]"), &[]);
        finds(
            &format!(
                "steps:\n- {{ id: a, uses: organizations.deny-all, accounts_of: [user], {exempt} }}\n- {{ id: b, uses: iam.deny-all, on: users, accounts_of: [users] }}"
            ),
            &[
                "user | there is no set `user` | did you mean `users`?",
                "[users] | `iam.deny-all` works on iam.user or iam.role, not on accounts | drop `accounts_of`",
            ],
        );
    }

    #[test]
    fn parameters() {
        finds(
            "inputs: { n: { type: integer }, l: { type: string-list } }\nsteps:\n- { id: a, uses: organizations.deny-all, with: { exempt: role, name: 3, limit: 0, mode: al, x: 1 } }\n- { id: b, uses: organizations.deny-all, with: { exempt: [\"${{ inputs.l }}\", \"${{ inputs.n }}\"], limit: \"${{ inputs.n }}\", name: \"x-${{ inputs.n }}\" } }\n- { id: c, uses: organizations.deny-all }\n- { id: d, uses: iam.deny-all, on: users, with: { a: 1 } }",
            &[
                "role | `exempt` of `organizations.deny-all` is a list, and this is a text | -",
                "3 | `name` of `organizations.deny-all` is a text, and this is a whole number | put it in quotes: \"3\"",
                "0 | `limit` of `organizations.deny-all` is at least 1 | -",
                "al | `mode` of `organizations.deny-all` is one of all, writes | did you mean `all`?",
                "x | `organizations.deny-all` has no parameter `x` | there are `exempt`, `name`, `limit`, `mode`",
                "\"${{ inputs.n }}\" | `exempt` of `organizations.deny-all` is never a whole number | -",
                "organizations.deny-all | `organizations.deny-all` needs the parameter `exempt` | add `exempt` to `with`",
                "a | `iam.deny-all` has no parameter `a` | there is none to choose from",
            ],
        );
    }

    #[test]
    fn until() {
        finds(
            "until: { clean_sweeps: 0, every: soon, newcomers: all }",
            &[
                "0 | a run without a sweep is never proven | after the last change quell looks again",
                "soon | `soon` is not a length of time (such as 500ms, 20s, 5m, 12h, 14d) | -",
                "all | `newcomers` is one of `contain`, `ask`, `report`, and this is a text | there are `contain`, `ask`, `report`",
            ],
        );
        finds(
            "until: { clean_sweeps: 3, at_most: 2, every: 0s }",
            &[
                "2 | at most 2 sweeps can never be 3 clean ones | -",
                "0s | sweeps need some time between them | such as 20s",
            ],
        );
    }
}
