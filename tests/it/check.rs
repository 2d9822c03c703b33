//! `quell check`, `quell schema` and `quell actions`, as a person and as a pipeline see them.

use std::path::PathBuf;

use quell::cli::{actions, check, schema};
use quell::model::{ActionSpec, Catalog, FieldSpec, FieldType, KindSpec, Scope, SourceSpec, Tier};
use serde_json::{Value, json};

const MACHINE: KindSpec = KindSpec {
    name: "ec2.instance",
    scope: Scope::Regional,
    fields: &[
        FieldSpec { name: "launched", field_type: FieldType::Timestamp, help: "When it was launched." },
        FieldSpec { name: "tags", field_type: FieldType::TextMap, help: "Its tags." },
    ],
};

fn action(name: &'static str, kinds: &'static [&'static str], params: Value) -> ActionSpec {
    ActionSpec {
        name,
        tier: Tier::Disruptive,
        kinds,
        title: "Stop the machines.",
        description: "Stops machines.\n\nWhat is in memory is lost.",
        undo: "Starts them again.",
        permissions: &["ec2:DescribeInstances", "ec2:StopInstances"],
        undo_permissions: &["ec2:StartInstances"],
        only_on: &[],
        params: schemars::Schema::try_from(params).unwrap(),
        example: "- id: stop\n  uses: ec2.stop-instances\n  on: rogue",
    }
}

fn catalog() -> Catalog {
    let nothing = json!({ "type": "object", "properties": {}, "additionalProperties": false });
    let exempt = json!({
        "type": "object",
        "properties": {
            "exempt": { "description": "Who is spared.", "type": "array", "items": { "type": "string" } },
            "limit": { "type": ["integer", "null"] },
            "scope": { "$ref": "#/$defs/Scope" },
        },
        "$defs": { "Scope": { "type": "object", "properties": { "depth": { "type": "integer" } } } },
        "required": ["exempt"],
        "additionalProperties": false,
    });
    let actions = [
        action("ec2.stop-instances", &["ec2.instance"], nothing.clone()),
        action("organizations.deny-all", &["account"], exempt),
    ];
    let source = SourceSpec {
        name: "ec2.instances",
        kind: "ec2.instance",
        title: "The machines.",
        permissions: &["ec2:DescribeInstances"],
        params: schemars::Schema::try_from(nothing).unwrap(),
    };
    Catalog {
        actions: actions.into_iter().map(|spec| (spec.name.to_owned(), spec)).collect(),
        sources: [(source.name.to_owned(), source)].into(),
        kinds: [(MACHINE.name.to_owned(), MACHINE)].into(),
    }
}

/// Checks a file with this text. Returns the exit code, standard output and standard error; the file is `test.yaml`.
fn checked(text: &str) -> (u8, String, String) {
    let (folder, args) = file(text);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = check::text(&args, &catalog(), &mut out, &mut err).unwrap();
    let plain = |bytes: Vec<u8>| {
        let text = String::from_utf8(bytes).unwrap().replace(&format!("{}/", folder.path().display()), "");
        console::strip_ansi_codes(&text).lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    };
    (code, plain(out), plain(err))
}

fn file(text: &str) -> (tempfile::TempDir, check::Args) {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("test.yaml");
    std::fs::write(&path, text).unwrap();
    (folder, check::Args { files: vec![path] })
}

const RIGHT: &str = "\
quell: 1
name: test
title: A test
inputs:
  since: { type: timestamp, help: Since when, default: now - 14d }
sets:
  rogue: { from: ec2.instances, where: launched > inputs.since && now - launched < duration(\"72h\") }
steps:
  - { id: lock, uses: organizations.deny-all, with: { exempt: [role/ir/R] } }
  - { id: stop, uses: ec2.stop-instances, on: rogue, needs: [lock] }
  - { id: again, uses: ec2.stop-instances, on: rogue, needs: [stop] }
";

const A_DOZEN_MISTAKES: &str = "\
quell: 1
name: test
titel: A test
inputs:
  since: { type: timestamp, default: yesterday }
targets: { regions: [paris] }
sets:
  rogue:
    from: ec2.instances
    where: >-
      lauched >= inputs.since
      && tags > 3
steps:
  - { id: lock, uses: organizations.deny-all, with: { exemt: [x] } }
  - { id: stop, uses: ec2.stop-instance, on: rouge, needs: [lokc] }
  - { id: a, uses: ec2.stop-instances, on: rogue, needs: [b], at_most: 0 }
  - { id: b, uses: ec2.stop-instances, on: rogue, needs: [a] }
until: { every: soon }
";

#[test]
fn a_right_runbook_is_explained() {
    let (code, out, err) = checked(RIGHT);
    assert_eq!((code, err.as_str()), (0, ""));
    insta::assert_snapshot!(out, @r#"
    test.yaml: test is right, with 3 steps
      --input since=… ["now - 14d"]  Since when
      stop waits until all of lock is done
      again follows stop member by member
    "#);
}

#[test]
fn all_mistakes_of_a_file_are_shown_at_once() {
    let (code, out, err) = checked(A_DOZEN_MISTAKES);
    assert_eq!((code, out.as_str()), (2, ""));
    insta::assert_snapshot!(err, @r#"
      × a runbook has no `titel`
       ╭─[test.yaml:3:1]
     2 │ name: test
     3 │ titel: A test
       · ──┬──
       ·   ╰── unknown key
     4 │ inputs:
       ╰────
      help: did you mean `title`?

      × this default is not a time (RFC 3339, a date, `now` or `now - 14d`)
       ╭─[test.yaml:5:38]
     4 │ inputs:
     5 │   since: { type: timestamp, default: yesterday }
       ·                                      ────┬────
       ·                                          ╰── a text
     6 │ targets: { regions: [paris] }
       ╰────
      help: such as 2026-11-23T14:43:00Z

      × `paris` is not a region
       ╭─[test.yaml:6:22]
     5 │   since: { type: timestamp, default: yesterday }
     6 │ targets: { regions: [paris] }
       ·                      ──┬──
       ·                        ╰── not a region
     7 │ sets:
       ╰────
      help: such as eu-west-3

      × the kind ec2.instance has no field `lauched`
        ╭─[test.yaml:11:7]
     10 │     where: >-
     11 │       lauched >= inputs.since
        ·       ───┬───
        ·          ╰── unknown field
     12 │       && tags > 3
        ╰────
      help: did you mean `launched`?

      × a map cannot be compared with an integer
        ╭─[test.yaml:12:10]
     11 │       lauched >= inputs.since
     12 │       && tags > 3
        ·          ────┬───
        ·              ╰── these types differ
     13 │ steps:
        ╰────

      × `organizations.deny-all` has no parameter `exemt`
        ╭─[test.yaml:14:55]
     13 │ steps:
     14 │   - { id: lock, uses: organizations.deny-all, with: { exemt: [x] } }
        ·                                                       ──┬──
        ·                                                         ╰── unknown parameter
     15 │   - { id: stop, uses: ec2.stop-instance, on: rouge, needs: [lokc] }
        ╰────
      help: did you mean `exempt`?

      × there is no action `ec2.stop-instance`
        ╭─[test.yaml:15:23]
     14 │   - { id: lock, uses: organizations.deny-all, with: { exemt: [x] } }
     15 │   - { id: stop, uses: ec2.stop-instance, on: rouge, needs: [lokc] }
        ·                       ────────┬────────
        ·                               ╰── unknown action
     16 │   - { id: a, uses: ec2.stop-instances, on: rogue, needs: [b], at_most: 0 }
        ╰────
      help: did you mean `ec2.stop-instances`?

      × there is no set `rouge`
        ╭─[test.yaml:15:46]
     14 │   - { id: lock, uses: organizations.deny-all, with: { exemt: [x] } }
     15 │   - { id: stop, uses: ec2.stop-instance, on: rouge, needs: [lokc] }
        ·                                              ──┬──
        ·                                                ╰── unknown set
     16 │   - { id: a, uses: ec2.stop-instances, on: rogue, needs: [b], at_most: 0 }
        ╰────
      help: did you mean `rogue`?

      × there is no step `lokc`
        ╭─[test.yaml:15:61]
     14 │   - { id: lock, uses: organizations.deny-all, with: { exemt: [x] } }
     15 │   - { id: stop, uses: ec2.stop-instance, on: rouge, needs: [lokc] }
        ·                                                             ──┬─
        ·                                                               ╰── unknown step
     16 │   - { id: a, uses: ec2.stop-instances, on: rogue, needs: [b], at_most: 0 }
        ╰────
      help: did you mean `lock`?

      × these steps wait for one another for ever: a → b → a
        ╭─[test.yaml:16:58]
     15 │   - { id: stop, uses: ec2.stop-instance, on: rouge, needs: [lokc] }
     16 │   - { id: a, uses: ec2.stop-instances, on: rogue, needs: [b], at_most: 0 }
        ·                                                          ─┬─
        ·                                                           ╰── a → b → a
     17 │   - { id: b, uses: ec2.stop-instances, on: rogue, needs: [a] }
        ╰────
      help: drop one of these `needs`

      × a step with at most 0 changes never does anything
        ╭─[test.yaml:16:72]
     15 │   - { id: stop, uses: ec2.stop-instance, on: rouge, needs: [lokc] }
     16 │   - { id: a, uses: ec2.stop-instances, on: rogue, needs: [b], at_most: 0 }
        ·                                                                        ┬
        ·                                                                        ╰── never
     17 │   - { id: b, uses: ec2.stop-instances, on: rogue, needs: [a] }
        ╰────
      help: at least 1; to leave a step out, drop it

      × `soon` is not a length of time (such as 500ms, 20s, 5m, 12h, 14d)
        ╭─[test.yaml:18:17]
     17 │   - { id: b, uses: ec2.stop-instances, on: rogue, needs: [a] }
     18 │ until: { every: soon }
        ·                 ──┬─
        ·                   ╰── not a length of time
        ╰────

    test.yaml: 12 mistakes
    "#);
}

#[test]
fn a_pipeline_gets_lines_and_columns() {
    let (folder, args) = file("quell: 1\nname: test\ntitle: é\nsteps: [{ id: a, uses: ec2.stop }]\n");
    let mut out = Vec::new();
    assert_eq!(check::json(&args, &catalog(), &mut out).unwrap(), 2);
    let mut document: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(document["files"][0]["file"], folder.path().join("test.yaml").display().to_string());
    document["files"][0]["file"] = json!("test.yaml");
    assert_eq!(
        document,
        json!({ "files": [{
        "file": "test.yaml", "ok": false, "unreadable": null, "warnings": [], "waits": null,
        "errors": [{
            "line": 4, "column": 24, "message": "there is no action `ec2.stop`", "label": "unknown action",
            "help": "did you mean `ec2.stop-instances`?",
        }],
    }] })
    );
}

#[test]
fn a_file_that_is_not_there_or_not_yaml_says_so() {
    let missing = check::Args { files: vec!["/nowhere/at/all.yaml".into()] };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    assert_eq!(check::text(&missing, &catalog(), &mut out, &mut err).unwrap(), 2);
    assert!(String::from_utf8(err).unwrap().starts_with("error: /nowhere/at/all.yaml cannot be read: "));
    let (code, _, err) = checked("quell: 1\nsteps: [{ id: a\nname: x\n");
    assert_eq!(code, 2);
    insta::assert_snapshot!(err, @r#"
      × this is not YAML: while parsing a flow mapping, did not find expected ',' or '}'
       ╭─[test.yaml:3:5]
     2 │ steps: [{ id: a
     3 │ name: x
       ·     ▲
       ·     ╰── here
       ╰────
      help: check the indentation, the brackets and the quotes of this line and the one before

    test.yaml: one mistake
    "#);
}

#[test]
fn the_schema_knows_the_actions_and_their_parameters() {
    let mut out = Vec::new();
    assert_eq!(schema::run(&schema::Args {}, &catalog(), &mut out).unwrap(), 0);
    let schema: Value = serde_json::from_slice(&out).unwrap();
    let step = &schema["$defs"]["Step"];
    assert_eq!(step["properties"]["uses"]["oneOf"][0]["const"], "ec2.stop-instances");
    let rule = &step["allOf"][1];
    assert_eq!(rule["if"]["properties"]["uses"]["const"], "organizations.deny-all");
    assert_eq!(rule["then"]["required"], json!(["with"]));
    let with = &rule["then"]["properties"]["with"];
    assert_eq!(with["properties"]["exempt"]["anyOf"][0]["type"], "array", "a list may be a template as well");
    assert_eq!(with["properties"]["scope"]["anyOf"][0]["$ref"], "#/$defs/organizations.deny-all.Scope");
    assert!(schema["$defs"]["organizations.deny-all.Scope"].is_object());
    assert_eq!(schema["$defs"]["SetSpec"]["properties"]["from"]["oneOf"][0]["const"], "ec2.instances");
    assert_eq!(schema["$defs"]["Role"]["anyOf"][0]["type"], "string", "a role may be written as a text");
    assert_no_dangling_reference(&schema, &schema);
}

fn assert_no_dangling_reference(value: &Value, root: &Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get("$ref") {
                assert!(root.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
            }
            map.values().for_each(|value| assert_no_dangling_reference(value, root));
        }
        Value::Array(items) => items.iter().for_each(|value| assert_no_dangling_reference(value, root)),
        _ => {}
    }
}

fn explained(name: Option<&str>) -> (u8, String, String) {
    let args = actions::Args { name: name.map(str::to_owned) };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = actions::text(&args, &catalog(), &mut out, &mut err).unwrap();
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[test]
fn actions_are_listed_and_explained() {
    insta::assert_snapshot!(explained(None).1, @r#"
    ACTION                  TIER        ON            WHAT IT DOES
    ec2.stop-instances      disruptive  ec2.instance  Stop the machines.
    organizations.deny-all  disruptive  account       Stop the machines.

    SOURCE OF SETS  MEMBERS       WHAT IT LISTS
    ec2.instances   ec2.instance  The machines.

    `quell actions NAME` explains one of them.
    "#);
    insta::assert_snapshot!(explained(Some("organizations.deny-all")).1, @r#"
    organizations.deny-all
    Stop the machines.

    Tier: disruptive
    On:   account

    Stops machines.

    What is in memory is lost.

    Undo
      Starts them again.

    Parameters
      PARAMETER  TYPE     WHAT IT IS
      exempt     array    Who is spared.
      limit      integer  Optional.
      scope      object   Optional.

    Permissions
      ec2:DescribeInstances
      ec2:StopInstances

    Permissions of a rollback
      ec2:StartInstances

    Example
      - id: stop
        uses: ec2.stop-instances
        on: rogue
    "#);
    insta::assert_snapshot!(explained(Some("ec2.instances")).1, @r#"
    ec2.instances
    The machines.

    Parameters
      none

    Permissions
      ec2:DescribeInstances

    Its members are of the kind ec2.instance, with these fields for `where`:
    FIELD     TYPE                 WHAT IT HOLDS
    launched  timestamp            When it was launched.
    tags      map(string, string)  Its tags.
    "#);
    let (code, out, err) = explained(Some("ec2.instance"));
    assert_eq!((code, out.as_str()), (2, ""));
    assert_eq!(err, "error: there is no action and no source `ec2.instance`: did you mean `ec2.instances`?\n");
}
