//! What a person gets wrong at three in the morning, through the real binary: a clear message, the right exit code, and
//! nothing changed.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use quell::sim::iam;
use serde_json::{Value, json};

use crate::site::{Hosted, Site, stderr};

/// Runs a command that must not do anything: it ends with `code`, says each of `words`, and the world stays as it is.
#[track_caller]
fn refused(site: &Site, command: Command, code: i32, words: &[&str]) {
    refused_in(|| site.simulator.world(), command, code, words);
}

#[track_caller]
fn refused_in(world: impl Fn() -> Value, mut command: Command, code: i32, words: &[&str]) {
    let before = world();
    let output = command.output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
    assert_eq!(world(), before, "something was changed");
}

const TEN_MISTAKES: &str = r"quell: 1
name: ten
title: Ten mistakes
inputs:
  leaked_key: { type: access-key, help: The key that leaked }
targets:
  accounts: selfe
  regions: [eu_west_3]
sets:
  intruder: { from: iam.owner-of-keys, with: { key: AKIAIOSFODNN7EXAMPLE } }
  rogue: { from: ec2.instances, where: lunched >= now }
steps:
  - { id: keys, uses: iam.deactivate-keys, on: intruder }
  - { id: deny, uses: iam.deny-all, on: intrudr }
  - { id: stop, uses: ec2.stop-instances, on: rogue, need: [deny] }
  - { id: mark, uses: ec2.tag, on: rogue, needs: [stopp] }
  - { id: lock, uses: organizations.deny-all, with: { exemt: [role/ir/IRResponder] } }
";

#[test]
fn a_runbook_with_ten_mistakes_shows_all_ten() {
    let site = Site::open();
    let ten = site.write("ten.yaml", TEN_MISTAKES);
    let places = [
        (5, "`access-key-id`"),
        (7, "`self`"),
        (8, "eu-west-3"),
        (10, "`iam.owner-of-key`"),
        (11, "`launched`"),
        (13, "`iam.deactivate-access-keys`"),
        (14, "`intruder`"),
        (15, "`needs`"),
        (16, "`stop`"),
        (17, "`exempt`"),
    ];
    let shown: Vec<String> = places.iter().map(|(line, _)| format!("ten.yaml:{line}:")).collect();
    let words: Vec<&str> = shown.iter().map(String::as_str).chain(places.iter().map(|(_, meant)| *meant)).collect();
    let ten = ten.to_str().unwrap();
    for command in
        [site.bare(&["check", ten]), site.quell(&["run", ten, "--trust-endpoint", "--approve", "destructive"])]
    {
        refused(&site, command, 2, &[&words[..], &["10 mistakes"]].concat());
    }
}

#[test]
fn what_is_named_wrongly_is_recognised() {
    let site = Site::open();
    let unknown = "20261123-144312-a1b2c3";
    for command in ["resume", "rollback", "show", "report"] {
        refused(&site, site.quell(&[command, unknown]), 2, &["there is no run", unknown, "`quell runs`"]);
    }
    refused(&site, site.quell(&["run", "leaked-kye"]), 2, &["`leaked-kye`", "did you mean `leaked-key`?"]);
    refused(&site, site.bare(&["drill", "cryptojak"]), 2, &["`cryptojak`", "did you mean `cryptojack`?"]);
    refused(&site, site.bare(&["sim", "--scenario", "cryptojak"]), 2, &["did you mean `cryptojack`?"]);
    refused(&site, site.bare(&["drill", "--fault", "eu-west-33=no-answer"]), 2, &["`eu-west-33`", "neither a region"]);
    refused(&site, site.bare(&["drill", "--fault", "eu-west-3=no-anser"]), 2, &["`no-anser`", "there are no-answer"]);
    let example = "--input leaked_key=AKIAIOSFODNN7EXAMPLE";
    let wrong = ["run", "leaked-key", "--input", "leaked_key=mara", "--trust-endpoint"];
    refused(&site, site.quell(&wrong), 2, &["`leaked_key`", "`mara`", example]);
    refused(&site, site.quell(&["run", "leaked-key", "--trust-endpoint"]), 2, &["leaked_key", "--input"]);
    let approve = ["run", "leaked-key", "--approve", "everything"];
    refused(&site, site.quell(&approve), 2, &["everything", "reversible", "disruptive", "destructive"]);
}

#[test]
fn a_region_that_does_not_exist_is_no_region_to_leave_out() {
    let site = Site::open();
    let runbook = "quell: 1\nname: r\ntitle: R\ninputs: { region: { type: string } }\n\
                   targets: { accounts: self, regions: [us-east-1, \"${{ inputs.region }}\"] }\n\
                   sets: { all: { from: ec2.instances } }\nsteps: [{ id: mark, uses: ec2.tag, on: all }]\n";
    let path = site.write("regions.yaml", runbook);
    let run = |region: &str| {
        let region = format!("region={region}");
        site.quell(&["run", path.to_str().unwrap(), "--input", &region, "--trust-endpoint", "--approve", "reversible"])
    };
    refused(&site, run("eu-wst-1"), 2, &["targets.regions", "`eu-wst-1`", "did you mean `eu-west-1`?"]);
    refused(&site, run("EU_WEST"), 2, &["targets.regions", "`EU_WEST` is not a region"]);
    refused(&site, run("global"), 2, &["targets.regions", "`global` is not a region"]);
}

#[test]
fn credentials_that_do_not_work_are_told_apart_from_a_lack_of_them() {
    let site = Site::open();
    let leaked = site.simulator.leaked_key();
    let mut none = site.bare(&["run", "leaked-key", "--input", &leaked, "--trust-endpoint"]);
    none.env("AWS_ENDPOINT_URL", site.fact("/endpoint")).env("AWS_REGION", site.fact("/region"));
    refused(&site, none, 2, &["no credentials", "aws sso login", "AWS_PROFILE"]);

    let mut nobody = site.contain(&["--trust-endpoint"]);
    nobody.env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE");
    refused(&site, nobody, 2, &["does not accept the credentials", "InvalidClientTokenId", "sign in"]);

    let mut wrong = site.contain(&["--trust-endpoint"]);
    wrong.env("AWS_SECRET_ACCESS_KEY", "wrong");
    refused(&site, wrong, 2, &["does not accept the credentials", "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"]);
}

#[test]
fn a_key_that_was_switched_off_is_of_no_use_any_more() {
    let site = Site::open();
    let done = site.contain(&["--trust-endpoint", "--approve", "reversible,disruptive"]).output().unwrap();
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    let leaked = site.simulator.leaked_key();
    let off = || site.quell_as_intruder(&["run", "leaked-key", "--input", &leaked, "--trust-endpoint"]);
    // IAM takes seconds to tell every service.
    let is_off = || off().output().unwrap().status.code() == Some(2);
    assert!((0..60).any(|_| is_off() || {
        std::thread::sleep(Duration::from_millis(500));
        false
    }));
    refused(&site, off(), 2, &["does not accept the credentials", "InvalidClientTokenId", "sign in"]);
}

#[test]
fn a_key_that_nobody_owns_ends_the_run_before_it_began() {
    let site = Site::open();
    let of = |runbook: &str| {
        let input = "leaked_key=AKIAIOSFODNN7EXAMPLE";
        site.quell(&["run", runbook, "--input", input, "--trust-endpoint", "--approve", "reversible,disruptive"])
    };
    refused(&site, of("leaked-key"), 2, &["target accounts", "AKIAIOSFODNN7EXAMPLE", "no account", "digit by digit"]);
    let own = quell::runbook::shipped().iter().find(|(name, _)| *name == "leaked-key").unwrap().1;
    let own = own.replace("accounts: { of_key: \"${{ inputs.leaked_key }}\" }", "accounts: self");
    let own = site.write("own.yaml", &own);
    let words = ["set `owner`", "no user of account 210987654321", "AKIAIOSFODNN7EXAMPLE", "credential report"];
    refused(&site, of(own.to_str().unwrap()), 2, &words);
}

#[test]
fn the_intruder_cannot_be_the_responder() {
    let site = Site::open();
    let own = site.fact("/credentials/responder/access_key_id");
    let input = format!("leaked_key={own}");
    let run = ["run", "leaked-key", "--input", &input, "--trust-endpoint", "--approve", "reversible,disruptive"];
    refused(&site, site.quell(&run), 4, &["the leaked key", own, "the caller's own", "use another principal"]);

    let input = site.simulator.leaked_key();
    let run = ["run", "cryptojack", "--input", &input, "--trust-endpoint", "--approve", "reversible,disruptive"];
    let words = ["user/mara.weiss", "is the owner of the leaked key", "does not hold", "nothing was changed"];
    refused(&site, site.quell_as_intruder(&run), 4, &words);
    let log = site.simulator.log();
    let wrote = |request: &&Value| {
        let operation = request["operation"].as_str().unwrap();
        let asks = ["Describe", "Get", "List", "Lookup", "Simulate"].iter().any(|verb| operation.starts_with(verb));
        !asks && request["outcome"] != "DryRunOperation"
    };
    assert_eq!(log.as_array().unwrap().iter().find(wrote), None);
}

#[test]
fn an_scp_that_spares_nobody_is_not_attached() {
    let site = Site::open();
    let account = format!("account={}", site.fact("/facts/breached_account"));
    let shipped = quell::runbook::shipped().iter().find(|(name, _)| *name == "quarantine-account").unwrap().1;
    let run = |name: &str, with: &str| {
        let path = site.write(name, &shipped.replace("with: { exempt: [role/ir/IRResponder] }", with));
        let path = path.to_str().unwrap();
        site.quell(&["run", path, "--input", &account, "--trust-endpoint", "--approve", "disruptive"])
    };
    refused(&site, run("none.yaml", "with: { exempt: [] }"), 4, &["[lock]", "no role is exempt", "with.exempt"]);
    refused(&site, run("missing.yaml", "with: {}"), 2, &["missing.yaml:", "needs the parameter `exempt`"]);
    let words = ["[lock]", "would lock out", "role/ir/IRResponder", "statement `IRDenyAll`", "under `exempt`"];
    refused(&site, run("other.yaml", "with: { exempt: [role/Other] }"), 4, &words);

    let management = format!("account={}", site.fact("/accounts/management"));
    let run = ["run", "quarantine-account", "--input", &management, "--trust-endpoint", "--approve", "disruptive"];
    refused(&site, site.quell(&run), 4, &["[lock]", "management account", "no SCP binds it", "iam.deny-all"]);
}

#[test]
fn a_foreign_endpoint_is_not_spoken_to_before_somebody_said_so() {
    let site = Site::open();
    let endpoint = site.fact("/endpoint").to_owned();
    refused(&site, site.contain(&["--approve", "reversible,disruptive"]), 4, &[&endpoint, "--trust-endpoint", "unset"]);
    assert_eq!(site.simulator.log().as_array().unwrap().len(), 0, "something was sent");
}

#[test]
fn nobody_there_and_nothing_approved_is_a_no() {
    let site = Site::open();
    let words = ["nothing was changed", "reversible changes were not approved", "--approve reversible,disruptive"];
    refused(&site, site.contain(&["--trust-endpoint"]), 4, &words);
    let words = ["nothing was changed", "disruptive changes were not approved", "--approve reversible,disruptive"];
    refused(&site, site.contain(&["--trust-endpoint", "--approve", "reversible"]), 4, &words);
}

/// A plan of the leaked-key runbook, as a file.
fn planned(site: &Site) -> PathBuf {
    let leaked = site.simulator.leaked_key();
    let arguments = ["plan", "leaked-key", "--input", &leaked, "--trust-endpoint", "-o", "plan.json"];
    let output = site.quell(&arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    site.path("plan.json")
}

#[test]
fn a_plan_that_was_edited_is_not_carried_out() {
    let site = Site::open();
    let plan = planned(&site);
    let edited = fs::read_to_string(&plan).unwrap().replace("mara.weiss", "jonas.brandt");
    site.write("edited.json", &edited);
    let run =
        |plan: &str| site.quell(&["run", "--plan", plan, "--trust-endpoint", "--approve", "reversible,disruptive"]);
    refused(&site, run("edited.json"), 4, &["edited.json", "was edited", "make a new plan"]);
    site.write("other.json", "{}");
    refused(&site, run("other.json"), 4, &["other.json", "is not a plan file", "quell plan -o"]);
    refused(&site, run("absent.json"), 2, &["absent.json", "cannot read", "quell plan"]);
}

#[test]
fn a_plan_is_for_the_account_and_the_principal_that_it_was_made_for() {
    let site = Site::open();
    planned(&site);
    let run = ["run", "--plan", "plan.json", "--trust-endpoint", "--approve", "reversible,disruptive"];
    let words = ["made in account 210987654321", "of account 430987654321", "plan again"];
    refused(&site, site.quell_as_intruder(&run), 4, &words);

    // The same account, another principal.
    let text = fs::read_to_string(site.path("plan.json")).unwrap();
    let mut file: Value = serde_json::from_str(&text).unwrap();
    file["plan"]["caller"]["arn"] = "arn:aws:iam::210987654321:user/somebody.else".into();
    let plan: quell::model::Plan = serde_json::from_value(file["plan"].clone()).unwrap();
    file["digest"] = json!(plan.digest());
    site.write("plan.json", &file.to_string());
    let words = ["user/somebody.else", "user/noa.lindqvist is calling", "plan again"];
    refused(&site, site.quell(&run), 4, &words);
}

#[test]
fn a_journal_that_was_changed_is_not_acted_on() {
    let site = Site::open();
    let done = site.contain(&["--trust-endpoint", "--approve", "reversible,disruptive"]).output().unwrap();
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    let run = &site.run();
    let journal = site.path("state/runs").join(run).join("journal.jsonl");
    let changed = fs::read_to_string(&journal).unwrap().replacen("mara.weiss", "jonas.brandt", 1);
    fs::write(&journal, changed).unwrap();
    let words = [run, "line 2", "was changed after it was written", "from a copy"];
    for command in ["resume", "rollback", "show"] {
        refused(&site, site.quell(&[command, run]), 4, &words);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn temporary_credentials_whose_time_has_passed_are_expired() {
    let hosted = Hosted::open().await;
    let session = hosted.session().await;
    hosted.catch_up();
    let run = ["run", "rogue-instances", "--trust-endpoint", "--approve", "reversible,disruptive"];
    let mut command = hosted.bare(&run);
    command.env("AWS_ACCESS_KEY_ID", session.access_key_id()).env("AWS_SECRET_ACCESS_KEY", session.secret_access_key());
    command.env("AWS_SESSION_TOKEN", session.session_token().unwrap());
    let words = ["does not accept the credentials", "ExpiredToken", "is expired", "sign in again", "AWS_SESSION_TOKEN"];
    refused_in(|| hosted.world(), command, 2, &words);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_root_user_does_not_contain_anything() {
    let hosted = Hosted::open().await;
    hosted.catch_up();
    let account = hosted.facts.breached_account.clone();
    let now = hosted.sim.now();
    let (key, secret) = hosted.sim.change(|world| iam::add_access_key(world, &account, None, now)).unwrap();
    for arguments in [["run", "rogue-instances"], ["plan", "rogue-instances"]] {
        let mut command = hosted.bare(&arguments);
        command.arg("--trust-endpoint").env("AWS_ACCESS_KEY_ID", key.as_str()).env("AWS_SECRET_ACCESS_KEY", &secret.0);
        let words = ["the root user of account 430987654321", "no policy can bound root", "--profile"];
        refused_in(|| hosted.world(), command, 4, &words);
    }
}
